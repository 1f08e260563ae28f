//! The events that the nodes of a clustered mail server send each other.
//!
//! Examples: a mailbox changed, a push is due, a cache entry is stale, a queue was paused, a
//! network is blocked, a certificate was renewed. This crate holds the types and nothing else: no
//! I/O, no clock, no wire format.
//!
//! **Invariant**: every value is within [`limits`], because its constructor checks them.
//!
//! **Other crates**: encoding (`mailmesh-codec`), merging (`mailmesh-state`), order and
//! retransmission (`mailmesh-delivery`).
//!
//! ```
//! use mailmesh_events::*;
//!
//! let event: Event = StateChange::new(AccountId(7), ChangeId(4_211))
//!     .with(DataTypes::EMAIL | DataTypes::MAILBOX)
//!     .into();
//! assert_eq!(event.lane(), Lane::Events);
//! assert_eq!(event.to_string(), "state change: account 7 at change 4211 (Email, Mailbox)");
//! ```

mod cache;
mod certificate;
mod change;
mod custom;
mod data_types;
mod direct;
mod error;
mod event;
mod host;
mod id;
mod key_id;
mod key_messages;
mod kind;
mod network;
mod printable;
mod push;
mod queue;
mod registry;
mod rule;
mod size;
mod stamp;
mod sync;
mod time;
mod value;

pub mod limits;

pub use cache::{CacheInvalidation, CacheKind, CacheScope};
pub use certificate::{
    Certificate, CertificateFingerprint, CertificateParts, DomainNames, PrivateKey,
};
pub use change::{CertificateChange, Change, ChangeKey, NetworkChange};
pub use custom::Custom;
pub use data_types::DataTypes;
pub use direct::{ClockMessage, DirectMessage};
pub use error::EventError;
pub use event::{Event, UnknownEvent};
pub use host::HostName;
pub use id::{
    AccountId, AlertId, CalendarEventId, ChangeId, EmailId, MailboxId, ObjectId, ObjectType,
    SubscriptionId,
};
pub use key_id::KeyId;
pub use key_messages::{KeyAction, KeyMessage, KeySecret, KeysHeld};
pub use kind::{Kind, KindSet, Lane};
pub use network::Network;
pub use printable::{Escaper, Printable, PrintableJson, is_unprintable};
pub use push::{CalendarAlert, EmailPush, PushSubscriptionChange, StateChange, SubscriptionChange};
pub use queue::QueueSignal;
pub use registry::{RegistryChange, RegistryObject};
pub use rule::{Rule, RuleDetails};
pub use stamp::{NodeId, Stamp};
pub use sync::{CodedSymbol, MirrorDigest, Share, SyncMessage};
pub use time::UnixMillis;
pub use value::{Value, ValueChange, ValueKey};
