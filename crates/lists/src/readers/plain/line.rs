//! Reads one line of a plain list.

use std::net::IpAddr;

use mailmesh_events::Rule;

use super::postfix_table::network_of_partial_key;
use crate::Ends;
use crate::ends::likely::{is_likely_moment, may_be_any_end};
use crate::ends::{BareNumber, may_be_end, parse_end};
use crate::network::length::networks_between;
use crate::network::{ParsedNetwork, is_addresses, is_length, network, network_of_pair, networks};
use crate::secret_key::excerpt;
use crate::verdict::access_map::answered_rule;
use crate::verdict::{
    begins_with_other_verdict, may_be_other_verdict, means_blocked, means_not_blocked,
};
use crate::words::{clean, is_number, words};

/// The parts of a line.
pub(super) struct ParsedLine<'a> {
    pub(super) networks: Vec<ParsedNetwork>,
    pub(super) reason: &'a str,
    pub(super) ends: Ends,
    /// The rule that the line names for these networks.
    pub(super) rule: Option<Rule>,
    /// The longest match decides, rather than the first.
    pub(super) is_by_longest: bool,
    /// The line excludes its networks from the rest of the list (`!192.0.2.7`).
    pub(super) is_exception: bool,
    /// A number behind the network that is not used.
    pub(super) score: Option<&'a str>,
    /// The line holds several networks side by side.
    pub(super) is_row: bool,
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
            score: None,
            is_row: false,
        }
    }

    fn because(mut self, reason: &'a str) -> Self {
        self.reason = reason;
        self
    }
}

/// Parses a line without its comment.
pub(super) fn parse_line(field: &str) -> Result<ParsedLine<'_>, String> {
    let all: Vec<&str> = words(field).take(MAX_WORDS + 1).collect();
    if all.len() > MAX_WORDS {
        return Err(format!("it has more than {MAX_WORDS} words, the limit"));
    }
    let Some((first, rest)) = all.split_first() else {
        return Err("it has no network".to_owned());
    };
    if let Some(parsed_line) = exception(first, rest)? {
        return Ok(parsed_line);
    }
    if let Some(dash) = field.find('-')
        && clean(&field[..dash]).parse::<IpAddr>().is_ok()
    {
        return Ok(ParsedLine::of(networks(field)?));
    }
    let parsed = match network(first) {
        Ok(parsed) => parsed,
        Err(why) => network_of_partial_key(first, rest).ok_or(why)?.into(),
    };
    if let Some(parsed_line) = address_in_parts(first, rest, field)? {
        return Ok(parsed_line);
    }
    if let Some(moment) = rest.iter().find(|word| is_likely_moment(word)) {
        return Err(unnamed_end(moment));
    }
    if let Some(parsed_line) = value_behind(parsed, rest, field) {
        return Ok(parsed_line);
    }
    if let Some(parsed_line) = in_columns(parsed, field)? {
        return Ok(parsed_line);
    }
    let networks: Result<Vec<ParsedNetwork>, String> =
        all.iter().map(|word| network(word)).collect();
    match networks {
        Ok(networks) => Ok(ParsedLine { is_row: true, ..ParsedLine::of(networks) }),
        Err(why) => Err(format!("{why}; a comment behind an address begins with `#` or `;`")),
    }
}

/// A network that the line excludes from the list (`!192.0.2.7`).
fn exception<'a>(first: &str, rest: &[&'a str]) -> Result<Option<ParsedLine<'a>>, String> {
    let excepted = match (first.strip_prefix('!'), rest) {
        // pf and BIND allow a space behind the `!`.
        (Some(""), [excepted]) => network(excepted),
        (Some(excepted), []) => network(excepted),
        (Some(inside), _) if network(inside).is_ok() => {
            return Err("it means what is outside of the network (`!`)".to_owned());
        }
        _ => return Ok(None),
    };
    let parsed_line = |parsed| ParsedLine { is_exception: true, ..ParsedLine::of(vec![parsed]) };
    Ok(excepted.ok().map(parsed_line))
}

/// One network whose address, mask, length or bounds stand apart, or alone.
fn address_in_parts<'a>(
    first: &str,
    rest: &[&str],
    field: &'a str,
) -> Result<Option<ParsedLine<'a>>, String> {
    let networks = match *rest {
        [length] if is_length(length) => vec![network(&format!("{first}{length}"))?],
        [mask] => match network_of_pair(first, mask) {
            Some(parsed) => vec![parsed?],
            None => return Ok(None),
        },
        // Start, end and length of DShield.
        [last, mask, ..] if last.parse::<IpAddr>().is_ok() && mask.parse::<u8>().is_ok() => {
            let name = field.split('\t').nth(4).map_or("", clean);
            let networks = networks_between(first, last, mask)?;
            return Ok(Some(ParsedLine::of(networks).because(name)));
        }
        _ => return Ok(None),
    };
    Ok(Some(ParsedLine::of(networks)))
}

/// A network with nothing behind it, the answer of a mail server, a verdict, or numbers.
fn value_behind<'a>(
    parsed: ParsedNetwork,
    rest: &[&'a str],
    field: &'a str,
) -> Option<ParsedLine<'a>> {
    let bare = ParsedLine::of(vec![parsed]);
    if let Some(rule) = answered_rule(rest) {
        let behind = rest.first().and_then(|word| Some(field.find(word)? + word.len()));
        let reason = behind.filter(|_| rule == Rule::Block).map_or("", |at| clean(&field[at..]));
        return Some(ParsedLine { rule: Some(rule), ..bare.because(reason) });
    }
    if let [value] = *rest
        && (means_not_blocked(value) || means_blocked(value))
    {
        // `geo` of nginx, or a map of HAProxy.
        let rule = if means_not_blocked(value) { Rule::Allow } else { Rule::Block };
        return Some(ParsedLine { rule: Some(rule), is_by_longest: true, ..bare.because(value) });
    }
    let is_scored = rest.iter().all(|word| is_number(word));
    is_scored.then(|| ParsedLine { score: rest.first().copied(), ..bare })
}

/// Upper bound on the words of a line.
pub(super) const MAX_WORDS: usize = 4_096;

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
    for column in columns {
        if may_be_any_end(column) {
            return Err(unnamed_end(column));
        }
        if may_be_other_verdict("", column, Rule::Block) {
            let parsed_line = ParsedLine::of(vec![parsed]).because(reason);
            return Ok(Some(ParsedLine { rule: Some(Rule::Allow), ..parsed_line }));
        }
        if begins_with_other_verdict(column, Rule::Block) {
            let why = "may say that it has ended: name the columns in a first line";
            return Err(format!("`{}` {why}", excerpt(column)));
        }
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

/// The fault of a field that may be an end, in a column without a name.
fn unnamed_end(field: &str) -> String {
    format!("`{}` may be its end: name the columns in a first line", excerpt(field))
}
