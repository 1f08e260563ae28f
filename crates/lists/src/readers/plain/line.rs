//! Reads one line of a plain list.

use std::net::IpAddr;

use mailmesh_events::Rule;

use super::postfix_table::network_of_partial_key;
use crate::Ends;
use crate::ends::date::is_date;
use crate::ends::{BareNumber, may_be_end, parse_end};
use crate::network::length::networks_between;
use crate::network::{ParsedNetwork, is_addresses, is_length, network, network_of_pair, networks};
use crate::secret_key::excerpt;
use crate::verdict::access_map::answered_rule;
use crate::verdict::{means_blocked, means_not_blocked};
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
            is_row: false,
        }
    }

    fn because(mut self, reason: &'a str) -> Self {
        self.reason = reason;
        self
    }
}

/// Parses a line without its comment; also returns the score on the line, if any.
pub(super) fn parse_line(field: &str) -> Result<(ParsedLine<'_>, Option<&str>), String> {
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
        Err(why) => network_of_partial_key(first, rest).ok_or(why)?.into(),
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
    if let Some(rule) = answered_rule(rest) {
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

/// Upper bound on the words of a line.
pub(super) const MAX_WORDS: usize = 4_096;
