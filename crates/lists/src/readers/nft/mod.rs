//! Sets of nftables, as `nft list set` and `nft list ruleset` print them, and as scripts add to
//! them (nft(8)).

use std::collections::HashSet;
use std::time::Duration;

use mailmesh_events::Rule;

use crate::list::{List, Unit};
use crate::network::{network, networks};
use crate::readers::set_rules::{SetRules, without_quoted};
use crate::record::push;
use crate::secret_key::excerpt;
use crate::words::clean;
use crate::{Ends, ListError, MAX_LINE, Reason};

/// The properties of a set whose elements are being read.
#[derive(Debug, Default)]
pub(crate) struct Set {
    pub(crate) name: String,
    pub(crate) is_addresses: bool,
    /// The timeout of elements that have none of their own, in seconds.
    pub(crate) timeout: Option<u64>,
}

/// Whether the elements of a set of this type are addresses only. An element with a port blocks
/// only that port.
pub(crate) fn is_address_type(kind: &str) -> bool {
    matches!(clean(kind), "ipv4_addr" | "ipv6_addr")
}

/// Reads line by line. An element ends at a comma or brace, perhaps on a later line than it began.
pub(crate) fn read(text: &str, rule: Rule) -> Result<List, ListError> {
    let mut list = List::new(Unit::Line, rule);
    let uses = SetRules::of_text(text);
    let mut filled = HashSet::new();
    let mut set = Set::default();
    let mut element = Element::default();
    let mut is_within = false;
    let mut lines = (1..).zip(text.lines()).peekable();
    while let Some((number, line)) = lines.next() {
        // Shell scripts have the program's name in front.
        let line = clean(line);
        let line = line.strip_prefix("nft ").unwrap_or(line);
        list.begin_unit();
        // No length check here: all elements of a set may stand on one line.
        if list.skip_blank_or_comment(line, &["#"]) {
            list.end_unit();
            continue;
        }
        let mut rest = line;
        if !is_within {
            refuse_removal(number, line, &filled)?;
            head(line, &mut set);
            match elements_of(line) {
                Some(after) => {
                    fill(&mut filled, &set.name, number)?;
                    is_within = true;
                    rest = after;
                }
                None => {
                    judge_other(&mut list, number, line);
                    rest = "";
                }
            }
        }
        while is_within && !rest.is_empty() {
            let at = element.end_in(rest);
            let (part, after) = at.map_or((rest, ""), |at| (&rest[..at], &rest[at..]));
            element.add(part, number);
            let Some(sign) = after.chars().next() else { break };
            is_within = sign != '}';
            rest = clean(&after[1..]);
            element.take(&mut list, &set, &uses)?;
        }
        if is_within && lines.peek().is_none() {
            list.refuse(number, "the list ends within the elements of a set");
        }
        list.end_unit();
    }
    Ok(list)
}

/// Reads the name, type and timeout of a set from a line outside of elements.
fn head(line: &str, set: &mut Set) {
    let words: Vec<&str> = line.split_whitespace().take(12).collect();
    match words.as_slice() {
        ["set" | "map", name, ..] => *set = Set { name: shorten(name), ..Set::default() },
        // The command may omit the family.
        ["add" | "create", "element", ..] => {
            let name = name_before_brace(line);
            // An earlier line gave the type; without such a line, the elements count as addresses.
            if set.name != name {
                *set = Set { name: shorten(name), is_addresses: true, timeout: None };
            }
        }
        ["add" | "create", "set", _, _, name, ..] => {
            *set = Set { name: shorten(name), ..Set::default() };
        }
        _ => {}
    }
    for statement in line.split([';', '{']).map(clean) {
        if let Some(kind) = statement.strip_prefix("type ") {
            set.is_addresses = is_address_type(kind);
        } else if let Some(kind) = statement.strip_prefix("typeof ") {
            set.is_addresses = matches!(clean(kind), "ip saddr" | "ip6 saddr");
        } else if let Some(timeout) = statement.strip_prefix("timeout ") {
            set.timeout = seconds(timeout);
        }
    }
}

/// The last word before a brace: the name in `add element FAMILY TABLE NAME { ... }`.
fn name_before_brace(line: &str) -> &str {
    let before = line.split(['{', ';']).next().unwrap_or_default();
    // A shell quote may begin before the brace.
    let mut words = before.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\\'));
    words.rfind(|word| !word.is_empty()).unwrap_or_default()
}

/// Upper bound on the sets that a text may fill.
const MAX_SETS: usize = 10_000;

fn fill(filled: &mut HashSet<String>, name: &str, line: usize) -> Result<(), ListError> {
    if filled.contains(name) {
        return Ok(());
    }
    if filled.len() == MAX_SETS {
        return Err(ListError::Limit { line, what: "there are more sets", limit: MAX_SETS });
    }
    filled.insert(name.to_owned());
    Ok(())
}

/// Refuses a script that removes what it added: the final sets do not follow from the text.
fn refuse_removal(number: usize, line: &str, filled: &HashSet<String>) -> Result<(), ListError> {
    let words: Vec<&str> = line.split_whitespace().take(2).collect();
    let ["delete" | "destroy" | "flush" | "reset", kind] = words.as_slice() else {
        return Ok(());
    };
    let is_of_set = matches!(*kind, "element" | "set" | "map");
    let is_filled = match (is_of_set, *kind) {
        (true, _) => filled.contains(&shorten(name_before_brace(line))),
        (_, "table" | "ruleset") => !filled.is_empty(),
        _ => false,
    };
    if !is_filled {
        return Ok(());
    }
    let why = format!("line {number}: `{}` changes a set that was filled before", excerpt(line));
    Err(ListError::NotAList { why, command: "nft list ruleset" })
}

/// Counts a line outside of elements. A rule that names an address, or a line of another firewall
/// (pf, Junos, VyOS), must not be counted as a frame.
fn judge_other(list: &mut List, number: usize, line: &str) {
    const OF_RULES: [&str; 10] =
        ["saddr", "daddr", "accept", "drop", "reject", "return", "snat", "dnat", "jump", "goto"];
    let bare = without_quoted(line);
    let mut words =
        bare.split(|c: char| c.is_whitespace() || matches!(c, '{' | '}' | ',' | ';' | '='));
    let Some(named) = words.clone().find(|word| network(word).is_ok()) else {
        list.leave_out(Reason::Frame);
        return;
    };
    if words.any(|word| OF_RULES.contains(&word)) {
        list.leave_out(Reason::Rule);
    } else {
        let why = format!("`{}` is in no set of nftables; give the addresses as lines", named);
        list.refuse(number, why);
    }
}

fn shorten(name: &str) -> String {
    name.chars().take(80).collect()
}

/// The text behind the brace that opens the elements.
fn elements_of(line: &str) -> Option<&str> {
    let is_script = ["add element", "create element"].iter().any(|begin| line.starts_with(begin));
    let at = if is_script { 0 } else { line.find("elements")? };
    let brace = at + line[at..].find('{')?;
    Some(clean(&line[brace + 1..]))
}

/// An element; it may continue over several lines.
#[derive(Debug, Default)]
struct Element {
    text: String,
    /// The line where the element begins; 0 before it begins.
    begins_at: usize,
    is_quoted: bool,
    is_too_long: bool,
}

impl Element {
    /// The offset in a text where the element ends: a comma or closing brace outside of quotes.
    fn end_in(&self, text: &str) -> Option<usize> {
        let mut is_quoted = self.is_quoted;
        text.bytes().position(|byte| {
            is_quoted ^= byte == b'"';
            !is_quoted && matches!(byte, b',' | b'}')
        })
    }

    fn add(&mut self, part: &str, line: usize) {
        if self.begins_at == 0 && !clean(part).is_empty() {
            self.begins_at = line;
        }
        self.is_quoted ^= part.bytes().filter(|byte| *byte == b'"').count() % 2 == 1;
        self.is_too_long |= self.text.len() + part.len() > MAX_LINE;
        if !self.is_too_long {
            self.text.push_str(part);
            self.text.push(' ');
        }
    }

    /// Adds the element to the list, and resets this value for the next element.
    fn take(&mut self, list: &mut List, set: &Set, uses: &SetRules) -> Result<(), ListError> {
        let Self { text, begins_at, is_too_long, .. } = std::mem::take(self);
        if is_too_long {
            let why = format_args!("the element has more than {MAX_LINE} bytes, the limit");
            list.refuse(begins_at, why);
            return Ok(());
        }
        let text = clean(&text);
        if text.is_empty() {
            return Ok(());
        }
        let bare = without_quoted(text);
        // A concatenation, or an element of a map.
        if !set.is_addresses || bare.contains(" . ") || bare.contains(" : ") {
            list.leave_out(Reason::OtherScope);
            return Ok(());
        }
        if uses.is_other(&set.name, list.rule()) {
            if uses.has(&set.name) {
                list.note_set_of_no_bans(begins_at, &set.name, "a rule of the text lets it in");
            }
            list.leave_out(Reason::NotABan);
            return Ok(());
        }
        if bare.split_whitespace().any(|word| COUNTERS.contains(&word)) {
            list.note_set_of_no_bans(begins_at, &set.name, "its elements count or limit");
            list.leave_out(Reason::NotABan);
            return Ok(());
        }
        let (before_comment, comment) = match text.split_once(" comment \"") {
            Some((before, comment)) => (before, comment.split('"').next().unwrap_or_default()),
            None => (text, ""),
        };
        let mut words = before_comment.split_whitespace();
        let value = words.next().unwrap_or_default();
        let (mut timeout, mut left) = (set.timeout, None);
        while let Some(word) = words.next() {
            match word {
                "timeout" => timeout = words.next().and_then(seconds),
                "expires" => left = words.next().and_then(seconds),
                _ => {}
            }
        }
        let ends = left.or(timeout).map_or(Ends::Never, |s| Ends::After(Duration::from_secs(s)));
        match networks(value) {
            Ok(networks) => {
                let reason = if comment.is_empty() { &set.name } else { comment };
                push(list, begins_at, &networks, reason, "nftables", ends)
            }
            Err(why) => {
                list.refuse(begins_at, why);
                Ok(())
            }
        }
    }
}

/// Words of an element that counts or limits the traffic of an address (`ct count`, `limit rate`):
/// the element is not a ban.
const COUNTERS: [&str; 3] = ["limit", "quota", "ct"];

/// A time of nft (`1d2h3m4s5ms`) in seconds, rounded up.
fn seconds(text: &str) -> Option<u64> {
    let text = text.trim_end_matches(';');
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    let duration = humantime::parse_duration(text).ok()?;
    Some(duration.as_secs() + u64::from(duration.subsec_nanos() > 0))
}
