//! Sets of ipset, as `ipset save` and `ipset list` print them (ipset(8)).

use std::collections::HashMap;
use std::time::Duration;

use mailmesh_events::Rule;

use super::filled_sets::{FilledSets, MAX_SETS, changes_filled, too_many_sets};
use crate::candidate::Candidate;
use crate::list::{List, Unit};
use crate::network::networks;
use crate::verdict::list_name::is_for_other_rule;
use crate::words::clean;
use crate::{Ends, ListError, Reason};

#[derive(Debug)]
struct Set {
    /// Whether the elements are addresses or networks only.
    is_addresses: bool,
    timeout: Option<u64>,
}

/// A set whose type no line gives: its elements show whether they are addresses.
const UNKNOWN: Set = Set { is_addresses: true, timeout: None };

pub(crate) fn read(text: &str, rule: Rule) -> Result<List, ListError> {
    let mut list = List::new(Unit::Line, rule);
    let mut sets = Sets::default();
    for (number, line) in (1..).zip(text.lines()) {
        let line = clean(line);
        list.begin_unit();
        if !list.skip_without_content(number, line, &["#"]) {
            sets.take(&mut list, number, line)?;
        }
        list.end_unit();
    }
    Ok(list)
}

/// The sets found so far in a text.
#[derive(Debug, Default)]
struct Sets {
    by_name: HashMap<String, Set>,
    /// The sets to which the text added elements.
    filled: FilledSets,
    /// The set that `ipset list` describes.
    listed: String,
    /// Whether the following lines are members of that set.
    is_member: bool,
}

impl Sets {
    fn take(&mut self, list: &mut List, number: usize, line: &str) -> Result<(), ListError> {
        // A shell script, or a script for `ipset restore` that tolerates existing elements.
        let words = line.strip_prefix("ipset ").unwrap_or(line).split_whitespace();
        let words: Vec<&str> =
            words.filter(|word| !matches!(*word, "-exist" | "-!")).take(64).collect();
        match words.as_slice() {
            ["create" | "-N" | "-n", name, kind, options @ ..] => {
                self.insert(name, Set::new(kind, options), number)?;
            }
            ["add" | "-A" | "-a", name, element, options @ ..] => {
                self.filled.add(name, number)?;
                let set = self.by_name.get(*name).unwrap_or(&UNKNOWN);
                return take(list, (number, line), name, set, element, options);
            }
            ["del" | "-D" | "flush" | "-F" | "destroy" | "-X", names @ ..] => {
                let is_filled = match names {
                    [name, ..] => self.filled.contains(*name),
                    [] => !self.filled.is_empty(),
                };
                if is_filled {
                    return Err(changes_filled(number, line, "set", "ipset save"));
                }
            }
            ["swap" | "-W" | "rename" | "-E", one, other] => {
                let has = [one, other].map(|name| self.filled.remove(*name));
                let is_other = [one, other].map(|name| is_for_other_rule(name, list.rule()));
                if has != [false, false] && is_other[0] != is_other[1] {
                    return Err(changes_filled(number, line, "set", "ipset save"));
                }
                for (_, name) in has.into_iter().zip([other, one]).filter(|(has, _)| *has) {
                    self.filled.add(name, number)?;
                }
            }
            ["COMMIT", ..] => {}
            ["Name:", name] => {
                (self.listed, self.is_member) = ((*name).to_owned(), false);
                self.insert(name, UNKNOWN, number)?;
            }
            ["Members:"] => self.is_member = true,
            [element, options @ ..] if self.is_member => {
                let Some(set) = self.by_name.get(&self.listed) else {
                    list.leave_out(Reason::OtherScope);
                    return Ok(());
                };
                return take(list, (number, line), &self.listed, set, element, options);
            }
            ["Type:", kind] => {
                let listed = self.listed.clone();
                self.insert(&listed, Set::new(kind, &[]), number)?;
            }
            ["Header:", options @ ..] => {
                if let Some(set) = self.by_name.get_mut(&self.listed) {
                    set.timeout = number_after(options, "timeout");
                }
            }
            [head, ..] if !self.listed.is_empty() && line.contains(':') && head.len() < 20 => {}
            _ => {
                list.refuse(number, "it is no line of `ipset save` or `ipset list`");
                return Ok(());
            }
        }
        list.leave_out(Reason::Frame);
        Ok(())
    }

    /// Stores a set under its name, within the bound on sets.
    fn insert(&mut self, name: &str, set: Set, line: usize) -> Result<(), ListError> {
        if self.by_name.len() >= MAX_SETS && !self.by_name.contains_key(name) {
            return Err(too_many_sets(line));
        }
        self.by_name.insert(name.to_owned(), set);
        Ok(())
    }
}

impl Set {
    fn new(kind: &str, options: &[&str]) -> Self {
        let is_addresses = matches!(
            kind,
            "hash:ip" | "hash:net" | "bitmap:ip" | "iphash" | "nethash" | "ipmap" | "iptree"
        );
        Self { is_addresses, timeout: number_after(options, "timeout").filter(|t| *t > 0) }
    }
}

fn number_after(options: &[&str], name: &str) -> Option<u64> {
    let at = options.iter().position(|option| *option == name)?;
    options.get(at + 1)?.parse().ok()
}

fn take(
    list: &mut List,
    (number, line): (usize, &str),
    name: &str,
    set: &Set,
    element: &str,
    options: &[&str],
) -> Result<(), ListError> {
    if !set.is_addresses || element.contains(',') {
        list.leave_out(Reason::OtherScope);
        return Ok(());
    }
    let networks = match networks(element) {
        Ok(networks) => networks,
        Err(why) => {
            list.refuse(number, why);
            return Ok(());
        }
    };
    if options.contains(&"nomatch") {
        // `nomatch` excludes the element from wider networks of the set, wherever it stands.
        for parsed in &networks {
            list.except_everywhere(parsed.network)?;
        }
        list.leave_out(Reason::NotABan);
        return Ok(());
    }
    if is_for_other_rule(name, list.rule()) {
        list.leave_out(Reason::NotABan);
        return Ok(());
    }
    // A timeout of 0 means no timeout, even if the set has one.
    let timeout = number_after(options, "timeout").or(set.timeout).filter(|t| *t > 0);
    let ends = timeout.map_or(Ends::Never, |seconds| Ends::After(Duration::from_secs(seconds)));
    let comment = line
        .split_once(" comment \"")
        .map_or("", |(_, comment)| comment.split('"').next().unwrap_or_default());
    let reason = if comment.is_empty() { name } else { comment };
    Candidate { line: number, networks: &networks, reason, origin: "ipset", ends }.add(list)
}
