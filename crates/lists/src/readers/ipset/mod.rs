//! Sets of ipset, as `ipset save` and `ipset list` print them (ipset(8)).

mod mask;

use std::collections::HashMap;
use std::time::Duration;

use mailmesh_events::Rule;

use crate::candidate::Candidate;
use crate::list::{List, Unit};
use crate::network::networks;
use crate::readers::filled_sets::{FilledSets, MAX_SETS, changes_filled, too_many_sets};
use crate::verdict::list_name::is_for_other_rule;
use crate::words::clean;
use crate::{Ends, ListError, Reason};
use mask::ElementMask;

#[derive(Debug)]
struct Set {
    /// Whether the elements are addresses or networks only.
    is_addresses: bool,
    timeout: Option<u64>,
    mask: ElementMask,
}

/// A set whose type no line gives: its elements show whether they are addresses.
const UNKNOWN: Set = Set { is_addresses: true, timeout: None, mask: ElementMask::None };

pub(crate) fn read(text: &str, rule: Rule) -> Result<List, ListError> {
    let mut list = List::new(Unit::Line, rule);
    let mut sets = Sets::default();
    for (number, line) in (1..).zip(text.lines()) {
        let line = clean(line);
        list.begin_unit();
        if !list.skip_without_content(number, line, &["#"]) {
            sets.read_line(&mut list, number, line)?;
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
    fn read_line(&mut self, list: &mut List, number: usize, line: &str) -> Result<(), ListError> {
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
                return Element { number, line, name, element, options }.add_to(list, set);
            }
            ["del" | "-D" | "flush" | "-F" | "destroy" | "-X", names @ ..] => {
                self.refuse_removal(number, line, names)?;
            }
            ["swap" | "-W" | "rename" | "-E", one, other] => {
                self.swap(list.rule(), number, line, [one, other])?;
            }
            ["COMMIT", ..] => {}
            [element, options @ ..] if self.is_member && !begins_part(&words) => {
                let name = self.listed.as_str();
                let Some(set) = self.by_name.get(name) else {
                    list.leave_out(Reason::OtherScope);
                    return Ok(());
                };
                return Element { number, line, name, element, options }.add_to(list, set);
            }
            words => {
                if !self.read_heading(number, line, words)? {
                    list.refuse(number, "it is no line of `ipset save` or `ipset list`");
                    return Ok(());
                }
            }
        }
        list.leave_out(Reason::Frame);
        Ok(())
    }

    /// Reads a line that describes a set in `ipset list`. Gives whether the line is one.
    fn read_heading(
        &mut self,
        number: usize,
        line: &str,
        words: &[&str],
    ) -> Result<bool, ListError> {
        match words {
            ["Name:", name] => {
                (self.listed, self.is_member) = ((*name).to_owned(), false);
                self.insert(name, UNKNOWN, number)?;
            }
            ["Members:"] => self.is_member = true,
            ["Type:", kind] => {
                let listed = self.listed.clone();
                self.insert(&listed, Set::new(kind, &[]), number)?;
            }
            ["Header:", options @ ..] => {
                if let Some(set) = self.by_name.get_mut(&self.listed) {
                    set.timeout = number_after(options, "timeout");
                    set.mask = ElementMask::of(options);
                }
            }
            [head, ..] => {
                return Ok(!self.listed.is_empty() && line.contains(':') && head.len() < 20);
            }
            [] => return Ok(false),
        }
        Ok(true)
    }

    fn refuse_removal(&self, number: usize, line: &str, names: &[&str]) -> Result<(), ListError> {
        let is_filled = match names {
            [name, ..] => self.filled.contains(name),
            [] => !self.filled.is_empty(),
        };
        if is_filled { Err(changes_filled(number, line, "set", "ipset save")) } else { Ok(()) }
    }

    /// Exchanges the names of two sets; between names for different rules, filled sets may not.
    fn swap(
        &mut self,
        rule: Rule,
        number: usize,
        line: &str,
        [one, other]: [&str; 2],
    ) -> Result<(), ListError> {
        let [was_one_filled, was_other_filled] = [one, other].map(|n| self.filled.remove(n));
        let changes_rule = is_for_other_rule(one, rule) != is_for_other_rule(other, rule);
        if (was_one_filled || was_other_filled) && changes_rule {
            return Err(changes_filled(number, line, "set", "ipset save"));
        }
        if was_one_filled {
            self.filled.add(other, number)?;
        }
        if was_other_filled {
            self.filled.add(one, number)?;
        }
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
        let timeout = number_after(options, "timeout").filter(|t| *t > 0);
        Self { is_addresses, timeout, mask: ElementMask::of(options) }
    }
}

/// Whether a line begins the description of a set in `ipset list`, or its members.
fn begins_part(words: &[&str]) -> bool {
    matches!(words, ["Name:", _] | ["Members:"])
}

fn number_after(options: &[&str], name: &str) -> Option<u64> {
    let at = options.iter().position(|option| *option == name)?;
    options.get(at + 1)?.parse().ok()
}

/// An element, and the line that names it.
struct Element<'a> {
    number: usize,
    line: &'a str,
    /// The name of its set.
    name: &'a str,
    element: &'a str,
    options: &'a [&'a str],
}

impl Element<'_> {
    fn add_to(&self, list: &mut List, set: &Set) -> Result<(), ListError> {
        if !set.is_addresses || self.element.contains(',') {
            list.leave_out(Reason::OtherScope);
            return Ok(());
        }
        let networks = match networks(self.element).and_then(|all| set.mask.widen(all)) {
            Ok(networks) => networks,
            Err(why) => {
                list.refuse(self.number, why);
                return Ok(());
            }
        };
        if self.options.contains(&"nomatch") {
            // `nomatch` excludes the element from wider networks of the set, wherever it stands.
            list.leave_out(Reason::OtherAction);
            return networks.iter().try_for_each(|parsed| list.except_everywhere(parsed.network));
        }
        // A timeout of 0 means no timeout, even if the set has one.
        let timeout = number_after(self.options, "timeout").or(set.timeout).filter(|t| *t > 0);
        if is_for_other_rule(self.name, list.rule()) {
            list.leave_out(Reason::OtherAction);
            return list.except_all_of_set(self.number, &networks, timeout);
        }
        let ends = timeout.map(Duration::from_secs).map_or(Ends::Never, Ends::After);
        let comment = self.line.split_once(" comment \"").map(|(_, comment)| comment);
        let comment = comment.and_then(|comment| comment.split('"').next()).unwrap_or_default();
        let (line, networks) = (self.number, &networks);
        Candidate { line, networks, reason: comment, origin: "ipset", ends }
            .add_if_meant_or_named(self.name, list)
    }
}
