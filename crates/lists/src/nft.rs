//! Sets of nftables, as `nft list set` and `nft list ruleset` print them, and as a script adds to
//! them (nft(8)).

use std::time::Duration;

use mailmesh_events::Rule;

use crate::field::{clean, networks};
use crate::list::{List, Unit};
use crate::record::push;
use crate::{Ends, ListError, MAX_LINE, Reason};

/// The properties of a set while its elements are read.
#[derive(Debug, Default)]
pub(crate) struct Set {
    pub(crate) name: String,
    pub(crate) is_addresses: bool,
    /// The timeout of elements without one of their own, in seconds.
    pub(crate) timeout: Option<u64>,
}

/// Whether the elements of a set are addresses and nothing besides: those with a port block a
/// port only.
pub(crate) fn is_address_type(kind: &str) -> bool {
    matches!(clean(kind), "ipv4_addr" | "ipv6_addr")
}

/// Whether the name of a set says that it is of the other rule. The rules that refer to a set are
/// not in its listing, so names are all there is.
pub(crate) fn is_other_rule(name: &str, rule: Rule) -> bool {
    let name = name.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    match rule {
        Rule::Block => {
            has(&[
                "allow", "white", "trust", "permit", "accept", "pass", "exempt", "ignore", "safe",
                "bypass", "nomatch", "friend",
            ]) && !has(&["disallow", "untrust", "unsafe", "notrust"])
        }
        Rule::Allow => has(&["block", "black", "ban", "deny", "denied", "drop", "reject", "bad"]),
    }
}

/// Reads line by line: elements begin on a line and end at a comma or brace, perhaps on a later
/// one.
pub(crate) fn read(text: &str, rule: Rule) -> Result<List, ListError> {
    let mut list = List::new(Unit::Line, rule);
    let mut set = Set::default();
    let mut element = Element::default();
    let mut is_within = false;
    let mut lines = (1..).zip(text.lines()).peekable();
    while let Some((number, line)) = lines.next() {
        // A script for the shell has the program's name before.
        let line = clean(line);
        let line = line.strip_prefix("nft ").unwrap_or(line);
        list.begin();
        // A line may have any length: a set may have its elements on one.
        if list.passes_over_comment(line, &["#"]) {
            list.end();
            continue;
        }
        let mut rest = line;
        if !is_within {
            head(line, &mut set);
            match elements_of(line) {
                Some(after) => {
                    is_within = true;
                    rest = after;
                }
                None => rest = "",
            }
        }
        while is_within && !rest.is_empty() {
            let at = element.end_in(rest);
            let (part, after) = at.map_or((rest, ""), |at| (&rest[..at], &rest[at..]));
            element.add(part, number);
            let Some(sign) = after.chars().next() else { break };
            is_within = sign != '}';
            rest = clean(&after[1..]);
            element.take(&mut list, &set)?;
        }
        if is_within && lines.peek().is_none() {
            list.refuse(number, "the list ends within the elements of a set");
        }
        list.end();
    }
    Ok(list)
}

/// Reads name, type and timeout of a set from a line outside of elements.
fn head(line: &str, set: &mut Set) {
    let words: Vec<&str> = line.split_whitespace().take(12).collect();
    match words.as_slice() {
        ["set" | "map", name, ..] => *set = Set { name: shorten(name), ..Set::default() },
        ["add" | "create", "set", _, _, name, ..] => {
            *set = Set { name: shorten(name), ..Set::default() };
        }
        // Its type is that of an earlier line; without one, its elements say it.
        ["add" | "create", "element", _, _, name, ..] if set.name != *name => {
            *set = Set { name: shorten(name), is_addresses: true, timeout: None };
        }
        _ => {}
    }
    for statement in line.split([';', '{']).map(clean) {
        if let Some(kind) = statement.strip_prefix("type ") {
            set.is_addresses = is_address_type(kind);
        } else if let Some(kind) = statement.strip_prefix("typeof ") {
            set.is_addresses = !kind.contains(" . ") && kind.contains("addr");
        } else if let Some(timeout) = statement.strip_prefix("timeout ") {
            set.timeout = seconds(timeout);
        }
    }
}

fn shorten(name: &str) -> String {
    name.chars().take(80).collect()
}

/// The text behind the brace before elements.
fn elements_of(line: &str) -> Option<&str> {
    let is_script = ["add element", "create element"].iter().any(|begin| line.starts_with(begin));
    let at = if is_script { 0 } else { line.find("elements")? };
    let brace = at + line[at..].find('{')?;
    Some(clean(&line[brace + 1..]))
}

/// An element that may go on over lines.
#[derive(Debug, Default)]
struct Element {
    text: String,
    /// The line where it begins; 0 if it has not.
    begins_at: usize,
    is_quoted: bool,
    is_too_long: bool,
}

impl Element {
    /// The end of the element in a text: a comma or brace that is in no quotes.
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

    /// Takes it into the list, and begins the next.
    fn take(&mut self, list: &mut List, set: &Set) -> Result<(), ListError> {
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
        if !set.is_addresses || text.contains(" . ") {
            list.leave_out(Reason::OtherScope);
            return Ok(());
        }
        if is_other_rule(&set.name, list.rule.0) {
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

/// A time of nft (`1d2h3m4s5ms`), in whole seconds and not shorter.
fn seconds(text: &str) -> Option<u64> {
    let text = text.trim_end_matches(';');
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    let duration = humantime::parse_duration(text).ok()?;
    Some(duration.as_secs() + u64::from(duration.subsec_nanos() > 0))
}
