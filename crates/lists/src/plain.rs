//! Plain lines: one or more addresses, prefixes or ranges a line; a score behind a tab; start, end
//! and length as DShield writes them; a table of Postfix.

mod section;
mod table;

use std::net::IpAddr;

use mailmesh_events::Rule;

use crate::column::{Role, role_of_name};
use crate::ends::date::is_date;
use crate::ends::{BareNumber, may_be_end, parse_end};
use crate::exception::excepted_in_line;
use crate::list::{List, Unit};
use crate::network::length::networks_between;
use crate::network::{ParsedNetwork, is_addresses, is_length, network, network_of_pair, networks};
use crate::record::{except_all, push_meant};
use crate::secret_key::{excerpt, mask_keys};
use crate::verdict::{means_blocked, means_no, means_not_blocked};
use crate::words::{clean, is_number, words};
use crate::{Ends, ListError, Reason, check_line};
pub(crate) use section::{refuse_in_comment, refuse_section};
pub(crate) use table::{Table, answer};

/// The parts of a line.
struct ParsedLine<'a> {
    networks: Vec<ParsedNetwork>,
    reason: &'a str,
    ends: Ends,
    /// The rule that the line names for these networks.
    rule: Option<Rule>,
    /// The longest match decides, rather than the first.
    is_by_longest: bool,
    /// The line excludes its networks from the rest of the list (`!192.0.2.7`).
    is_exception: bool,
    /// The line holds several networks side by side.
    is_row: bool,
}

impl<'a> ParsedLine<'a> {
    fn of(networks: Vec<ParsedNetwork>) -> Self {
        Self {
            networks,
            reason: "",
            ends: Ends::Never,
            rule: None,
            is_by_longest: false,
            is_exception: false,
            is_row: false,
        }
    }

    fn because(mut self, reason: &'a str) -> Self {
        self.reason = reason;
        self
    }
}

pub(crate) fn read(text: &str, rule: Rule) -> Result<List, ListError> {
    let mut list = List::new(Unit::Line, rule);
    let mut table = Table::of(text);
    let (mut is_conditional, mut has_begun) = (false, false);
    let mut lines = (1..).zip(text.lines()).peekable();
    while let Some((number, line)) = lines.next() {
        let line = clean(line);
        list.begin();
        if list.passes_over_comment(line, &COMMENTS) {
            refuse_in_comment(number, line, rule)?;
            list.end();
            continue;
        }
        let first = words(line).next().unwrap_or_default();
        let is_end = first.eq_ignore_ascii_case("endif");
        let mut continued = 0;
        while table.is_answered
            && network(line).is_ok()
            && lines.next_if(|(_, next)| continues(next)).is_some()
        {
            continued += 1;
        }
        let is_head = section(line).is_some_and(is_of_blocks) || (!has_begun && is_heading(line));
        has_begun = has_begun || !(is_head && line.contains(':'));
        if let Err(why) = check_line(line) {
            list.refuse(number, why);
        } else if is_conditional || is_end || first.eq_ignore_ascii_case("if") {
            is_conditional = !is_end;
            list.refuse(number, "it depends on a condition (`if` of a table of Postfix)");
            table.shield(&mut list, line)?;
        } else if continued > 0 {
            list.refuse(number, "it goes on in the next line: write it as one");
            table.shield(&mut list, line)?;
        } else {
            refuse_section(number, line, rule)?;
            section::refuse_brace(number, line)?;
            if is_head {
                list.leave_out(Reason::Frame);
            } else {
                take_line(&mut list, &mut table, number, line)?;
            }
        }
        list.end();
        list.continued(continued);
    }
    Ok(list)
}

/// Whether a line continues the line before it, as in a table of Postfix.
fn continues(line: &str) -> bool {
    let text = clean(line);
    line.starts_with([' ', '\t'])
        && !text.is_empty()
        && !is_comment(text)
        && words(text).next().is_some_and(|first| network(first).is_err())
}

/// Whether a line is the header of a one-column table, or metadata of the list
/// (`Generated: 2026-11-27`).
pub(crate) fn is_heading(line: &str) -> bool {
    let is_name = role_of_name(without_quotes(line)).is_some_and(|(role, _)| role == Role::Network);
    is_name || (label(line).is_some() && !names_network(line))
}

/// The words before the colon of a line that does not begin with an address.
fn label(line: &str) -> Option<&str> {
    let (label, _) = line.split_once(':')?;
    let is_word = |c: char| c.is_alphabetic() || matches!(c, ' ' | '-' | '_');
    (label.len() < 40 && label.contains(char::is_alphabetic) && label.chars().all(is_word))
        .then_some(label)
        .filter(|label| !is_hexadecimal(label))
}

/// Whether a word may be the first group of an IPv6 address.
fn is_hexadecimal(label: &str) -> bool {
    label.len() <= 4 && label.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a line contains an address or a part of one.
pub(crate) fn names_network(line: &str) -> bool {
    let is_between = |c: char| c.is_whitespace() || ",;()<>\"'=".contains(c);
    let mut words = line.split(is_between).map(|word| word.trim_matches(['.', ':', '-']));
    let mut numbers = line.split(|c: char| !c.is_ascii_digit() && c != '.');
    words.any(|word| networks(word).is_ok() || word.contains("::"))
        || numbers.any(|word| network(word.trim_matches('.')).is_ok())
}

/// The name of a section (`[blacklist]`), as in configuration files; `[true]` is JSON.
pub(crate) fn section(line: &str) -> Option<&str> {
    let name = clean(line.strip_prefix('[')?.strip_suffix(']')?);
    let is_of_name = |c: char| c.is_alphanumeric() || " _-.".contains(c);
    (name.starts_with(char::is_alphabetic) && name.chars().all(is_of_name))
        .then_some(name)
        .filter(|name| !matches!(*name, "true" | "false" | "null"))
}

/// Whether the name of a section says that its lines are blocked.
fn is_of_blocks(name: &str) -> bool {
    const BEGINS: [&str; 11] = [
        "black", "block", "ban", "deny", "denied", "drop", "reject", "sperr", "gesperrt", "spam",
        "abuse",
    ];
    let name = name.to_lowercase();
    let mut words = name.split(|c: char| !c.is_alphanumeric());
    words.any(|word| BEGINS.iter().any(|begin| word.starts_with(begin)))
}

/// Reads one line that is not a comment into the list.
pub(crate) fn take_line(
    list: &mut List,
    table: &mut Table,
    number: usize,
    line: &str,
) -> Result<(), ListError> {
    let (field, comment) = split(line);
    let behind = line[field.len()..].trim_start_matches([';', '#', ' ', '\t']);
    let of_comment = clean(behind.split(';').next().unwrap_or_default());
    if is_length(of_comment) {
        list.refuse(
            number,
            format_args!("`{of_comment}` stands apart: write it behind the address"),
        );
        return Ok(());
    }
    if is_behind_semicolon(comment, line) {
        list.refuse(number, "behind `;` there are addresses: put each on a line of its own");
        return Ok(());
    }
    match parse(without_quotes(field)) {
        Ok((parsed_line, _)) if !table.allows(&parsed_line.networks) => {
            list.refuse(number, "a line before it (`!`) decides outside of another network");
            Ok(())
        }
        Ok((parsed_line, _)) if parsed_line.is_row && table.has_unknown_names => {
            list.refuse(number, UNKNOWN_NAMES);
            Ok(())
        }
        Ok((mut parsed_line, score)) => {
            if let Some(score) = score {
                list.note_score(number, score);
            }
            parsed_line.is_by_longest |= table.is_hash;
            take(list, number, parsed_line, comment)
        }
        Err(_) if table.is_of_host(field) => {
            list.leave_out(Reason::OtherScope);
            Ok(())
        }
        Err(why) => {
            // A fragment of a key cannot be recognised as one.
            let is_shown = mask_keys(line) == line;
            let hides = || "it cannot be read, and is not shown since it may hold a key".to_owned();
            list.refuse(number, if is_shown { why } else { hides() });
            let rest: Vec<&str> = words(field).skip(1).take(2).collect();
            if answer(&rest).is_none() {
                except_all(list, &excepted_in_line(field, list.rule.0))?;
            }
            let all: Vec<&str> = words(field).take(MAX_WORDS).collect();
            let is_named = |word: &str| network(word).is_ok() || word.starts_with('!');
            table.has_unknown_names |=
                list.entries.is_empty() && all.len() > 1 && !all.iter().any(|w| is_named(w));
            table.shield(list, field)
        }
    }
}

/// The fault of several addresses on a line if the names in the first line are unknown.
pub(crate) const UNKNOWN_NAMES: &str = "it has several addresses, and the names in the first line are not known: is one a destination?";

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
        // rbldnsd and Exim exclude the network, wherever in the list the line stands.
        for parsed in &parsed_line.networks {
            list.except(parsed.network, 0, usize::MAX)?;
        }
        list.leave_out(Reason::NotABan);
        return Ok(());
    }
    if list.rule.0 == Rule::Allow && means_no(parsed_line.reason) {
        list.refuse(line, "its value may say that it is not let in: give those that are as a list");
        return Ok(());
    }
    if parsed_line.rule.is_some_and(|rule| rule != list.rule.0) {
        for parsed in &parsed_line.networks {
            if parsed_line.is_by_longest {
                list.except_by_longest_match(parsed.network)?;
                continue;
            }
            // In Postfix the first match decides: later lines do not apply to these networks.
            list.except(parsed.network, list.units + 1, usize::MAX)?;
        }
        list.leave_out(Reason::NotABan);
        return Ok(());
    }
    let reason = if parsed_line.reason.is_empty() { comment } else { parsed_line.reason };
    push_meant(list, line, &parsed_line.networks, reason, "", parsed_line.ends)
}

/// The signs that begin a comment.
const COMMENTS: [&str; 5] = ["#", ";", "//", "!#", "<!--"];

pub(crate) fn is_comment(line: &str) -> bool {
    COMMENTS.iter().any(|sign| line.starts_with(sign))
}

/// Splits a line into its text and its comment.
pub(crate) fn split(line: &str) -> (&str, &str) {
    let at = line.find([';', '#']);
    let slashes = line.find("//").filter(|slashes| at.is_none_or(|at| *slashes < at));
    match slashes.or(at) {
        Some(at) => (clean(&line[..at]), line[at + 1..].trim_matches([';', '#', '/', ' ', '\t'])),
        None => (line, ""),
    }
}

/// Whether a `;` on the line separates addresses rather than beginning a comment.
fn is_behind_semicolon(comment: &str, line: &str) -> bool {
    line.find([';', '#']).is_some_and(|at| line[at..].starts_with(';')) && is_addresses(comment)
}

/// Parses a line without its comment; also returns the score on the line, if any.
fn parse(field: &str) -> Result<(ParsedLine<'_>, Option<&str>), String> {
    let all: Vec<&str> = words(field).take(MAX_WORDS + 1).collect();
    if all.len() > MAX_WORDS {
        return Err(format!("it has more than {MAX_WORDS} words, the limit"));
    }
    let Some((first, rest)) = all.split_first() else {
        return Err("it has no network".to_owned());
    };
    // pf and BIND allow a space behind the `!`.
    if let ("!", [excepted]) = (*first, rest)
        && let Ok(parsed) = network(excepted)
    {
        return Ok((ParsedLine { is_exception: true, ..ParsedLine::of(vec![parsed]) }, None));
    }
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
    let parsed = match network(first) {
        Ok(parsed) => parsed,
        Err(why) => table::part_of_address(first, rest).ok_or(why)?.into(),
    };
    match *rest {
        [] => return Ok((ParsedLine::of(vec![parsed]), None)),
        [length] if is_length(length) => {
            return Ok((ParsedLine::of(vec![network(&format!("{first}{length}"))?]), None));
        }
        [mask] => {
            if let Some(parsed) = network_of_pair(first, mask) {
                return Ok((ParsedLine::of(vec![parsed?]), None));
            }
        }
        [last, mask, ..] if last.parse::<IpAddr>().is_ok() && mask.parse::<u8>().is_ok() => {
            let networks = networks_between(first, last, mask)?;
            let name = field.split('\t').nth(4).map_or("", clean);
            return Ok((ParsedLine::of(networks).because(name), None));
        }
        _ => {}
    }
    if let Some(rule) = table::answer(rest) {
        let answered = ParsedLine { rule: Some(rule), ..ParsedLine::of(vec![parsed]) };
        let behind = rest.first().and_then(|word| Some(field.find(word)? + word.len()));
        let reason = behind.filter(|_| rule == Rule::Block).map_or("", |at| clean(&field[at..]));
        return Ok((answered.because(reason), None));
    }
    if let [value] = *rest
        && (means_not_blocked(value) || means_blocked(value))
    {
        // `geo` of nginx, or a map of HAProxy.
        let rule = if means_not_blocked(value) { Rule::Allow } else { Rule::Block };
        let parsed_line = ParsedLine::of(vec![parsed]).because(value);
        return Ok((ParsedLine { rule: Some(rule), is_by_longest: true, ..parsed_line }, None));
    }
    if rest.iter().all(|word| is_number(word)) {
        return Ok((ParsedLine::of(vec![parsed]), rest.first().copied()));
    }
    if let Some(parsed_line) = in_columns(parsed, field)? {
        return Ok((parsed_line, None));
    }
    let networks: Result<Vec<ParsedNetwork>, String> =
        all.iter().map(|word| network(word)).collect();
    match networks {
        Ok(networks) => Ok((ParsedLine { is_row: true, ..ParsedLine::of(networks) }, None)),
        Err(why) => Err(format!("{why}; a comment behind an address begins with `#` or `;`")),
    }
}

/// Upper bound on the words of a line.
const MAX_WORDS: usize = 4_096;

/// Parses a line of network, reason and end, separated by tabs.
fn in_columns(parsed: ParsedNetwork, field: &str) -> Result<Option<ParsedLine<'_>>, String> {
    let mut columns = field.split('\t').map(clean);
    let (Some(first), Some(reason)) = (columns.next(), columns.next()) else { return Ok(None) };
    if network(first).is_err() || is_addresses(reason) {
        return Ok(None);
    }
    if is_length(reason) {
        return Err(format!("`{reason}` stands apart: write it behind the address"));
    }
    if means_not_blocked(reason) {
        let parsed_line = ParsedLine::of(vec![parsed]).because(reason);
        return Ok(Some(ParsedLine { rule: Some(Rule::Allow), ..parsed_line }));
    }
    let until = columns.next().unwrap_or_default();
    if let Some(date) = columns.find(|column| is_date(column)) {
        return Err(format!(
            "`{}` may be its end: name the columns in a first line",
            excerpt(date)
        ));
    }
    let (reason, until) =
        if until.is_empty() && may_be_end(reason) { ("", reason) } else { (reason, until) };
    let ends = if is_number(until) && parse_end(until, BareNumber::Moment).is_err() {
        Ends::Never
    } else {
        parse_end(until, BareNumber::Moment)?
    };
    Ok(Some(ParsedLine { reason, ends, ..ParsedLine::of(vec![parsed]) }))
}
