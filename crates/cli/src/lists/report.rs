//! The report on a list: counts, bad lines, notes, excluded networks.

use std::path::Path;

use mailmesh::lists::{Ended, Ends, LeftOutNetworks, List, Unit};

use mailmesh::secrets::{display_path, redact};

use crate::say::note;

/// Maximum number of lines printed per kind.
pub(super) const MAX_SHOWN: usize = 20;

/// The unit in which the list is counted, in the plural.
pub(super) fn unit_name(list: &List) -> &'static str {
    match list.unit {
        Unit::Entry => "entries",
        Unit::Line => "lines",
    }
}

/// The number of lines (or entries) and what happened to them; the numbers add up.
pub(super) fn summary(list: &List) -> String {
    let left_out =
        list.left_out.iter().map(|(reason, count)| format!("{count} {}", reason.name(list.rule())));
    let parts: Vec<String> =
        std::iter::once(format!("{} imported", list.imported())).chain(left_out).collect();
    let units = match (list.units, list.unit) {
        (1, Unit::Line) => "line",
        (1, Unit::Entry) => "entry",
        _ => unit_name(list),
    };
    format!("{} {units}: {}", list.units, parts.join(", "))
}

/// Prints bad lines, notes, expired and excluded networks to standard error.
pub(super) fn print_details(file: &Path, list: &List, left_out_networks: &LeftOutNetworks) {
    let file = display_path(file);
    let mut bad: Vec<_> = list.bad.iter().collect();
    bad.sort_by_key(|bad| bad.line);
    for bad in bad.iter().take(MAX_SHOWN) {
        note!("{file}:{}: {}", bad.line, redact(&bad.why));
    }
    print_rest(list.bad_count(), "bad");
    for note in list.notes.iter().take(MAX_SHOWN) {
        note!("{file}:{}: note: {}", note.line, redact(&note.what));
    }
    print_rest(list.note_count, "notes");
    for Ended { line, network, end } in left_out_networks.ended.iter().take(MAX_SHOWN) {
        note!("{file}:{line}: {network} ended at {end}");
    }
    print_rest(left_out_networks.ended_count, "ended");
    if left_out_networks.private_count > 0 {
        let networks: Vec<String> = left_out_networks
            .private
            .iter()
            .take(MAX_SHOWN)
            .map(|private| format!("{} (line {})", private.network, private.line))
            .collect();
        let rest = match left_out_networks.private_count - networks.len() {
            0 => String::new(),
            rest => format!(" and {rest} more"),
        };
        note!(
            "{file}: private or reserved, not blocked: {}{rest}; `--include-private` imports them \
             except for the loopback",
            networks.join(", ")
        );
    }
}

/// Notes that no entry has an end: a mistake of the list, or of its format, shows there.
pub(super) fn print_missing_ends(file: &Path, list: &List) {
    let count = list.entries.len();
    let file = display_path(file);
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

fn print_rest(count: usize, what: &str) {
    if count > MAX_SHOWN {
        note!("... and {} more {what}", count - MAX_SHOWN);
    }
}
