#![doc = include_str!("../README.md")]

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
