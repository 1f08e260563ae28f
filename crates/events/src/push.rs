//! What a client of the mail server must be told.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::bounded;
use crate::{
    AccountId, AlertId, CalendarEventId, ChangeId, DataTypes, EmailId, EventError, MailboxId,
    SubscriptionId, UnixMillis, limits,
};

/// The state of an account moved on: its clients should ask for changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StateChange {
    /// Whose state.
    pub account: AccountId,
    /// The newest change.
    pub change: ChangeId,
    /// Which types changed.
    pub types: DataTypes,
}

impl StateChange {
    /// A change of `account`, of no type yet; add them by [`with`](Self::with).
    #[must_use]
    pub fn new(account: AccountId, change: ChangeId) -> Self {
        Self { account, change, types: DataTypes::empty() }
    }

    /// Adds types that changed.
    #[must_use]
    pub fn with(mut self, types: DataTypes) -> Self {
        self.types |= types;
        self
    }

    /// Takes a newer change of the same account into this one: the later
    /// change id, the union of the types. `false` if the accounts differ.
    pub fn absorb(&mut self, newer: &Self) -> bool {
        if self.account != newer.account {
            return false;
        }
        self.change = self.change.max(newer.change);
        self.types |= newer.types;
        true
    }
}

impl fmt::Display for StateChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "account {} at change {} ({})", self.account, self.change, self.types)
    }
}

/// An e-mail arrived that a client wants pushed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EmailPush {
    /// Whose mail.
    pub account: AccountId,
    /// Which mail.
    pub email: EmailId,
    /// The change that brought it.
    pub change: ChangeId,
    /// When it was received.
    pub received: UnixMillis,
    /// Its size in bytes.
    pub size: u32,
    mailboxes: Vec<MailboxId>,
}

impl EmailPush {
    /// A push for `email`, in no mailbox yet.
    #[must_use]
    pub fn new(account: AccountId, email: EmailId, change: ChangeId) -> Self {
        Self { account, email, change, received: UnixMillis(0), size: 0, mailboxes: Vec::new() }
    }

    /// Sets when it was received.
    #[must_use]
    pub fn received_at(mut self, received: UnixMillis) -> Self {
        self.received = received;
        self
    }

    /// Sets its size in bytes.
    #[must_use]
    pub fn of_size(mut self, size: u32) -> Self {
        self.size = size;
        self
    }

    /// Sets the mailboxes it is in.
    ///
    /// # Errors
    /// [`EventError::TooLong`] past [`limits::IDS`].
    pub fn in_mailboxes(mut self, mailboxes: Vec<MailboxId>) -> Result<Self, EventError> {
        bounded("the list of mailboxes", mailboxes.len(), limits::IDS)?;
        self.mailboxes = mailboxes;
        Ok(self)
    }

    /// The mailboxes it is in.
    #[must_use]
    pub fn mailboxes(&self) -> &[MailboxId] {
        &self.mailboxes
    }
}

impl fmt::Display for EmailPush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "email {} of account {} ({} bytes, {} mailboxes) at change {}",
            self.email,
            self.account,
            self.size,
            self.mailboxes.len(),
            self.change
        )
    }
}

/// A calendar alert is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CalendarAlert {
    /// Whose calendar.
    pub account: AccountId,
    /// Which event.
    pub event: CalendarEventId,
    /// Which of its alerts.
    pub alert: AlertId,
    /// When it is due.
    pub due: UnixMillis,
}

impl fmt::Display for CalendarAlert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "alert {} of calendar event {} of account {}, due {}",
            self.alert, self.event, self.account, self.due
        )
    }
}

/// What happened to a push subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SubscriptionChange {
    /// It is new.
    Created,
    /// It was verified or changed.
    Updated,
    /// It is gone.
    Removed,
}

/// A push subscription changed; the node that pushes for it must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PushSubscriptionChange {
    /// Whose subscription.
    pub account: AccountId,
    /// Which one.
    pub subscription: SubscriptionId,
    /// What happened.
    pub change: SubscriptionChange,
}

impl fmt::Display for PushSubscriptionChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.change {
            SubscriptionChange::Created => "created",
            SubscriptionChange::Updated => "updated",
            SubscriptionChange::Removed => "removed",
        };
        write!(f, "subscription {} of account {} {what}", self.subscription, self.account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_state_change_is_absorbed_only_within_its_account() {
        let mut old = StateChange::new(AccountId(1), ChangeId(9)).with(DataTypes::EMAIL);
        let new = StateChange::new(AccountId(1), ChangeId(11)).with(DataTypes::THREAD);
        assert!(old.absorb(&new));
        assert_eq!(old.change, ChangeId(11));
        assert_eq!(old.types, DataTypes::EMAIL | DataTypes::THREAD);
        let other = StateChange::new(AccountId(2), ChangeId(99));
        assert!(!old.absorb(&other));
        assert_eq!(old.change, ChangeId(11));
    }

    #[test]
    fn a_list_past_its_limit_is_refused() {
        let push = EmailPush::new(AccountId(1), EmailId(2), ChangeId(3));
        let error = push.in_mailboxes(vec![MailboxId(0); limits::IDS + 1]).unwrap_err();
        assert!(error.to_string().contains("the limit is 16384"), "{error}");
    }
}
