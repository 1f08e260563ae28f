//! The report on a list: counts, bad lines, notes, excluded networks.

use std::path::Path;

use mailmesh::lists::{LeftOutNetworks, List, Unit};

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
    let left_out = list.left_out.iter().map(|(reason, count)| format!("{count} {}", reason.name()));
    let parts: Vec<String> =
        std::iter::once(format!("{} imported", list.imported())).chain(left_out).collect();
    let units = match (list.units, list.unit) {
        (1, Unit::Line) => "line",
        (1, Unit::Entry) => "entry",
        _ => unit_name(list),
    };
    format!("{} {units}: {}", list.units, parts.join(", "))
}

/// Prints bad lines, notes and excluded networks to standard error.
pub(super) fn print_details(file: &Path, list: &List, left_out_networks: &LeftOutNetworks) {
    let file = file.display();
    let mut bad: Vec<_> = list.bad.iter().collect();
    bad.sort_by_key(|bad| bad.line);
    for bad in bad.iter().take(MAX_SHOWN) {
        note!("{file}:{}: {}", bad.line, bad.why);
    }
    print_rest(list.bad_count(), "bad");
    for note in list.notes.iter().take(MAX_SHOWN) {
        note!("{file}:{}: note: {}", note.line, note.what);
    }
    print_rest(list.note_count, "notes");
    if left_out_networks.private_count > 0 {
        let networks: Vec<String> = left_out_networks
            .private
            .iter()
            .take(MAX_SHOWN)
            .map(|(line, network)| format!("{network} (line {line})"))
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

fn print_rest(count: usize, what: &str) {
    if count > MAX_SHOWN {
        note!("... and {} more {what}", count - MAX_SHOWN);
    }
}
