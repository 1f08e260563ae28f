//! The members, as the API reports them.

use std::fmt;
use std::time::Duration;

use mailmesh_delivery::{Incarnation, NodeName, PeerInfo};
use mailmesh_events::UnixMillis;
use serde::{Serialize, Serializer};

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
    /// Milliseconds since the last frame of this member.
    pub heard_ms_ago: u64,
    /// The node that relays this member's frames while they do not arrive directly.
    pub relayed_via: Option<NodeName>,
    /// Round-trip time of the last clock query, in microseconds; `None` before the first answer.
    pub round_trip_us: Option<u64>,
    /// Milliseconds by which the member's wall clock is ahead of this node's; negative if it is
    /// behind.
    pub clock_ahead_ms: Option<i64>,
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
            heard_ms_ago: u64::try_from(heard_ago.as_millis()).unwrap_or(u64::MAX),
            relayed_via: via,
            round_trip_us: None,
            clock_ahead_ms: None,
            endpoints: Vec::new(),
        }
    }

    pub(crate) fn reference(peer: &PeerInfo) -> MemberRef {
        MemberRef { name: peer.name.clone(), incarnation: peer.incarnation }
    }
}
