//! Compares the networks that an import takes from a text with the expected ones.

use mailmesh_events::{Rule, UnixMillis};
use mailmesh_lists::*;

/// 2026-11-28T00:00:00Z.
pub(crate) const NOW: UnixMillis = UnixMillis(1_795_824_000_000);

/// A case: the input text, the networks that the import must return, and words that its report or
/// error must contain.
pub(crate) type Case<'a> = (&'a str, &'a [&'a str], &'a [&'a str]);

#[allow(dead_code, reason = "not every test uses all of this")]
pub(crate) fn imported(text: &str) -> (Vec<String>, String) {
    imported_for(Rule::Block, text)
}

#[allow(dead_code, reason = "not every test uses all of this")]
pub(crate) fn imported_for(rule: Rule, text: &str) -> (Vec<String>, String) {
    let terms = Terms { rule, now: NOW, ..Terms::default() };
    let mut list = match read_for(rule, text, Format::guess(text)) {
        Ok(list) => list,
        Err(error) => return (Vec::new(), error.to_string()),
    };
    list.select_for_import(&terms);
    assert_eq!(list.imported() + list.left_out.total(), list.units, "{text}");
    let mut networks: Vec<String> = list.entries.iter().map(|e| e.network.to_string()).collect();
    networks.sort();
    let mut report: Vec<String> = list
        .left_out
        .iter()
        .map(|(reason, n)| format!("{n} {}", reason.name(list.rule())))
        .collect();
    report.extend(list.bad.iter().map(|bad| format!("bad {}: {}", bad.line, bad.why)));
    report.extend(list.notes.iter().map(|note| format!("note {}: {}", note.line, note.what)));
    (networks, report.join("\n"))
}

#[allow(dead_code, reason = "not every test uses all of this")]
pub(crate) fn check(cases: &[Case<'_>]) {
    check_for(Rule::Block, cases);
}

/// As [`check`], for lists of networks to let in.
#[allow(dead_code, reason = "not every test uses all of this")]
pub(crate) fn check_allow(cases: &[Case<'_>]) {
    check_for(Rule::Allow, cases);
}

fn check_for(rule: Rule, cases: &[Case<'_>]) {
    let mut faults = String::new();
    for (text, networks, words) in cases {
        let (read, report) = imported_for(rule, text);
        let missing: Vec<_> = words.iter().filter(|word| !report.contains(**word)).collect();
        if read != *networks || !missing.is_empty() {
            faults += &format!("\n---\n{text}\nread {read:?}\nmissing {missing:?} in\n{report}\n");
        }
    }
    assert!(faults.is_empty(), "{faults}");
}
