//! Addresses, prefixes and ranges on lines: one or more a line; a score behind a tab; start, end
//! and length as DShield has them; a table of Postfix.

use std::net::IpAddr;

use mailmesh_events::Rule;

use crate::field::{
    Bare, Parsed, clean, ends, is_addresses, is_number, may_be_end, network, networks, pair, shown,
    words,
};
use crate::list::{List, Unit};
use crate::moment::is_date;
use crate::record::{push, spanned};
use crate::role::{Role, role};
use crate::verdict::{is_assent, is_denial};
use crate::{Ends, ListError, Reason, check_line};

/// The parts of a line.
struct ParsedLine<'a> {
    networks: Vec<Parsed>,
    reason: &'a str,
    ends: Ends,
    /// The rule that the line names for these networks.
    rule: Option<Rule>,
    /// The longest match decides, rather than the first.
    is_by_longest: bool,
    /// It is taken out of what the list names otherwise (`!192.0.2.7`).
    is_exception: bool,
}

impl<'a> ParsedLine<'a> {
    fn of(networks: Vec<Parsed>) -> Self {
        Self {
            networks,
            reason: "",
            ends: Ends::Never,
            rule: None,
            is_by_longest: false,
            is_exception: false,
        }
    }

    fn because(mut self, reason: &'a str) -> Self {
        self.reason = reason;
        self
    }
}

pub(crate) fn read(text: &str, rule: Rule) -> Result<List, ListError> {
    let mut list = List::new(Unit::Line, rule);
    let (mut is_conditional, mut has_begun) = (false, false);
    for (number, line) in (1..).zip(text.lines()) {
        let line = clean(line);
        list.begin();
        if list.passes_over_comment(line, &COMMENTS) {
            list.end();
            continue;
        }
        let first = words(line).next().unwrap_or_default();
        let is_end = first.eq_ignore_ascii_case("endif");
        if let Err(why) = check_line(line) {
            list.refuse(number, why);
        } else if is_conditional || is_end || first.eq_ignore_ascii_case("if") {
            is_conditional = !is_end;
            list.refuse(number, "it depends on a condition (`if` of a table of Postfix)");
        } else if !has_begun && is_heading(line) {
            list.leave_out(Reason::Frame);
        } else {
            take_line(&mut list, number, line)?;
        }
        has_begun = true;
        list.end();
    }
    Ok(list)
}

/// Whether a line names the one column of a table.
fn is_heading(line: &str) -> bool {
    role(without_quotes(line)).is_some_and(|(role, _)| role == Role::Network)
}

/// Takes what a line says that is no comment.
pub(crate) fn take_line(list: &mut List, number: usize, line: &str) -> Result<(), ListError> {
    let (field, comment) = split(line);
    if is_behind_semicolon(comment, line) {
        list.refuse(number, "behind `;` there are addresses: put each on a line of its own");
        return Ok(());
    }
    match parse(without_quotes(field)) {
        Ok((parsed_line, score)) => {
            if let Some(score) = score {
                list.note_score(number, score);
            }
            take(list, number, parsed_line, comment)
        }
        Err(why) => {
            list.refuse(number, why);
            Ok(())
        }
    }
}

/// A field without the quotes around all of it.
fn without_quotes(field: &str) -> &str {
    let field = clean(field);
    let inner = ['"', '\''].into_iter().find_map(|quote| {
        field.strip_prefix(quote)?.strip_suffix(quote).filter(|inner| !inner.contains(quote))
    });
    inner.map_or(field, clean)
}

fn take(
    list: &mut List,
    line: usize,
    parsed_line: ParsedLine<'_>,
    comment: &str,
) -> Result<(), ListError> {
    if parsed_line.is_exception {
        // rbldnsd and Exim take it out wherever it stands.
        for parsed in &parsed_line.networks {
            list.except(parsed.network, 0, usize::MAX)?;
        }
        list.leave_out(Reason::NotABan);
        return Ok(());
    }
    if parsed_line.rule.is_some_and(|rule| rule != list.rule.0) {
        for parsed in &parsed_line.networks {
            if parsed_line.is_by_longest {
                list.except_by_longest_match(parsed.network)?;
                continue;
            }
            // The first line that matches decides in Postfix: later ones do not count for these.
            list.except(parsed.network, list.units + 1, usize::MAX)?;
        }
        list.leave_out(Reason::NotABan);
        return Ok(());
    }
    let reason = if parsed_line.reason.is_empty() { comment } else { parsed_line.reason };
    push(list, line, &parsed_line.networks, reason, "", parsed_line.ends)
}

/// The signs that begin a comment.
const COMMENTS: [&str; 5] = ["#", ";", "//", "!#", "<!--"];

pub(crate) fn is_comment(line: &str) -> bool {
    COMMENTS.iter().any(|sign| line.starts_with(sign))
}

/// A line without its comment, and the comment.
pub(crate) fn split(line: &str) -> (&str, &str) {
    let at = line.find([';', '#']);
    let slashes = line.find("//").filter(|slashes| at.is_none_or(|at| *slashes < at));
    match slashes.or(at) {
        Some(at) => (clean(&line[..at]), line[at + 1..].trim_matches([';', '#', '/', ' ', '\t'])),
        None => (line, ""),
    }
}

/// Whether a `;` stands before addresses rather than before a comment.
fn is_behind_semicolon(comment: &str, line: &str) -> bool {
    line.find([';', '#']).is_some_and(|at| line[at..].starts_with(';')) && is_addresses(comment)
}

/// Parses a line without its comment; also returns a score that is in it.
fn parse(field: &str) -> Result<(ParsedLine<'_>, Option<&str>), String> {
    let all: Vec<&str> = words(field).take(MAX_WORDS + 1).collect();
    if all.len() > MAX_WORDS {
        return Err(format!("it has more than {MAX_WORDS} words, the limit"));
    }
    let Some((first, rest)) = all.split_first() else {
        return Err("it has no network".to_owned());
    };
    if let Some(dash) = field.find('-')
        && (clean(&field[..dash]).parse::<IpAddr>().is_ok())
    {
        return Ok((ParsedLine::of(networks(field)?), None));
    }
    let is_not = first.strip_prefix('!').is_some_and(|network_of| network(network_of).is_ok());
    if is_not && rest.is_empty() {
        let excepted = network(&first[1..])?;
        return Ok((ParsedLine { is_exception: true, ..ParsedLine::of(vec![excepted]) }, None));
    }
    if is_not {
        return Err("it means what is outside of the network (`!`)".to_owned());
    }
    let parsed = network(first)?;
    match *rest {
        [] => return Ok((ParsedLine::of(vec![parsed]), None)),
        [mask] => {
            if let Some(parsed) = pair(first, mask) {
                return Ok((ParsedLine::of(vec![parsed?]), None));
            }
        }
        [last, mask, ..] if last.parse::<IpAddr>().is_ok() && mask.parse::<u8>().is_ok() => {
            let networks = spanned(first, last, mask)?;
            let name = field.split('\t').nth(4).map_or("", clean);
            return Ok((ParsedLine::of(networks).because(name), None));
        }
        _ => {}
    }
    if let Some(parsed_line) = answered(parsed, rest, field) {
        return Ok((parsed_line, None));
    }
    if let [value] = *rest
        && (is_denial(value) || is_assent(value))
    {
        // `geo` of nginx, a map of HAProxy.
        let rule = if is_denial(value) { Rule::Allow } else { Rule::Block };
        let parsed_line = ParsedLine::of(vec![parsed]).because(value);
        return Ok((ParsedLine { rule: Some(rule), is_by_longest: true, ..parsed_line }, None));
    }
    if rest.iter().all(|word| is_number(word)) {
        return Ok((ParsedLine::of(vec![parsed]), rest.first().copied()));
    }
    if let Some(parsed_line) = in_columns(parsed, field)? {
        return Ok((parsed_line, None));
    }
    let networks: Result<Vec<Parsed>, String> = all.iter().map(|word| network(word)).collect();
    match networks {
        Ok(networks) => Ok((ParsedLine::of(networks), None)),
        Err(why) => Err(format!("{why}; a comment behind an address begins with `#` or `;`")),
    }
}

/// Most words of a line.
const MAX_WORDS: usize = 4_096;

/// A line of a table of Postfix (access(5), cidr_table(5)).
fn answered<'a>(parsed: Parsed, rest: &[&'a str], field: &'a str) -> Option<ParsedLine<'a>> {
    const REFUSE: [&str; 6] =
        ["REJECT", "DISCARD", "DEFER", "DEFER_IF_PERMIT", "DEFER_IF_REJECT", "DROP"];
    const OTHER: [&str; 14] = [
        "OK",
        "DUNNO",
        "PERMIT",
        "RELAY",
        "ALLOW",
        "ACCEPT",
        "PASS",
        "WHITELIST",
        "WARN",
        "INFO",
        "HOLD",
        "FILTER",
        "PREPEND",
        "BCC",
    ];
    let word = rest.first()?;
    let is_one_of = |words: &[&str]| words.iter().any(|known| word.eq_ignore_ascii_case(known));
    let is_code = word.len() == 3
        && word.starts_with(['4', '5'])
        && word.bytes().all(|byte| byte.is_ascii_digit())
        && rest.len() > 1
        && !rest.iter().all(|word| is_number(word));
    let parsed_line = ParsedLine::of(vec![parsed]);
    if is_one_of(&REFUSE) || is_code {
        let at = field.find(word)? + word.len();
        return Some(ParsedLine {
            rule: Some(Rule::Block),
            ..parsed_line.because(clean(&field[at..]))
        });
    }
    let is_permit = word.get(..7).is_some_and(|begin| begin.eq_ignore_ascii_case("permit_"));
    (is_one_of(&OTHER) || is_permit)
        .then_some(ParsedLine { rule: Some(Rule::Allow), ..parsed_line })
}

/// A line of network, reason and end, with tabs between.
fn in_columns(parsed: Parsed, field: &str) -> Result<Option<ParsedLine<'_>>, String> {
    let mut columns = field.split('\t').map(clean);
    let (Some(first), Some(reason)) = (columns.next(), columns.next()) else { return Ok(None) };
    if network(first).is_err() || is_addresses(reason) {
        return Ok(None);
    }
    if is_denial(reason) {
        return Ok(Some(ParsedLine { rule: Some(Rule::Allow), ..ParsedLine::of(vec![parsed]) }));
    }
    let until = columns.next().unwrap_or_default();
    if let Some(date) = columns.find(|column| is_date(column)) {
        return Err(format!("`{}` may be its end: name the columns in a first line", shown(date)));
    }
    let (reason, until) =
        if until.is_empty() && may_be_end(reason) { ("", reason) } else { (reason, until) };
    let ends = if is_number(until) && ends(until, Bare::Moment).is_err() {
        Ends::Never
    } else {
        ends(until, Bare::Moment)?
    };
    Ok(Some(ParsedLine { reason, ends, ..ParsedLine::of(vec![parsed]) }))
}
