//! Identifiers of the mail server, one newtype each, so that the compiler tells them apart.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident($inner:ty);)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        #[derive(Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<$inner> for $name {
            fn from(value: $inner) -> Self {
                Self(value)
            }
        }
    )*};
}

ids! {
    /// An account (a user, a group, a tenant's mailbox) of the mail server.
    AccountId(u32);
    /// A position in the change log of an account; larger is newer.
    ChangeId(u64);
    /// An e-mail within an account.
    EmailId(u32);
    /// A mailbox within an account.
    MailboxId(u32);
    /// A calendar event within an account.
    CalendarEventId(u32);
    /// An alert of a calendar event.
    AlertId(u16);
    /// A push subscription within an account.
    SubscriptionId(u32);
    /// A type of registry objects, by its number in the server.
    ObjectType(u16);
    /// An object of the registry or of a cache.
    ObjectId(u64);
}
