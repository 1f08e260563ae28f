//! Sets of ipset, as `ipset save` and `ipset list` print them (ipset(8)).

use std::collections::HashMap;
use std::time::Duration;

use mailmesh_events::Rule;

use crate::field::{clean, networks};
use crate::list::{List, Unit};
use crate::nft::is_other_rule;
use crate::record::push;
use crate::{Ends, ListError, Reason, check_line};

#[derive(Debug, Clone, Default)]
struct Set {
    /// Its elements are addresses or networks, and nothing besides.
    is_addresses: bool,
    timeout: Option<u64>,
}

/// Most sets.
const MAX_SETS: usize = 10_000;

pub(crate) fn read(text: &str, rule: Rule) -> Result<List, ListError> {
    let mut list = List::new(Unit::Line, rule);
    let mut sets: HashMap<String, Set> = HashMap::new();
    // Of `ipset list`: the set whose members follow.
    let mut listed = String::new();
    let mut is_member = false;
    for (number, line) in (1..).zip(text.lines()) {
        let line = clean(line);
        list.begin();
        if let Err(why) = check_line(line) {
            list.refuse(number, why);
            list.end();
            continue;
        }
        // A script for the shell, or one for `ipset restore` that takes what is there already.
        let words = line.strip_prefix("ipset ").unwrap_or(line).split_whitespace();
        let words: Vec<&str> =
            words.filter(|word| !matches!(*word, "-exist" | "-!")).take(64).collect();
        match words.as_slice() {
            [] => list.leave_out(Reason::Blank),
            [first, ..] if first.starts_with('#') => list.leave_out(Reason::Comment),
            ["create" | "-N" | "-n", name, kind, options @ ..] => {
                if sets.len() == MAX_SETS {
                    return Err(ListError::Limit {
                        line: number,
                        what: "there are more sets",
                        limit: MAX_SETS,
                    });
                }
                sets.insert((*name).to_owned(), Set::new(kind, options));
                list.leave_out(Reason::Frame);
            }
            ["add" | "-A" | "-a", name, element, options @ ..] => {
                let set =
                    sets.get(*name).cloned().unwrap_or(Set { is_addresses: true, timeout: None });
                take(&mut list, (number, line), name, &set, element, options)?;
            }
            ["COMMIT" | "flush" | "destroy" | "swap", ..] => list.leave_out(Reason::Frame),
            ["Name:", name] => {
                (listed, is_member) = ((*name).to_owned(), false);
                sets.insert(listed.clone(), Set { is_addresses: true, timeout: None });
                list.leave_out(Reason::Frame);
            }
            ["Members:"] => {
                is_member = true;
                list.leave_out(Reason::Frame);
            }
            [element, options @ ..] if is_member => {
                let set = sets.get(&listed).cloned().unwrap_or_default();
                take(&mut list, (number, line), &listed, &set, element, options)?;
            }
            ["Type:", kind] => {
                sets.insert(listed.clone(), Set::new(kind, &[]));
                list.leave_out(Reason::Frame);
            }
            ["Header:", options @ ..] => {
                if let Some(set) = sets.get_mut(&listed) {
                    set.timeout = number_after(options, "timeout");
                }
                list.leave_out(Reason::Frame);
            }
            [head, ..] if !listed.is_empty() && line.contains(':') && head.len() < 20 => {
                list.leave_out(Reason::Frame);
            }
            _ => list.refuse(number, "it is no line of `ipset save` or `ipset list`"),
        }
        list.end();
    }
    Ok(list)
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
        // It is an exception to wider networks of the set, wherever it stands.
        for parsed in &networks {
            list.except(parsed.network, 0, usize::MAX)?;
        }
        list.leave_out(Reason::NotABan);
        return Ok(());
    }
    if is_other_rule(name, list.rule.0) {
        list.leave_out(Reason::NotABan);
        return Ok(());
    }
    // A timeout of 0 means none, also where the set has one.
    let timeout = number_after(options, "timeout").or(set.timeout).filter(|t| *t > 0);
    let ends = timeout.map_or(Ends::Never, |seconds| Ends::After(Duration::from_secs(seconds)));
    let comment = line
        .split_once(" comment \"")
        .map_or("", |(_, comment)| comment.split('"').next().unwrap_or_default());
    let reason = if comment.is_empty() { name } else { comment };
    push(list, number, &networks, reason, "ipset", ends)
}
