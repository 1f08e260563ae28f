//! The sum of all events that a node publishes.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    AccountId, CacheInvalidation, CalendarAlert, CertificateChange, Change, Custom, EmailPush,
    Kind, Lane, NetworkChange, PushSubscriptionChange, QueueSignal, RegistryChange, StateChange,
    ValueChange,
};

/// An event of a kind that this version does not know, in its encoded form. Decoding keeps it, so
/// that a rolling upgrade does not lose the other events of the frame.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
pub struct UnknownEvent {
    /// The tag on the wire.
    pub tag: u64,
    /// The whole event as one MessagePack value, tag included.
    pub bytes: Bytes,
}

/// Shows the length only: this version does not know which bytes are a secret.
impl fmt::Debug for UnknownEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnknownEvent({self})")
    }
}

impl fmt::Display for UnknownEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tag {} with {} bytes", self.tag, self.bytes.len())
    }
}

/// An event that a node publishes to the other nodes of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Event {
    /// The state of an account changed.
    StateChange(StateChange),
    /// An e-mail arrived and is to be pushed to clients.
    EmailPush(EmailPush),
    /// A calendar alert is due.
    CalendarAlert(CalendarAlert),
    /// A push subscription changed.
    PushSubscription(PushSubscriptionChange),
    /// Entries of a cache are stale.
    Cache(CacheInvalidation),
    /// The configuration store of the server changed.
    Registry(RegistryChange),
    /// A signal to the message queues.
    Queue(QueueSignal),
    /// Mirror: a network was blocked or allowed, or its entry was removed.
    #[serde(skip_deserializing)]
    Network(NetworkChange),
    /// Mirror: a certificate was renewed or withdrawn.
    #[serde(skip_deserializing)]
    Certificate(CertificateChange),
    /// Mirror: a value of a downstream crate was set or removed.
    #[serde(skip_deserializing)]
    Value(ValueChange),
    /// An event of a downstream crate.
    Custom(Custom),
    /// An event of a kind that only a newer version knows.
    #[serde(skip_deserializing)]
    Unknown(UnknownEvent),
}

impl Event {
    /// The kind, without the content.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::StateChange(_) => Kind::StateChange,
            Self::EmailPush(_) => Kind::EmailPush,
            Self::CalendarAlert(_) => Kind::CalendarAlert,
            Self::PushSubscription(_) => Kind::PushSubscription,
            Self::Cache(_) => Kind::Cache,
            Self::Registry(_) => Kind::Registry,
            Self::Queue(_) => Kind::Queue,
            Self::Network(_) => Kind::Network,
            Self::Certificate(_) => Kind::Certificate,
            Self::Value(_) => Kind::Value,
            Self::Custom(_) => Kind::Custom,
            Self::Unknown(_) => Kind::Unknown,
        }
    }

    /// The lane that the event is sent on.
    #[must_use]
    pub fn lane(&self) -> Lane {
        self.kind().lane()
    }

    /// The account that the event concerns, by which a reader can filter; `None` for events of the
    /// whole server, and for those whose content this version does not know.
    #[must_use]
    pub fn account(&self) -> Option<AccountId> {
        match self {
            Self::StateChange(event) => Some(event.account),
            Self::EmailPush(event) => Some(event.account),
            Self::CalendarAlert(event) => Some(event.account),
            Self::PushSubscription(event) => Some(event.account),
            Self::Cache(_)
            | Self::Registry(_)
            | Self::Queue(_)
            | Self::Network(_)
            | Self::Certificate(_)
            | Self::Value(_)
            | Self::Custom(_)
            | Self::Unknown(_) => None,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StateChange(event) => write!(f, "state change: {event}"),
            Self::EmailPush(event) => write!(f, "email push: {event}"),
            Self::CalendarAlert(event) => write!(f, "calendar alert: {event}"),
            Self::PushSubscription(event) => write!(f, "push subscription: {event}"),
            Self::Cache(event) => write!(f, "cache invalidation: {event}"),
            Self::Registry(event) => write!(f, "registry: {event}"),
            Self::Queue(event) => write!(f, "queue: {event}"),
            Self::Network(event) => write!(f, "network: {event}"),
            Self::Certificate(event) => write!(f, "certificate: {event}"),
            Self::Value(event) => write!(f, "value: {event}"),
            Self::Custom(event) => write!(f, "custom: {event}"),
            Self::Unknown(event) => write!(f, "unknown: {event}"),
        }
    }
}

macro_rules! impl_from {
    ($($inner:ident => $variant:ident),* $(,)?) => {$(
        impl From<$inner> for Event {
            fn from(event: $inner) -> Self {
                Self::$variant(event)
            }
        }
    )*};
}

impl_from! {
    StateChange => StateChange,
    EmailPush => EmailPush,
    CalendarAlert => CalendarAlert,
    PushSubscriptionChange => PushSubscription,
    CacheInvalidation => Cache,
    RegistryChange => Registry,
    QueueSignal => Queue,
    NetworkChange => Network,
    CertificateChange => Certificate,
    ValueChange => Value,
    Custom => Custom,
}

impl From<Change> for Event {
    fn from(change: Change) -> Self {
        match change {
            Change::Network(change) => Self::Network(change),
            Change::Certificate(change) => Self::Certificate(change),
            Change::Value(change) => Self::Value(change),
        }
    }
}

impl TryFrom<Event> for Change {
    type Error = Event;

    /// # Errors
    /// Returns the event if it is not a change of the mirror.
    fn try_from(event: Event) -> Result<Self, Event> {
        match event {
            Event::Network(change) => Ok(Self::Network(change)),
            Event::Certificate(change) => Ok(Self::Certificate(change)),
            Event::Value(change) => Ok(Self::Value(change)),
            other => Err(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        AlertId, CacheKind, CalendarEventId, ChangeId, EmailId, ObjectId, ObjectType,
        RegistryObject, SubscriptionChange, SubscriptionId, UnixMillis,
    };

    #[test]
    fn json_names_the_kind_and_round_trips() {
        let object = RegistryObject::new(ObjectType(4), ObjectId(9));
        for event in [
            Event::from(QueueSignal::Paused),
            StateChange::new(AccountId(1), ChangeId(2)).into(),
            RegistryChange::Insert(object).into(),
            RegistryChange::Reload(None).into(),
            CacheInvalidation::negative(CacheKind::Dns).into(),
            CacheInvalidation::all(CacheKind::Other(77)).into(),
            Custom::new("x", vec![1, 2]).unwrap().into(),
        ] {
            let json = serde_json::to_string(&event).unwrap();
            assert!(json.starts_with(&format!("{{\"kind\":\"{}\"", event.kind())), "{json}");
            assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), event);
        }
    }

    #[test]
    fn an_event_of_an_account_names_it_and_an_event_of_the_server_names_none() {
        let account = AccountId(7);
        let due = CalendarAlert::new(account, CalendarEventId(1), AlertId(2), UnixMillis(3));
        let change = SubscriptionChange::Updated;
        for event in [
            Event::from(StateChange::new(account, ChangeId(1))),
            EmailPush::new(account, EmailId(1), ChangeId(2)).into(),
            due.into(),
            PushSubscriptionChange::new(account, SubscriptionId(1), change).into(),
        ] {
            assert_eq!(event.account(), Some(account), "{event}");
        }
        for event in [
            Event::from(QueueSignal::Paused),
            CacheInvalidation::all(CacheKind::Dns).into(),
            RegistryChange::Reload(None).into(),
            Custom::new("x", vec![1]).unwrap().into(),
        ] {
            assert_eq!(event.account(), None, "{event}");
        }
    }
}
