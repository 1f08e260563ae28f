use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    CacheInvalidation, CalendarAlert, CertificateChange, Change, Custom, EmailPush, Kind, Lane,
    NetworkChange, PushSubscriptionChange, QueueSignal, RegistryChange, StateChange, ValueChange,
};

/// An event of a kind this version does not know, as it came. It is passed on,
/// so that an older node in a rolling upgrade loses nothing else with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unknown {
    /// Its tag on the wire.
    pub tag: u64,
    /// Its MessagePack value.
    pub bytes: Bytes,
}

/// One thing a node tells the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Event {
    /// The state of an account moved on.
    StateChange(StateChange),
    /// An e-mail is to be pushed.
    EmailPush(EmailPush),
    /// A calendar alert is due.
    CalendarAlert(CalendarAlert),
    /// A push subscription changed.
    PushSubscription(PushSubscriptionChange),
    /// A cache is stale.
    Cache(CacheInvalidation),
    /// The registry changed.
    Registry(RegistryChange),
    /// A signal to the queues.
    Queue(QueueSignal),
    /// The mirror: a network was blocked, allowed, or taken off.
    #[serde(skip_deserializing)]
    Network(NetworkChange),
    /// The mirror: a certificate was renewed or withdrawn.
    #[serde(skip_deserializing)]
    Certificate(CertificateChange),
    /// The mirror: a value of a downstream crate was set or removed.
    #[serde(skip_deserializing)]
    Value(ValueChange),
    /// An event of a downstream crate.
    Custom(Custom),
    /// An event of a newer version.
    #[serde(skip_deserializing)]
    Unknown(Unknown),
}

impl Event {
    /// Its kind.
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

    /// The lane it takes.
    #[must_use]
    pub fn lane(&self) -> Lane {
        self.kind().lane()
    }

    /// Takes a newer event into this unsent one, where the newer makes the older
    /// redundant (see [`Kind::may_conflate`]). `false` leaves both as they were.
    pub fn absorb(&mut self, newer: &Self) -> bool {
        match (self, newer) {
            (Self::StateChange(old), Self::StateChange(new)) => old.absorb(new),
            (Self::Queue(old), Self::Queue(new)) => old == new,
            _ => false,
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
            Self::Unknown(event) => {
                write!(f, "unknown: tag {} with {} bytes", event.tag, event.bytes.len())
            }
        }
    }
}

macro_rules! from {
    ($($inner:ident => $variant:ident),* $(,)?) => {$(
        impl From<$inner> for Event {
            fn from(event: $inner) -> Self {
                Self::$variant(event)
            }
        }
    )*};
}

from! {
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
    /// Gives the event back if it is not a change of the mirror.
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
    use crate::{AccountId, CacheKind, ChangeId, ObjectId, RegistryObject};

    #[test]
    fn conflation_keeps_to_what_the_kind_allows() {
        let mut refresh = Event::from(QueueSignal::Refresh);
        assert!(refresh.absorb(&QueueSignal::Refresh.into()));
        assert!(!refresh.absorb(&QueueSignal::Paused.into()));
        let mut cache = Event::from(CacheInvalidation::all(CacheKind::Domain));
        assert!(!cache.absorb(&cache.clone()));
    }

    #[test]
    fn json_says_kind_and_event_and_comes_back() {
        let object = RegistryObject { object_type: 4, id: ObjectId(9) };
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
}
