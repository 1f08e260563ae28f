//! Networks that a list excludes from its other entries.

use mailmesh_events::{Network, Rule};

use super::List;
use crate::ListError;
use crate::network::ParsedNetwork;

/// Upper bound on the exceptions of a list.
const MAX_EXCEPTIONS: usize = 100_000;

/// A network that a list excludes from its other entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exception {
    pub(super) network: Network,
    pub(super) reach: Reach,
}

/// The entries out of which an exception is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// All entries, wherever they stand.
    Everywhere,
    /// All entries but narrower ones: for tables where the longest match decides.
    WiderOrEqual,
    /// The entries from this unit (line or entry) on: for tables where the first match decides.
    FromUnit(usize),
}

impl Exception {
    /// Whether the exception applies to the entries of a unit.
    pub(super) fn applies_to(&self, unit: usize) -> bool {
        match self.reach {
            Reach::Everywhere | Reach::WiderOrEqual => true,
            Reach::FromUnit(first) => first <= unit,
        }
    }

    /// Whether entries that are narrower than the exception are taken out, too.
    pub(super) fn takes_narrower(&self) -> bool {
        self.reach != Reach::WiderOrEqual
    }
}

impl List {
    /// Cuts a network out of all entries.
    pub(crate) fn except_everywhere(&mut self, network: Network) -> Result<(), ListError> {
        self.except(network, Reach::Everywhere)
    }

    /// Cuts a network out of the entries of the units behind the current one.
    pub(crate) fn except_in_later_units(&mut self, network: Network) -> Result<(), ListError> {
        self.except(network, Reach::FromUnit(self.units + 1))
    }

    /// Cuts a network out of all wider or equal entries, but keeps narrower ones.
    pub(crate) fn except_by_longest_match(&mut self, network: Network) -> Result<(), ListError> {
        self.except(network, Reach::WiderOrEqual)
    }

    /// As [`except_everywhere`](Self::except_everywhere), for several networks.
    pub(crate) fn except_all_everywhere(&mut self, networks: &[Network]) -> Result<(), ListError> {
        networks.iter().try_for_each(|network| self.except_everywhere(*network))
    }

    /// As [`except_by_longest_match`](Self::except_by_longest_match), for several networks.
    pub(crate) fn except_all_by_longest_match(
        &mut self,
        networks: &[ParsedNetwork],
    ) -> Result<(), ListError> {
        networks.iter().try_for_each(|parsed| self.except_by_longest_match(parsed.network))
    }

    /// Cuts the networks of a set for the other rule out of all entries. A note says so if they are
    /// in the set for `seconds` only: an entry has no gap that closes.
    pub(crate) fn except_all_of_set(
        &mut self,
        line: usize,
        networks: &[ParsedNetwork],
        seconds: Option<u64>,
    ) -> Result<(), ListError> {
        if let Some(seconds) = seconds {
            let does = if self.rule() == Rule::Block { "let in" } else { "dropped" };
            self.note(
                line,
                format_args!("it is {does} for {seconds} s only, but cut out for good"),
            );
        }
        networks.iter().try_for_each(|parsed| self.except_everywhere(parsed.network))
    }

    fn except(&mut self, network: Network, reach: Reach) -> Result<(), ListError> {
        if self.exceptions.len() == MAX_EXCEPTIONS {
            let what = "the list has more exceptions";
            return Err(ListError::Limit { line: self.units, what, limit: MAX_EXCEPTIONS });
        }
        self.exceptions.push(Exception { network, reach });
        Ok(())
    }
}
