//! Finds the separator between the columns of a table.

use super::columns::Columns;
use crate::ends::date::is_date;
use crate::ends::duration::parse_duration;
use crate::ends::{BareNumber, parse_end};
use crate::network::networks;
use crate::words::clean;
use crate::{MAX_EXAMINED_LINES, MAX_LINE};

/// The separators of a table's columns.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// The separator of a table's columns, found from the first lines with content; `None` if the text
/// is not a table. A spreadsheet may name the separator in a line of its own (`sep=;`).
pub(crate) fn separator(text: &str) -> Option<u8> {
    let lines = text.lines().map(begin).map(clean);
    let mut lines = lines.filter(|line| !line.is_empty());
    if let Some(named) = lines.clone().next().and_then(|line| line.strip_prefix("sep=")) {
        return named.bytes().next().filter(|byte| SEPARATORS.contains(byte));
    }
    let named = lines.by_ref().take(MAX_EXAMINED_LINES).find_map(|line| {
        SEPARATORS.into_iter().find(|separator| Columns::named_in(line, *separator).is_some())
    });
    if named.is_some() {
        return named;
    }
    // Unknown names do not identify the separator; the first row with an address does.
    let lines = text.lines().map(begin).map(clean).filter(|line| !line.starts_with(['#', ';']));
    let lines = lines.filter(|line| !line.is_empty()).take(MAX_EXAMINED_LINES);
    // The backslash at the end of a line is no column.
    if lines.clone().any(|line| line.ends_with(" \\") || line.ends_with(",\\")) {
        return None;
    }
    lines
        .into_iter()
        .find_map(|line| SEPARATORS.into_iter().find(|separator| separates(line, *separator)))
}

/// Whether a line is a row of a table without column names.
fn separates(line: &str, separator: u8) -> bool {
    let is_quoted = line.starts_with('"');
    let mut fields = line.split(char::from(separator)).map(|f| clean(f).trim_matches('"'));
    let is_network = fields.next().is_some_and(|field| networks(field).is_ok());
    let more = fields.clone().count();
    let is_table = match separator {
        b',' => more > 0,
        // In one-column lists `;` begins a comment, and a tab precedes a score.
        b';' => {
            let lasts = fields.clone().next().is_some_and(|field| parse_duration(field).is_ok());
            let has_date = more > 1 && fields.clone().any(is_date);
            let has_end = more > 1 && fields.nth(1).is_some_and(is_end);
            is_quoted || (more == 1 && lasts) || has_date || has_end
        }
        b'\t' => is_quoted && more > 0,
        _ => more > 1,
    };
    is_network && is_table
}

/// The part of a line that is examined.
fn begin(line: &str) -> &str {
    &line[..line.floor_char_boundary(MAX_LINE)]
}

fn is_end(text: &str) -> bool {
    !text.is_empty() && parse_end(text, BareNumber::Seconds).is_ok()
}
