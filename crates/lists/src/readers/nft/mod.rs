//! Sets of nftables, as `nft list set` and `nft list ruleset` print them, and as scripts add to
//! them (nft(8)).

mod element;
mod element_text;

use mailmesh_events::Rule;

use crate::list::{List, Unit};
use crate::network::networks;
use crate::readers::filled_sets::{FilledSets, changes_filled};
use crate::readers::set_rules::{SetRules, without_quoted};
use crate::words::clean;
use crate::{ListError, Reason};
pub(crate) use element::{Element, ElementForm, Set, is_address_type};
use element_text::{ElementText, parse_seconds};

/// Reads line by line. An element ends at a comma or brace, perhaps on a later line than it began.
pub(crate) fn read(text: &str, rule: Rule) -> Result<List, ListError> {
    let mut list = List::new(Unit::Line, rule);
    let rules = SetRules::of_text(text);
    let mut filled = FilledSets::default();
    let mut set = Set::default();
    let mut element = ElementText::default();
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
            read_head(line, &mut set);
            match elements_of(line) {
                Some(after) => {
                    filled.add(&set.name, number)?;
                    is_within = true;
                    rest = after;
                }
                None => {
                    count_other_line(&mut list, number, line)?;
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
            element.add_to(&mut list, &set, &rules)?;
        }
        if is_within && lines.peek().is_none() {
            list.refuse(number, "the list ends within the elements of a set");
        }
        list.end_unit();
    }
    Ok(list)
}

/// Reads the name, type and timeout of a set from a line outside of elements.
fn read_head(line: &str, set: &mut Set) {
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
            set.timeout = parse_seconds(timeout);
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

/// Refuses a script that removes what it added: the final sets do not follow from the text.
fn refuse_removal(number: usize, line: &str, filled: &FilledSets) -> Result<(), ListError> {
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
    Err(changes_filled(number, line, "set", "nft list ruleset"))
}

/// Counts a line outside of elements. A rule that names an address, or a line of another firewall
/// (pf, Junos, VyOS), must not be counted as a frame.
fn count_other_line(list: &mut List, number: usize, line: &str) -> Result<(), ListError> {
    const OF_RULES: [&str; 10] =
        ["saddr", "daddr", "accept", "drop", "reject", "return", "snat", "dnat", "jump", "goto"];
    let bare = without_quoted(line);
    let words = bare.split(|c: char| c.is_whitespace() || matches!(c, '{' | '}' | ',' | ';' | '='));
    let Some(named) = words.clone().find(|word| networks(word).is_ok()) else {
        list.leave_out(Reason::Frame);
        return Ok(());
    };
    if !words.clone().any(|word| OF_RULES.contains(&word)) {
        let why = format!("`{named}` is in no set of nftables; give the addresses as lines");
        list.refuse(number, why);
        return Ok(());
    }
    list.leave_out(Reason::Rule);
    // A rule for the other verdict may apply before the drop of a set.
    let others: &[&str] = match list.rule() {
        Rule::Block => &["accept", "return"],
        Rule::Allow => &["drop", "reject"],
    };
    // A drop of all but some addresses does not drop these.
    let is_not = list.rule() == Rule::Block && bare.contains("saddr !=");
    if !is_not && !words.clone().any(|word| others.contains(&word)) {
        return Ok(());
    }
    let sources = words.skip_while(|word| *word != "saddr").take_while(|word| *word != "daddr");
    sources
        .filter_map(|word| networks(word).ok())
        .flatten()
        .try_for_each(|parsed| list.except_everywhere(parsed.network))
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
