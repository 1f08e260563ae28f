//! Finds the roles of the columns of a table.

use mailmesh_events::Rule;

use super::rows::Row;
use crate::column::{Hint, Role, RoleName, hint_of_name, role_of_name};
use crate::exported::{FIELDS, Mark, RULE};
use crate::network::network;
use crate::normal_name::normal_name;
use crate::record::Record;
use crate::verdict::{is_score, is_verdict_name, score_note};
use crate::words::clean;
use crate::{ListError, MAX_NAMES_IN_NOTE};

/// The columns of a table by role, as far as the table names its columns.
#[derive(Debug, Clone, Default)]
pub(super) struct Columns {
    /// The columns with a role, in the order of the ranks.
    roles: Vec<RoleColumn>,
    count: usize,
    /// Columns that may say whether a network is blocked.
    verdicts: Vec<VerdictColumn>,
    /// Columns without a role, which may hold an end.
    others: Vec<OtherColumn>,
    /// The columns and the separator are those that this crate writes.
    is_export: bool,
}

#[derive(Debug, Clone, Copy)]
struct RoleColumn {
    name: RoleName,
    index: usize,
}

#[derive(Debug, Clone)]
struct VerdictColumn {
    name: String,
    index: usize,
}

#[derive(Debug, Clone)]
struct OtherColumn {
    name: String,
    hint: Hint,
    index: usize,
}

impl Columns {
    /// The columns that a row names; `None` if the row does not name enough to find a network.
    pub(super) fn named<'a>(
        fields: impl Iterator<Item = &'a str> + Clone,
        separator: u8,
    ) -> Option<Self> {
        let mut columns = Self::default();
        let mut is_of_servers = false;
        let are_exported = || {
            let marked = FIELDS.into_iter().chain([RULE]);
            fields.clone().eq(FIELDS) || fields.clone().eq(marked)
        };
        columns.is_export = separator == b',' && are_exported();
        for (index, field) in fields.enumerate() {
            columns.count = index + 1;
            if network(field).is_ok() {
                return None;
            }
            let name = clean(clean(field).trim_start_matches('#'));
            is_of_servers |= normal_name(name).starts_with("firstseen");
            columns.add(index, name);
        }
        columns.roles.sort_by_key(|column| column.name.rank);
        columns.find_network(is_of_servers);
        let has = |role: Role| columns.has(role);
        (has(Role::Network)
            || has(Role::Destination)
            || (has(Role::From) && has(Role::To))
            || (has(Role::First) && (has(Role::Last) || has(Role::Mask))))
        .then_some(columns)
    }

    fn add(&mut self, index: usize, name: &str) {
        if is_verdict_name(name) {
            self.verdicts.push(VerdictColumn { name: name.to_owned(), index });
        }
        match role_of_name(name) {
            Some(name) => self.roles.push(RoleColumn { name, index }),
            None => {
                let hint = hint_of_name(name);
                self.others.push(OtherColumn { name: name.to_owned(), hint, index });
            }
        }
    }

    /// Takes another column for the network, if no column has its name.
    fn find_network(&mut self, is_of_servers: bool) {
        let origin = self.roles.iter().position(|column| column.name.role == Role::Origin);
        if !self.has(Role::Network)
            && !self.has(Role::First)
            && let Some(origin) = origin
            && self.roles[origin].name.is_source()
        {
            self.roles[origin].name.role = Role::Network;
        }
        // abuse.ch lists the servers that malware connects to, with the time of the first sighting.
        let destination = self
            .roles
            .iter()
            .position(|column| is_of_servers && column.name.role == Role::Destination);
        if let (false, Some(destination)) = (self.has(Role::Network), destination) {
            self.roles[destination].name.role = Role::Network;
        }
    }

    fn has(&self, role: Role) -> bool {
        self.roles.iter().any(|column| column.name.role == role)
    }

    /// The columns that a comment names; at least two, so that a sentence is not taken for names.
    pub(super) fn named_in(comment: &str, separator: u8) -> Option<Self> {
        let comment = comment.trim_start_matches(['#', ';', ' ']);
        let fields =
            comment.split(char::from(separator)).map(|field| clean(field).trim_matches('"'));
        if fields.clone().take(2).count() < 2 {
            return None;
        }
        // This crate names the columns in a row of their own.
        Self::named(fields, separator).map(|named| Self { is_export: false, ..named })
    }

    /// A note that names the unused columns, since one may hold an end, and explains score columns;
    /// `None` if there are neither.
    pub(super) fn unused<'a>(
        &self,
        names: impl Iterator<Item = &'a str> + Clone,
    ) -> Option<String> {
        let unused = names.clone().enumerate().filter(|(at, name)| {
            let is_used = self.roles.iter().any(|column| column.index == *at)
                || self.verdicts.iter().any(|column| column.index == *at)
                || (self.is_export && *name == RULE);
            !is_used && !clean(name).is_empty()
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

    /// The mark of a row of an export; `None` if this crate did not write the names.
    pub(super) fn mark(
        &self,
        row: &Row,
        rule: Rule,
        line: usize,
    ) -> Result<Option<Mark>, ListError> {
        if !self.is_export {
            return Ok(None);
        }
        if self.count == FIELDS.len() {
            return Ok(Some(Mark::None));
        }
        Mark::of(row.get(FIELDS.len()).unwrap_or_default(), rule, line).map(Some)
    }

    /// The record of a row.
    pub(super) fn record<'a>(&'a self, row: &'a Row) -> Record<'a> {
        let mut record = Record::default();
        for column in &self.roles {
            if let Some(text) = row.get(column.index) {
                record.set(column.name, text);
            }
        }
        for OtherColumn { name, hint, index } in &self.others {
            record.add_other(name, *hint, row.get(*index).unwrap_or_default());
        }
        for VerdictColumn { name, index } in &self.verdicts {
            record.add_verdict(name, row.get(*index).unwrap_or_default());
        }
        record
    }

    pub(super) fn is_named(&self) -> bool {
        self.count > 0
    }

    /// The number of named columns, including those without a role.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Whether a column at index `count` or later holds an end.
    pub(super) fn has_end_from(&self, count: usize) -> bool {
        self.roles.iter().any(|column| column.name.role.is_end() && column.index >= count)
    }

    /// Whether the last column is the reason: an unquoted separator in it does no harm.
    pub(super) fn ends_with_reason(&self) -> bool {
        let reason = self.roles.iter().find(|column| column.name.role == Role::Reason);
        reason.is_some_and(|column| column.index + 1 == self.count)
    }
}
