//! Finds the roles of the columns of a table, and the separator between them.

use crate::MAX_LINE;
use crate::field::{Bare, clean, duration, ends, network};
use crate::record::{ROLES, Record, Role, SOURCE_RANK, role};
use crate::verdict::{name_of, said, speaks};

/// The separators of a table's columns.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// Lines that are looked at for the separator.
const LOOKED_AT: usize = 64;

/// Most columns that a note names.
const MOST_NAMED: usize = 20;

/// The columns of a table by role, as far as the table names them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Columns {
    /// By role.
    at: [Option<usize>; ROLES],
    ranks: [usize; ROLES],
    count: usize,
    /// Columns that may say whether a network is blocked, with their names.
    speaking: Vec<(usize, String)>,
}

impl Columns {
    /// As a row names them; `None` if it names no network.
    pub(crate) fn named<'a>(fields: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut columns = Self::default();
        let mut is_of_servers = false;
        for (index, field) in fields.enumerate() {
            columns.count = index + 1;
            if network(field).is_ok() {
                return None;
            }
            let name = clean(clean(field).trim_start_matches('#'));
            is_of_servers |= name_of(name).starts_with("firstseen");
            if speaks(name) {
                columns.speaking.push((index, name.to_owned()));
            }
            let Some((role, rank)) = role(name) else { continue };
            let slot = role as usize;
            if columns.at[slot].is_none() || rank < columns.ranks[slot] {
                columns.at[slot] = Some(index);
                columns.ranks[slot] = rank;
            }
        }
        let has = |columns: &Self, role: Role| columns.at[role as usize].is_some();
        let origin = Role::Origin as usize;
        if !has(&columns, Role::Network)
            && !has(&columns, Role::First)
            && columns.ranks[origin] == SOURCE_RANK
        {
            columns.at[Role::Network as usize] = columns.at[origin].take();
        }
        // abuse.ch lists servers that malware connects to, with when each was first seen.
        if is_of_servers && !has(&columns, Role::Network) {
            let destination = columns.at[Role::Destination as usize].take();
            columns.at[Role::Network as usize] = destination;
        }
        let has = |role: Role| has(&columns, role);
        (has(Role::Network)
            || has(Role::Destination)
            || (has(Role::First) && (has(Role::Last) || has(Role::Mask))))
        .then_some(columns)
    }

    /// As a comment names them: two at least, so that no sentence does.
    pub(crate) fn named_in(comment: &str, separator: u8) -> Option<Self> {
        let comment = comment.trim_start_matches(['#', ';', ' ']);
        let fields =
            comment.split(char::from(separator)).map(|field| clean(field).trim_matches('"'));
        if fields.clone().take(2).count() < 2 {
            return None;
        }
        Self::named(fields)
    }

    /// The names of columns that are not used, for a note: an end may be among them.
    pub(crate) fn unused<'a>(&self, names: impl Iterator<Item = &'a str>) -> String {
        let unused = names.enumerate().filter(|(at, name)| {
            !self.at.contains(&Some(*at))
                && !self.speaking.iter().any(|(it, _)| it == at)
                && !clean(name).is_empty()
        });
        let unused: Vec<&str> = unused.map(|(_, name)| clean(name)).take(MOST_NAMED).collect();
        unused.join(", ")
    }

    /// Adds to a record the statements of a row's columns on whether it is blocked.
    pub(crate) fn judge<'a>(
        &self,
        record: &mut Record<'_>,
        get: impl Fn(usize) -> Option<&'a str>,
    ) {
        for (at, name) in &self.speaking {
            record.add(get(*at).and_then(|value| said(name, clean(value))));
        }
    }

    pub(crate) fn is_named(&self) -> bool {
        self.count > 0
    }

    /// The number of columns that the table names, those without a role too.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Whether the last column is the reason: an unquoted separator in it does no harm.
    pub(crate) fn ends_with_reason(&self) -> bool {
        self.at[Role::Reason as usize].is_some_and(|at| at + 1 == self.count)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Role, usize)> {
        Role::ALL.into_iter().zip(self.at).filter_map(|(role, at)| Some((role, at?)))
    }
}

/// The separator of a table's columns, by the first lines with content; `None` if these are no
/// table. A spreadsheet may name it in a line of its own (`sep=;`).
pub(crate) fn separator(text: &str) -> Option<u8> {
    let lines = text.lines().map(begin).map(clean);
    let mut lines = lines.filter(|line| !line.is_empty());
    if let Some(said) = lines.clone().next().and_then(|line| line.strip_prefix("sep=")) {
        return said.bytes().next().filter(|byte| SEPARATORS.contains(byte));
    }
    let named = lines.by_ref().take(LOOKED_AT).find_map(|line| {
        SEPARATORS.into_iter().find(|separator| Columns::named_in(line, *separator).is_some())
    });
    if named.is_some() {
        return named;
    }
    // Names that are not known say nothing; the first row of addresses does.
    let lines = text.lines().map(begin).map(clean).filter(|line| !line.starts_with(['#', ';']));
    lines
        .filter(|line| !line.is_empty())
        .take(LOOKED_AT)
        .find_map(|line| SEPARATORS.into_iter().find(|separator| separates(line, *separator)))
}

/// Whether a line is a row of a table whose columns are not named.
fn separates(line: &str, separator: u8) -> bool {
    let is_quoted = line.starts_with('"');
    let mut fields = line.split(char::from(separator)).map(|f| clean(f).trim_matches('"'));
    let is_network = fields.next().is_some_and(|field| network(field).is_ok());
    let more = fields.clone().count();
    let is_table = match separator {
        b',' => more > 0,
        // In lists of one column a `;` begins a comment, and a tab comes before a score.
        b';' => {
            let lasts = fields.clone().next().is_some_and(|field| duration(field).is_ok());
            is_quoted || (more == 1 && lasts) || (more > 1 && fields.nth(1).is_some_and(is_end))
        }
        b'\t' => is_quoted && more > 0,
        _ => more > 1,
    };
    is_network && is_table
}

/// As much of a line as is looked at.
fn begin(line: &str) -> &str {
    &line[..line.floor_char_boundary(MAX_LINE)]
}

fn is_end(text: &str) -> bool {
    !text.is_empty() && ends(text, Bare::Seconds).is_ok()
}
