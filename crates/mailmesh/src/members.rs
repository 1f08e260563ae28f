//! The other nodes, as a program sees them.

use std::time::Duration;

use mailmesh_delivery::{Incarnation, NodeName, PeerInfo};
use mailmesh_events::UnixMillis;
use serde::Serialize;

use crate::MemberRef;
use crate::incoming::as_text;

/// Another node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Member {
    /// Its name.
    pub name: NodeName,
    /// Its life.
    #[serde(serialize_with = "as_text")]
    pub incarnation: Incarnation,
    /// When it started, by its own clock.
    pub started: UnixMillis,
    /// How long ago it was heard, in milliseconds.
    pub heard_ms_ago: u64,
    /// The node that passes on what it sends, while the way to it is cut.
    pub relayed_via: Option<NodeName>,
    /// How long a message there and its answer last took, in microseconds; `None` before
    /// the first.
    pub round_trip_us: Option<u64>,
    /// How many milliseconds its wall clock is ahead of this node's.
    pub clock_ahead_ms: Option<i64>,
    /// The endpoints of `connect.endpoints` by which it is linked, as far as that is known.
    pub endpoints: Vec<String>,
}

impl Member {
    /// A member, who is passed on by `via`.
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
