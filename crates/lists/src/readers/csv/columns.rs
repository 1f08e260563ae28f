//! Finds the roles of the columns of a table, and the separator between the columns.

use crate::MAX_NAMES_IN_NOTE;
use crate::column::{Hint, Role, SOURCE_RANK, hint_of_name, role_of_name};
use crate::network::network;
use crate::normal_name::normal_name;
use crate::record::Record;
use crate::verdict::{is_score, is_verdict_name, score_note};
use crate::words::clean;
use crate::write::EXPORTED;

/// The columns of a table by role, as far as the table names its columns.
#[derive(Debug, Clone, Default)]
pub(crate) struct Columns {
    /// Role, rank and index of each column, in the order of the ranks.
    roles: Vec<(Role, usize, usize)>,
    count: usize,
    /// Columns that may say whether a network is blocked, with their names.
    speaking: Vec<(usize, String)>,
    /// Columns without a role, which may hold an end, with their names.
    others: Vec<(usize, String, Hint)>,
    /// The columns are those that this crate writes: an empty end means that there is none.
    is_export: bool,
}

impl Columns {
    /// The columns that a row names; `None` if the row does not name enough to find a network.
    pub(crate) fn named<'a>(fields: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut columns = Self::default();
        let mut is_of_servers = false;
        let mut exported = EXPORTED.iter();
        columns.is_export = true;
        for (index, field) in fields.enumerate() {
            columns.count = index + 1;
            columns.is_export &= exported.next() == Some(&field);
            if network(field).is_ok() {
                return None;
            }
            let name = clean(clean(field).trim_start_matches('#'));
            is_of_servers |= normal_name(name).starts_with("firstseen");
            if is_verdict_name(name) {
                columns.speaking.push((index, name.to_owned()));
            }
            if let Some((role, rank)) = role_of_name(name) {
                columns.roles.push((role, rank, index));
            } else {
                columns.others.push((index, name.to_owned(), hint_of_name(name)));
            }
        }
        columns.is_export &= exported.next().is_none();
        columns.roles.sort_by_key(|(_, rank, _)| *rank);
        if !columns.has(Role::Network)
            && !columns.has(Role::First)
            && let Some(source) = columns.roles.iter_mut().find(|(role, ..)| *role == Role::Origin)
            && source.1 == SOURCE_RANK
        {
            source.0 = Role::Network;
        }
        // abuse.ch lists the servers that malware connects to, with the time of the first sighting.
        if is_of_servers
            && !columns.has(Role::Network)
            && let Some(destination) =
                columns.roles.iter_mut().find(|(role, ..)| *role == Role::Destination)
        {
            destination.0 = Role::Network;
        }
        let has = |role: Role| columns.has(role);
        (has(Role::Network)
            || has(Role::Destination)
            || (has(Role::From) && has(Role::To))
            || (has(Role::First) && (has(Role::Last) || has(Role::Mask))))
        .then_some(columns)
    }

    fn has(&self, role: Role) -> bool {
        self.roles.iter().any(|(known, ..)| *known == role)
    }

    /// The columns that a comment names; at least two, so that a sentence is not taken for names.
    pub(crate) fn named_in(comment: &str, separator: u8) -> Option<Self> {
        let comment = comment.trim_start_matches(['#', ';', ' ']);
        let fields =
            comment.split(char::from(separator)).map(|field| clean(field).trim_matches('"'));
        if fields.clone().take(2).count() < 2 {
            return None;
        }
        Self::named(fields)
    }

    /// A note that names the unused columns, since one may hold an end, and explains score columns;
    /// `None` if there are neither.
    pub(crate) fn unused<'a>(
        &self,
        names: impl Iterator<Item = &'a str> + Clone,
    ) -> Option<String> {
        let unused = names.clone().enumerate().filter(|(at, name)| {
            !self.roles.iter().any(|(.., it)| it == at)
                && !self.speaking.iter().any(|(it, _)| it == at)
                && !clean(name).is_empty()
        });
        let unused: Vec<&str> =
            unused.map(|(_, name)| clean(name)).take(MAX_NAMES_IN_NOTE).collect();
        let mut notes = Vec::new();
        if !unused.is_empty() {
            notes.push(format!("columns that are not used: {}", unused.join(", ")));
        }
        notes.extend(names.map(clean).filter(|name| is_score(name)).map(score_note));
        (!notes.is_empty()).then(|| notes.join("; "))
    }

    /// The record of a row; `get` gives the field at an index.
    pub(crate) fn record<'a>(&'a self, get: impl Fn(usize) -> Option<&'a str>) -> Record<'a> {
        let mut record = Record::default();
        if self.is_export {
            record.set_export();
        }
        for (role, rank, at) in &self.roles {
            if let Some(text) = get(*at) {
                record.set(*role, *rank, text);
            }
        }
        for (at, name, hint) in &self.others {
            record.add_other(name, *hint, get(*at).unwrap_or_default());
        }
        for (at, name) in &self.speaking {
            record.add(name, get(*at).unwrap_or_default());
        }
        record
    }

    pub(crate) fn is_named(&self) -> bool {
        self.count > 0
    }

    /// The number of named columns, including those without a role.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Whether a column at index `count` or later holds an end.
    pub(crate) fn has_end_from(&self, count: usize) -> bool {
        let ends = self.roles.iter().filter(|(role, ..)| role.is_end());
        ends.into_iter().any(|(.., at)| *at >= count)
    }

    /// Whether the last column is the reason: an unquoted separator in it does no harm.
    pub(crate) fn ends_with_reason(&self) -> bool {
        let reasons = self.roles.iter().find(|(role, ..)| *role == Role::Reason);
        reasons.is_some_and(|(.., at)| at + 1 == self.count)
    }
}
