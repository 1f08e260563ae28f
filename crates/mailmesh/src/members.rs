//! The members, as the API reports them.

use std::fmt;
use std::time::Duration;

use mailmesh_delivery::{Incarnation, NodeName, PeerInfo};
use mailmesh_events::UnixMillis;
use serde::{Serialize, Serializer};

use crate::ClockOffset;

/// A member, by name and incarnation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct MemberRef {
    /// Name of the member.
    pub name: NodeName,
    /// Incarnation of the member.
    #[serde(serialize_with = "as_text")]
    pub incarnation: Incarnation,
}

pub(crate) fn as_text<T: fmt::Display, S: Serializer>(value: &T, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(value)
}

pub(crate) fn as_millis<S: Serializer>(time: &Duration, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// A time that may be unknown, in milliseconds or `null`.
pub(crate) fn as_some_millis<S: Serializer>(
    time: &Option<Duration>,
    s: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => as_millis(time, s),
        None => s.serialize_none(),
    }
}

fn as_micros<S: Serializer>(time: &Option<Duration>, s: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => s.serialize_u64(u64::try_from(time.as_micros()).unwrap_or(u64::MAX)),
        None => s.serialize_none(),
    }
}

/// Another node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Member {
    /// Name of the node.
    pub name: NodeName,
    /// Incarnation of the node.
    #[serde(serialize_with = "as_text")]
    pub incarnation: Incarnation,
    /// Start of the node, by its own clock.
    pub started: UnixMillis,
    /// Time since the last frame of this member. Serialised in milliseconds, as `heard_ms_ago`.
    #[serde(rename = "heard_ms_ago", serialize_with = "as_millis")]
    pub heard_ago: Duration,
    /// The node that relays this member's frames while they do not arrive directly.
    pub relayed_via: Option<NodeName>,
    /// Round-trip time of the last clock query; `None` before the first answer. Serialised in
    /// microseconds, as `round_trip_us`.
    #[serde(rename = "round_trip_us", serialize_with = "as_micros")]
    pub round_trip: Option<Duration>,
    /// The member's wall clock against this node's; `None` before the first answer. Serialised as
    /// `clock_ahead_ms`.
    #[serde(rename = "clock_ahead_ms")]
    pub clock_offset: Option<ClockOffset>,
    /// The endpoints of `connect.endpoints` through which this member is linked, as far as known.
    pub endpoints: Vec<String>,
}

impl Member {
    /// A member whose frames `via` relays, if any.
    pub(crate) fn new(peer: &PeerInfo, heard_ago: Duration, via: Option<NodeName>) -> Self {
        Self {
            name: peer.name.clone(),
            incarnation: peer.incarnation,
            started: UnixMillis(peer.started_ms),
            heard_ago,
            relayed_via: via,
            round_trip: None,
            clock_offset: None,
            endpoints: Vec::new(),
        }
    }

    pub(crate) fn reference(peer: &PeerInfo) -> MemberRef {
        MemberRef { name: peer.name.clone(), incarnation: peer.incarnation }
    }
}
