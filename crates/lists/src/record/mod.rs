//! A record (a row of a table, a JSON object or a decision) by the names of its columns or keys,
//! and how a record enters the list.

mod begin;
mod end;
mod intent;
mod networks;

use mailmesh_events::Network;

use crate::candidate::Candidate;
use crate::column::{Hint, Role, RoleName};
use crate::exception::{excepted, excepted_in_reason, holds_exceptions};
use crate::exported::{ExportedEntry, ExportedFields, Mark, RULE};
use crate::network::{ParsedNetwork, is_addresses, network};
use crate::verdict::{Statement, statement_of};
use crate::words::{clean, words};
use crate::{Ends, List, ListError, Reason};
use intent::Intent;

/// The texts of a record, by role.
#[derive(Debug, Default)]
pub(crate) struct Record<'a> {
    /// Texts of the same role are in the order of their ranks.
    texts: Vec<RoleText<'a>>,
    /// The statements of columns or keys on whether the network is blocked.
    statements: Vec<Statement>,
    /// The columns or keys with a statement in unknown words.
    unknown_verdicts: Vec<UnknownVerdict<'a>>,
    /// Columns or keys without a role; one of them may hold an end.
    others: Vec<OtherText<'a>>,
    /// Why it is unclear whether the record is meant, if its reader found that.
    unclear: Option<&'a str>,
    /// The record has the names of an export: if its fields have the forms of one, its texts are
    /// neither verdicts nor ends nor exceptions.
    export: Option<Mark>,
    /// The record states that its entry has no end, so no other text is taken for one.
    is_endless: bool,
}

/// A text with the role that the name of its column or key gives.
#[derive(Debug, Clone, Copy)]
struct RoleText<'a> {
    name: RoleName,
    text: &'a str,
}

/// The value of a column or key for a verdict, in unknown words.
#[derive(Debug, Clone, Copy)]
struct UnknownVerdict<'a> {
    name: &'a str,
    value: &'a str,
}

/// The text of a column or key without a role.
#[derive(Debug, Clone, Copy)]
struct OtherText<'a> {
    name: &'a str,
    hint: Hint,
    text: &'a str,
}

/// Why a record is bad, and the networks that it excludes from the list all the same.
struct Refusal {
    why: String,
    excepted: Vec<Network>,
}

impl<'a> Record<'a> {
    /// Sets a text. The caller sets the texts of one role in the order of their ranks.
    pub(crate) fn set(&mut self, name: RoleName, text: &'a str) {
        self.texts.push(RoleText { name, text });
    }

    /// Adds a column or key that may state whether the network is blocked.
    pub(crate) fn add_verdict(&mut self, name: &'a str, value: &'a str) {
        match statement_of(name, value) {
            Some(Statement::Unclear) => {
                self.unknown_verdicts.push(UnknownVerdict { name, value: clean(value) });
            }
            Some(statement) if !self.statements.contains(&statement) => {
                self.statements.push(statement);
            }
            _ => {}
        }
    }

    /// Marks the record as unclear.
    pub(crate) fn set_unclear(&mut self, why: &'a str) {
        self.unclear = Some(why);
    }

    /// Marks the record as one with the names of an export.
    pub(crate) fn set_export(&mut self, mark: Mark) {
        self.export = Some(mark);
    }

    /// Marks the entry of the record as one without an end.
    pub(crate) fn set_endless(&mut self) {
        self.is_endless = true;
    }

    /// Adds a column or key without a role.
    pub(crate) fn add_other(&mut self, name: &'a str, hint: Hint, text: &'a str) {
        let text = clean(text);
        if !text.is_empty() {
            self.others.push(OtherText { name, hint, text });
        }
    }

    /// The non-empty texts of a role, lowest rank first.
    fn all(&self, role: Role) -> impl Iterator<Item = RoleText<'a>> {
        let texts = self.texts.iter().filter(move |text| text.name.role == role);
        texts
            .map(|text| RoleText { text: clean(text.text), ..*text })
            .filter(|text| !text.text.is_empty())
    }

    fn get(&self, role: Role) -> &'a str {
        self.all(role).next().map_or("", |text| text.text)
    }

    pub(crate) fn has(&self, role: Role) -> bool {
        self.texts.iter().any(|text| text.name.role == role)
    }

    /// Whether the record has a column or key for a network.
    pub(crate) fn names_network(&self) -> bool {
        self.has(Role::Network) || self.has(Role::First)
    }

    /// Adds the record to the list, or counts why it is not added.
    pub(crate) fn add_to(&self, list: &mut List, line: usize) -> Result<(), ListError> {
        if self.export == Some(Mark::Unclear) {
            list.refuse(line, format_args!("its `{RULE}` is neither `block` nor `allow`"));
            return self.except(list);
        }
        if let Some(entry) = self.exported() {
            let (reason, origin) = (self.get(Role::Reason), self.get(Role::Origin));
            let (networks, ends) = (&[entry.network], entry.ends);
            return Candidate { line, networks, reason, origin, ends }.add_as_written(list);
        }
        match self.intent(list.rule()) {
            Intent::Meant => {}
            Intent::LeftOut(reason) => {
                list.leave_out(reason);
                return Ok(());
            }
            Intent::LetIn => {
                list.leave_out(Reason::OtherAction);
                return self.except(list);
            }
            Intent::Unclear(why) => {
                list.refuse(line, why);
                return self.except(list);
            }
        }
        let read = match self.refusal_for_exceptions() {
            Some(refusal) => Err(refusal),
            None => self.read(),
        };
        match read {
            Ok((networks, ends)) => {
                self.doubt(list, ends);
                self.candidate(line, &networks, ends, list)
            }
            Err(refusal) => {
                list.refuse(line, refusal.why);
                list.except_all_everywhere(&refusal.excepted)
            }
        }
    }

    /// The entry of a record that this crate wrote.
    fn exported(&self) -> Option<ExportedEntry> {
        let mark = self.export?;
        let written = |role: Role| {
            let text = self.texts.iter().find(|text| text.name.role == role);
            text.map_or("", |text| text.text)
        };
        let fields = ExportedFields {
            network: written(Role::Network),
            reason: written(Role::Reason),
            origin: written(Role::Origin),
            expires: written(Role::Until),
        };
        fields.parse(mark)
    }

    /// The refusal of a record with exceptions, or addresses, beside its network.
    fn refusal_for_exceptions(&self) -> Option<Refusal> {
        let excepted = self.exceptions();
        if !excepted.is_empty() {
            let why = "it has exceptions: write each as a line, `!` before".to_owned();
            return Some(Refusal { why, excepted });
        }
        let reason = self.get(Role::Reason);
        let excepted = excepted_in_reason(reason);
        (is_addresses(reason) || !excepted.is_empty()).then(|| {
            let why = "the reason is an address: are there two on the line?".to_owned();
            Refusal { why, excepted }
        })
    }

    /// The networks in columns or keys of exceptions.
    fn exceptions(&self) -> Vec<Network> {
        let of_exceptions = self.others.iter().filter(|other| {
            // Cheap check first: an address contains one of these, most columns do not.
            other.text.contains(['.', ':']) && holds_exceptions(other.name)
        });
        let networks = of_exceptions.flat_map(|other| words(other.text));
        let inner = |word: &str| word.trim_matches(['[', ']', '"', ';']).to_owned();
        networks.filter_map(|word| network(&inner(word)).ok()).map(|p| p.network).collect()
    }

    /// Excludes the networks of the record from wider entries of the list.
    fn except(&self, list: &mut List) -> Result<(), ListError> {
        list.except_all_by_longest_match(&self.networks().unwrap_or_default())
    }

    fn read(&self) -> Result<(Vec<ParsedNetwork>, Ends), Refusal> {
        let networks_and_end = || {
            self.refuse_from_and_to()?;
            let networks = self.networks()?;
            Ok((networks, self.end()?))
        };
        networks_and_end()
            .map_err(|why| Refusal { why, excepted: excepted(self.get(Role::Network)) })
    }

    fn candidate(
        &self,
        line: usize,
        networks: &[ParsedNetwork],
        ends: Ends,
        list: &mut List,
    ) -> Result<(), ListError> {
        let reason = match self.get(Role::Reason) {
            "" if !self.has(Role::Scope) => self.get(Role::Kind),
            reason => reason,
        };
        let candidate = Candidate { line, networks, reason, origin: self.get(Role::Origin), ends };
        if self.is_endless {
            candidate.add_endless_if_meant(list)
        } else {
            candidate.add_if_meant(list)
        }
    }
}
