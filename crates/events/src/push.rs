//! Events that lead to a notification of a mail client.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::check_len;
use crate::{
    AccountId, AlertId, CalendarEventId, ChangeId, DataTypes, EmailId, EventError, MailboxId,
    SubscriptionId, UnixMillis, limits,
};

/// The state of an account changed; its clients should fetch the changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StateChange {
    /// The account.
    pub account: AccountId,
    /// The newest change of the account.
    pub change: ChangeId,
    /// The data types that changed.
    pub types: DataTypes,
}

impl StateChange {
    /// A state change without data types; [`with`](Self::with) adds them.
    #[must_use]
    pub fn new(account: AccountId, change: ChangeId) -> Self {
        Self { account, change, types: DataTypes::empty() }
    }

    /// Adds data types that changed.
    #[must_use]
    pub fn with(mut self, types: DataTypes) -> Self {
        self.types |= types;
        self
    }
}

impl fmt::Display for StateChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "account {} at change {} ({})", self.account, self.change, self.types)
    }
}

/// An e-mail arrived that is to be pushed to clients.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "UncheckedEmailPush")]
pub struct EmailPush {
    /// The account that received the e-mail.
    pub account: AccountId,
    /// The e-mail.
    pub email: EmailId,
    /// The change that added the e-mail.
    pub change: ChangeId,
    /// When the server received the e-mail.
    pub received: UnixMillis,
    /// The size of the e-mail in bytes.
    pub size: u32,
    mailboxes: Vec<MailboxId>,
}

/// The fields of an [`EmailPush`] as JSON has them.
#[derive(Deserialize)]
struct UncheckedEmailPush {
    account: AccountId,
    email: EmailId,
    change: ChangeId,
    received: UnixMillis,
    size: u32,
    mailboxes: Vec<MailboxId>,
}

impl TryFrom<UncheckedEmailPush> for EmailPush {
    type Error = EventError;

    fn try_from(fields: UncheckedEmailPush) -> Result<Self, EventError> {
        let UncheckedEmailPush { account, email, change, received, size, mailboxes } = fields;
        Self { account, email, change, received, size, mailboxes: Vec::new() }
            .with_mailboxes(mailboxes)
    }
}

impl EmailPush {
    /// A push without mailboxes, of unknown size and time.
    #[must_use]
    pub fn new(account: AccountId, email: EmailId, change: ChangeId) -> Self {
        Self { account, email, change, received: UnixMillis(0), size: 0, mailboxes: Vec::new() }
    }

    /// Sets when the server received the e-mail.
    #[must_use]
    pub fn with_received(mut self, received: UnixMillis) -> Self {
        self.received = received;
        self
    }

    /// Sets the size of the e-mail in bytes.
    #[must_use]
    pub fn with_size(mut self, size: u32) -> Self {
        self.size = size;
        self
    }

    /// Sets the mailboxes that hold the e-mail.
    ///
    /// # Errors
    /// [`EventError::TooLong`] past [`limits::LIST_IDS`].
    pub fn with_mailboxes(mut self, mailboxes: Vec<MailboxId>) -> Result<Self, EventError> {
        check_len("the list of mailboxes", mailboxes.len(), limits::LIST_IDS)?;
        self.mailboxes = mailboxes;
        Ok(self)
    }

    /// The mailboxes that hold the e-mail.
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
#[non_exhaustive]
pub struct CalendarAlert {
    /// The account that owns the calendar.
    pub account: AccountId,
    /// The calendar event.
    pub event: CalendarEventId,
    /// The alert of that event.
    pub alert: AlertId,
    /// When the alert is due.
    pub due: UnixMillis,
}

impl CalendarAlert {
    /// The alert of a calendar event of the account, due at `due`.
    #[must_use]
    pub fn new(
        account: AccountId,
        event: CalendarEventId,
        alert: AlertId,
        due: UnixMillis,
    ) -> Self {
        Self { account, event, alert, due }
    }
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

/// The kind of change of a push subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SubscriptionChange {
    /// The subscription is new.
    Created,
    /// The subscription was verified or changed.
    Updated,
    /// The subscription was removed.
    Removed,
}

/// A push subscription changed; the node that sends its pushes must be notified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PushSubscriptionChange {
    /// The account that owns the subscription.
    pub account: AccountId,
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The kind of change.
    pub change: SubscriptionChange,
}

impl PushSubscriptionChange {
    /// A change of a push subscription of the account.
    #[must_use]
    pub fn new(
        account: AccountId,
        subscription: SubscriptionId,
        change: SubscriptionChange,
    ) -> Self {
        Self { account, subscription, change }
    }
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
    fn a_mailbox_list_past_its_limit_is_refused() {
        let push = EmailPush::new(AccountId(1), EmailId(2), ChangeId(3));
        let error = push.with_mailboxes(vec![MailboxId(0); limits::LIST_IDS + 1]).unwrap_err();
        assert!(error.to_string().contains("the limit is 16384"), "{error}");
    }
}
