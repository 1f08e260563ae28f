//! Selects what an inbox receives.

use std::collections::BTreeSet;

use mailmesh_events::{AccountId, Event, Kind, KindSet, Lane};

use crate::{FilterError, Incoming};

/// Selects what an inbox receives. Gaps are always received for the lanes of the selected kinds.
#[derive(Debug, Clone)]
pub struct Filter {
    kinds: KindSet,
    accounts: Option<BTreeSet<AccountId>>,
    members: bool,
}

impl Filter {
    /// Everything.
    #[must_use]
    pub fn all() -> Self {
        Self { kinds: KindSet::all(), accounts: None, members: true }
    }

    /// Only events of these kinds, and gaps and membership changes.
    ///
    /// # Errors
    /// [`FilterError::MirrorKind`] for changes of the mirror, which only watches receive.
    pub fn kinds(kinds: impl IntoIterator<Item = Kind>) -> Result<Self, FilterError> {
        let check = |kind| match kind {
            Kind::Network | Kind::Certificate | Kind::Value => {
                Err(FilterError::MirrorKind { kind })
            }
            _ => Ok(kind),
        };
        let kinds = kinds.into_iter().map(check).collect::<Result<_, _>>()?;
        Ok(Self { kinds, ..Self::all() })
    }

    /// Of events that concern an account, only those of these accounts.
    #[must_use]
    pub fn of_accounts(mut self, accounts: impl IntoIterator<Item = AccountId>) -> Self {
        self.accounts = Some(accounts.into_iter().collect());
        self
    }

    /// No membership changes.
    #[must_use]
    pub fn without_members(mut self) -> Self {
        self.members = false;
        self
    }

    pub(super) fn takes(&self, incoming: &Incoming) -> bool {
        match incoming {
            Incoming::Event(received) => self.takes_event(&received.event),
            Incoming::Gap(gap) => self.takes_lane(gap.lane),
            Incoming::Joined(_)
            | Incoming::Left { .. }
            | Incoming::MembersChanged
            | Incoming::DuplicateName { .. } => self.members,
        }
    }

    fn takes_event(&self, event: &Event) -> bool {
        let of_account = match (&self.accounts, event.account()) {
            (Some(accounts), Some(account)) => accounts.contains(&account),
            _ => true,
        };
        of_account && self.kinds.contains(event.kind())
    }

    fn takes_lane(&self, lane: Lane) -> bool {
        Kind::ALL.into_iter().any(|kind| kind.lane() == lane && self.kinds.contains(kind))
    }
}

impl Default for Filter {
    fn default() -> Self {
        Self::all()
    }
}
