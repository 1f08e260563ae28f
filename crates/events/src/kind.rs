//! The kind of an event, its lane and its name; sets of kinds.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::EventError;

/// One of the two ordered streams of a sender. Order holds within a lane of one sender, never
/// across lanes or senders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Events whose delay makes other nodes act on stale data: mirror changes, registry changes
    /// and cache invalidations.
    Urgent,
    /// All other events.
    Events,
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Urgent => "urgent",
            Self::Events => "events",
        })
    }
}

/// The kind of an event, without its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Kind {
    /// [`StateChange`](crate::StateChange)
    StateChange,
    /// [`EmailPush`](crate::EmailPush)
    EmailPush,
    /// [`CalendarAlert`](crate::CalendarAlert)
    CalendarAlert,
    /// [`PushSubscriptionChange`](crate::PushSubscriptionChange)
    PushSubscription,
    /// [`CacheInvalidation`](crate::CacheInvalidation)
    Cache,
    /// [`RegistryChange`](crate::RegistryChange)
    Registry,
    /// [`QueueSignal`](crate::QueueSignal)
    Queue,
    /// [`NetworkChange`](crate::NetworkChange)
    Network,
    /// [`CertificateChange`](crate::CertificateChange)
    Certificate,
    /// [`ValueChange`](crate::ValueChange)
    Value,
    /// [`Custom`](crate::Custom)
    Custom,
    /// [`UnknownEvent`](crate::UnknownEvent)
    Unknown,
}

impl Kind {
    /// Every kind, in the order of declaration.
    pub const ALL: [Self; 12] = [
        Self::StateChange,
        Self::EmailPush,
        Self::CalendarAlert,
        Self::PushSubscription,
        Self::Cache,
        Self::Registry,
        Self::Queue,
        Self::Network,
        Self::Certificate,
        Self::Value,
        Self::Custom,
        Self::Unknown,
    ];

    /// The lane that events of this kind are sent on.
    #[must_use]
    pub fn lane(self) -> Lane {
        match self {
            Self::Cache | Self::Registry | Self::Network | Self::Certificate | Self::Value => {
                Lane::Urgent
            }
            Self::StateChange
            | Self::EmailPush
            | Self::CalendarAlert
            | Self::PushSubscription
            | Self::Queue
            | Self::Custom
            | Self::Unknown => Lane::Events,
        }
    }

    /// The name of the kind on command lines and in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::StateChange => "state-change",
            Self::EmailPush => "email-push",
            Self::CalendarAlert => "calendar-alert",
            Self::PushSubscription => "push-subscription",
            Self::Cache => "cache",
            Self::Registry => "registry",
            Self::Queue => "queue",
            Self::Network => "network",
            Self::Certificate => "certificate",
            Self::Value => "value",
            Self::Custom => "custom",
            Self::Unknown => "unknown",
        }
    }
}

impl FromStr for Kind {
    type Err = EventError;

    /// Parses a [`name`](Self::name).
    fn from_str(name: &str) -> Result<Self, EventError> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let name = name.chars().take(80).collect();
            EventError::UnknownKind { name, known: Self::ALL.map(Self::name).join(", ") }
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of kinds, for filters.
///
/// ```
/// use mailmesh_events::{Kind, KindSet};
///
/// let set: KindSet = [Kind::Cache, Kind::Registry].into_iter().collect();
/// assert!(set.contains(Kind::Cache) && !set.contains(Kind::Queue));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct KindSet(u32);

impl KindSet {
    /// The set of every kind.
    #[must_use]
    pub fn all() -> Self {
        Kind::ALL.into_iter().collect()
    }

    /// Whether `kind` is in the set.
    #[must_use]
    pub fn contains(self, kind: Kind) -> bool {
        self.0 & bit(kind) != 0
    }

    /// The set with `kind` added.
    #[must_use]
    pub fn with(self, kind: Kind) -> Self {
        Self(self.0 | bit(kind))
    }

    /// The kinds of the set, in the order of declaration.
    pub fn iter(self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(move |kind| self.contains(*kind))
    }
}

impl Extend<Kind> for KindSet {
    fn extend<I: IntoIterator<Item = Kind>>(&mut self, kinds: I) {
        *self = kinds.into_iter().fold(*self, Self::with);
    }
}

impl FromIterator<Kind> for KindSet {
    fn from_iter<I: IntoIterator<Item = Kind>>(kinds: I) -> Self {
        kinds.into_iter().fold(Self::default(), Self::with)
    }
}

fn bit(kind: Kind) -> u32 {
    1 << (kind as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_one_name_and_one_bit() {
        for kind in Kind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
        assert_eq!(Kind::ALL.len(), Kind::Unknown as usize + 1, "`Unknown` is the last kind");
        assert_eq!(KindSet::all().0.count_ones() as usize, Kind::ALL.len());
        assert!(KindSet::all().iter().eq(Kind::ALL));
        let error = "mail".parse::<Kind>().unwrap_err().to_string();
        assert!(error.starts_with("`mail` is not a kind of event; the kinds are state-change, "));
    }
}
