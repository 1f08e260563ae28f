//! Address lists of RouterOS, as `/ip firewall address-list export` prints them, and as scripts add
//! to them.

use std::collections::HashSet;
use std::time::Duration;

use mailmesh_events::Rule;

use super::filled_sets::changes_filled;
use super::logical_lines::{Joining, LogicalLine, logical_lines};
use crate::candidate::Candidate;
use crate::list::{List, Unit};
use crate::network::{mentions_network, networks};
use crate::readers::set_rules::{RuleEffect, SetRules};
use crate::secret_key::excerpt;
use crate::verdict::is_true;
use crate::words::clean;
use crate::{Ends, ListError, MAX_LINE, Reason, check_line};

/// Whether a line belongs to a script or an export.
pub(crate) fn is_script_line(line: &str) -> bool {
    let line = without_wrapper(line);
    let begins = ["/ip firewall", "/ipv6 firewall", "/ip/firewall", "/ipv6/firewall"];
    begins.iter().any(|begin| line.starts_with(begin))
        || (line.starts_with("add ") && line.contains("address=") && line.contains("list="))
}

/// A line without the wrapper that catches errors: `:do { ... } on-error={}`.
fn without_wrapper(line: &str) -> &str {
    let inner = line.strip_prefix(":do {").or_else(|| line.strip_prefix(":do{"));
    inner.map_or(line, |inner| clean(inner.rsplit_once("} on-error").map_or(inner, |(i, _)| i)))
}

pub(crate) fn read(text: &str, rule: Rule) -> Result<List, ListError> {
    let mut list = List::new(Unit::Line, rule);
    let mut reader = Reader { rules: set_rules_of(text), is_of_lists: true, is_filled: false };
    for LogicalLine { number, line, continued, is_too_long } in
        logical_lines(text, Joining::RouterOs)
    {
        list.begin_unit();
        let line = &*line;
        if is_too_long {
            list.refuse(number, format_args!("it goes on for more than {MAX_LINE} bytes"));
            list.end_unit();
            list.count_continued(continued);
            continue;
        }
        if !list.skip_without_content(number, line, &["#"]) {
            reader.read_line(&mut list, number, without_wrapper(line))?;
        }
        list.end_unit();
        list.count_continued(continued);
    }
    Ok(list)
}

/// The lists that firewall rules of the text accept or drop.
fn set_rules_of(text: &str) -> SetRules {
    let mut rules = SetRules::default();
    let lines = logical_lines(text, Joining::RouterOs).filter(|logical| !logical.is_too_long);
    for LogicalLine { line, .. } in lines.filter(|logical| check_line(&logical.line).is_ok()) {
        if !line.contains("-address-list=") {
            continue;
        }
        let parts = split_words(&line);
        if value_of(&parts, "disabled").is_some_and(is_true) {
            continue;
        }
        let action = value_of(&parts, "action").unwrap_or_default();
        let names = |key| value_of(&parts, key).into_iter();
        // A rule without an action accepts; `passthrough` only counts.
        let is_accepted = matches!(action, "accept" | "return" | "");
        let is_counted = action == "passthrough";
        let is_dropped = matches!(action, "drop" | "reject" | "tarpit");
        let chain = value_of(&parts, "chain").unwrap_or_default();
        for name in names("src-address-list") {
            let is_not = name.starts_with('!');
            let name = std::iter::once(name.trim_start_matches('!'));
            let effect = RuleEffect::of(is_accepted, is_counted || is_not, is_dropped);
            rules.add(name, chain, effect);
        }
        // A list of destinations is never read as bans.
        let far = names("dst-address-list").map(|name| name.trim_start_matches('!'));
        rules.add(far, chain, RuleEffect::LetsIn);
    }
    rules
}

struct Reader {
    rules: SetRules,
    /// Whether the current lines are of address lists, rather than of another menu.
    is_of_lists: bool,
    is_filled: bool,
}

impl Reader {
    fn read_line(&mut self, list: &mut List, number: usize, line: &str) -> Result<(), ListError> {
        let parts = split_words(line);
        let mut words: Vec<&str> = Vec::new();
        for part in &parts {
            words.extend(part.split('/').filter(|word| !word.is_empty()));
            if !part.starts_with('/') && words.len() > 4 {
                break;
            }
            if matches!(words.last(), Some(&("add" | "remove" | "set" | "export" | "print"))) {
                break;
            }
        }
        let verb = words.iter().position(|w| matches!(*w, "add" | "remove" | "set"));
        if line.starts_with('/') {
            let menu = &words[..verb.unwrap_or(words.len()).min(3)];
            self.is_of_lists = matches!(menu, ["ip" | "ipv6", "firewall", "address-list"]);
        }
        match verb.map(|at| words[at]) {
            Some("add") if self.is_of_lists => return self.add(list, number, &parts),
            Some("remove" | "set") if self.is_of_lists && self.is_filled => {
                let command = "/ip firewall address-list export";
                return Err(changes_filled(number, line, "list", command));
            }
            Some("add") if line.contains("address") => {
                list.leave_out(Reason::Rule);
                return except_sources(list, &parts);
            }
            Some(_) => list.leave_out(Reason::Frame),
            None if mentions_network(line) => {
                list.refuse(number, "it is no line of an address list of RouterOS");
            }
            None => list.leave_out(Reason::Frame),
        }
        Ok(())
    }

    fn add(&mut self, list: &mut List, number: usize, parts: &[String]) -> Result<(), ListError> {
        let mut keys = HashSet::new();
        let twice = parts.iter().filter_map(|part| part.split_once('=')).map(|(key, _)| key);
        if let Some(key) = twice.into_iter().find(|key| !keys.insert(*key)) {
            list.refuse(number, format_args!("it has `{}` twice", excerpt(key)));
            return Ok(());
        }
        let name = value_of(parts, "list").unwrap_or_default();
        let address = value_of(parts, "address").unwrap_or_default();
        self.is_filled = true;
        if value_of(parts, "disabled").is_some_and(is_true) {
            list.leave_out(Reason::OtherAction);
            return Ok(());
        }
        if self.rules.is_other(name, list.rule()) {
            if self.rules.is_named(name) {
                let why = match list.rule() {
                    Rule::Block => "a rule lets it in, or it is of destinations",
                    Rule::Allow => "a rule drops it",
                };
                list.note_set_for_other_rule(number, name, why);
            }
            list.leave_out(Reason::OtherAction);
            if !self.rules.is_exception(name, list.rule()) {
                return Ok(());
            }
            let timeout = value_of(parts, "timeout").and_then(parse_timeout);
            let seconds = match timeout {
                Some(Ends::After(left)) => Some(left.as_secs()),
                _ => None,
            };
            // A host name is not an address.
            let networks = networks(address).unwrap_or_default();
            return list.except_all_of_set(number, &networks, seconds);
        }
        let is_name = address.starts_with(|c: char| c.is_ascii_alphabetic())
            && address.contains('.')
            && !address.contains(['/', ':']);
        let networks = match networks(address) {
            Ok(networks) => networks,
            Err(_) if is_name => {
                list.leave_out(Reason::OtherScope);
                return Ok(());
            }
            Err(why) => {
                list.refuse(number, why);
                return Ok(());
            }
        };
        let timeout = value_of(parts, "timeout").unwrap_or_default();
        let Some(ends) = parse_timeout(timeout) else {
            list.refuse(number, format_args!("`{}` is no timeout", excerpt(timeout)));
            return Ok(());
        };
        let (networks, reason) = (&networks, value_of(parts, "comment").unwrap_or_default());
        Candidate { line: number, networks, reason, origin: "RouterOS", ends }
            .add_if_meant_or_named(name, list)
    }
}

/// Cuts the sources of a rule for the other verdict out of the list: it may apply first.
fn except_sources(list: &mut List, parts: &[String]) -> Result<(), ListError> {
    let action = value_of(parts, "action").unwrap_or_default();
    let is_other = match list.rule() {
        Rule::Block => matches!(action, "accept" | "return" | ""),
        Rule::Allow => matches!(action, "drop" | "reject" | "tarpit"),
    };
    let is_off = value_of(parts, "disabled").is_some_and(is_true);
    let source = value_of(parts, "src-address").filter(|_| is_other && !is_off);
    let source = source.unwrap_or_default();
    let networks = networks(source).unwrap_or_default();
    networks.iter().try_for_each(|parsed| list.except_everywhere(parsed.network))
}

/// The words of a line; a word may be `key="quoted value"`.
fn split_words(line: &str) -> Vec<String> {
    let (mut parts, mut part) = (Vec::new(), String::new());
    let (mut is_quoted, mut is_escaped) = (false, false);
    for c in line.chars() {
        match c {
            _ if is_escaped => {
                part.push(c);
                is_escaped = false;
            }
            '\\' => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            c if c.is_whitespace() && !is_quoted => {
                if !part.is_empty() {
                    parts.push(std::mem::take(&mut part));
                }
            }
            c => part.push(c),
        }
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

fn value_of<'a>(parts: &'a [String], key: &str) -> Option<&'a str> {
    parts.iter().find_map(|part| part.split_once('=').filter(|(k, _)| *k == key)).map(|(_, v)| v)
}

/// The end after a timeout: `1d2h`, `00:30:00`, `1d 00:30:00`.
fn parse_timeout(timeout: &str) -> Option<Ends> {
    if matches!(timeout, "" | "none-static" | "none-dynamic") {
        return Some(Ends::Never);
    }
    let (days, clock) = match timeout.rfind(['d', 'w', ' ']) {
        Some(at) if timeout.contains(':') => timeout.split_at(at + 1),
        _ if timeout.contains(':') => ("", timeout),
        _ => (timeout, ""),
    };
    let mut seconds = match clean(days) {
        "" => 0,
        days => humantime::parse_duration(days).ok()?.as_secs(),
    };
    if !clock.is_empty() {
        let numbers: Option<Vec<u64>> = clock.split(':').map(|n| n.parse().ok()).collect();
        let [hours, minutes, rest] = *numbers? else { return None };
        let of_clock = [(hours, 3_600), (minutes, 60), (rest, 1)];
        for (number, unit) in of_clock {
            seconds = u64::checked_add(seconds, number.checked_mul(unit)?)?;
        }
    }
    let is_none = seconds == 0;
    Some(if is_none { Ends::Never } else { Ends::After(Duration::from_secs(seconds)) })
}
