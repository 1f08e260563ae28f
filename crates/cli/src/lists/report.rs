//! The report on a list that was read.

use std::path::Path;

use mailmesh::lists::{Ended, Ends, LeftOutNetworks, List, Unit};

use mailmesh::secrets::{path_words, redact};

use super::SHOWN;
use crate::say::note;

/// The unit that a list is counted in.
pub(super) fn units(list: &List) -> &'static str {
    match list.unit {
        Unit::Entry => "entries",
        Unit::Line => "lines",
    }
}

/// How many lines there are, and what became of them: the numbers add up.
pub(super) fn account(list: &List) -> String {
    let left_out = list.left_out.iter().map(|(reason, count)| format!("{count} {}", reason.name()));
    let parts: Vec<String> =
        std::iter::once(format!("{} imported", list.imported())).chain(left_out).collect();
    let units = match (list.units, list.unit) {
        (1, Unit::Line) => "line",
        (1, Unit::Entry) => "entry",
        _ => units(list),
    };
    format!("{} {units}: {}", list.units, parts.join(", "))
}

/// Bad lines, notes, and networks that are left out.
pub(super) fn details(file: &Path, list: &List, left_out_networks: &LeftOutNetworks) {
    let file = path_words(file);
    let mut bad: Vec<_> = list.bad.iter().collect();
    bad.sort_by_key(|bad| bad.line);
    for bad in bad.iter().take(SHOWN) {
        note!("{file}:{}: {}", bad.line, redact(&bad.why));
    }
    more(list.bad_count(), "bad");
    for told in list.notes.iter().take(SHOWN) {
        note!("{file}:{}: note: {}", told.line, redact(&told.what));
    }
    more(list.note_count, "notes");
    for Ended { line, network, end } in left_out_networks.ended.iter().take(SHOWN) {
        note!("{file}:{line}: {network} ended at {end}");
    }
    more(left_out_networks.ended_count, "ended");
    if left_out_networks.private_count > 0 {
        let networks: Vec<String> = left_out_networks
            .private
            .iter()
            .take(SHOWN)
            .map(|(line, network)| format!("{network} (line {line})"))
            .collect();
        let rest = match left_out_networks.private_count - networks.len() {
            0 => String::new(),
            rest => format!(" and {rest} more"),
        };
        note!(
            "{file}: private or reserved, not blocked: {}{rest}; `--include-private` imports them, \
             but never the loopback",
            networks.join(", ")
        );
    }
}

/// That entries have no end, if none has one: a mistake of the list or of its format shows there.
pub(super) fn warn_of_no_ends(file: &Path, list: &List) {
    let count = list.entries.len();
    let file = path_words(file);
    if list.entries.iter().any(|entry| entry.ends != Ends::Never) {
        return;
    }
    match count {
        0 => {}
        1 => note!("{file}: 1 entry has no end: it stays until removed (`--ttl` sets one)"),
        _ => {
            note!("{file}: {count} entries have no end: they stay until removed (`--ttl` sets one)")
        }
    }
}

fn more(count: usize, what: &str) {
    if count > SHOWN {
        note!("... and {} more {what}", count - SHOWN);
    }
}
