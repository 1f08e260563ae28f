//! The actions and notifications that an endpoint returns to its caller.

use std::fmt;

use bytes::Bytes;

use crate::{Frame, Incarnation, Lane, NodeName, PerLane, Time};

/// The recipients of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// Every node on the bus.
    All,
    /// One peer.
    One(Incarnation),
}

/// The peer that relayed a frame of another node, and the number of its relay message
/// ([`Output::Relay`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Via {
    /// The relaying peer.
    pub peer: Incarnation,
    /// The number of the relay message, which reveals replays.
    pub number: u64,
}

/// An action for the caller of an [`Endpoint`](crate::Endpoint), or a notification. Outputs are
/// handled in order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// Put this frame on the bus.
    Transmit {
        /// The recipients.
        to: Destination,
        /// The frame.
        frame: Frame,
    },
    /// Send this frame of another node to one peer, unchanged ([`Frame::wire`]), inside a message
    /// of this node. That peer's driver passes the frame to
    /// [`Endpoint::handle_relayed`](crate::Endpoint::handle_relayed).
    Relay {
        /// The recipient.
        to: Incarnation,
        /// Number of the message, in the sequence of this node's control and direct messages.
        number: u64,
        /// The frame of the other node.
        frame: Frame,
    },
    /// The next events of a peer, in order.
    Deliver {
        /// The sender.
        from: Incarnation,
        /// The sender's lane.
        lane: Lane,
        /// Number of the first event.
        first: u64,
        /// Number of events.
        count: u16,
        /// The events, as the sender passed them to [`Endpoint::send`](crate::Endpoint::send).
        body: Bytes,
    },
    /// Events of a peer are missing and will not be delivered.
    Gap(Gap),
    /// A peer became a member. This output precedes all others from that peer.
    Joined(PeerInfo),
    /// A peer is no longer a member. This output follows all others from that peer, unless the peer
    /// joins again.
    Left {
        /// The last known state of the peer.
        peer: PeerInfo,
        /// Why the peer left.
        reason: LeaveReason,
    },
    /// Two live nodes use the same name.
    NameConflict(NameConflict),
    /// The route on which frames of a peer arrive has changed.
    Reach {
        /// The peer.
        peer: Incarnation,
        /// The new route.
        reach: Reach,
    },
    /// The tag on a peer's greeting or heartbeat.
    Tag {
        /// The peer.
        from: Incarnation,
        /// The tag, at most [`Settings::max_tag`](crate::Settings::max_tag) bytes.
        tag: Bytes,
    },
    /// A message that the peer sent with [`Endpoint::send_direct`](crate::Endpoint::send_direct).
    Direct {
        /// The peer.
        from: Incarnation,
        /// The message.
        body: Bytes,
    },
}

/// A range of missing events, reported in their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The sender.
    pub from: Incarnation,
    /// The sender's lane.
    pub lane: Lane,
    /// Number of the first missing event.
    pub first: u64,
    /// Number of missing events.
    pub missed: u64,
    /// Why the events are missing.
    pub reason: GapReason,
}

/// Why events are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum GapReason {
    /// No peer has the events, none of them arrived within
    /// [`Settings::repair_timeout`](crate::Settings::repair_timeout), or the receiver could not
    /// catch up with the sender.
    Lost,
    /// The events were sent while the peer was out of reach, and repair failed.
    Unreachable,
}

impl fmt::Display for GapReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lost => "lost on the way",
            Self::Unreachable => "sent while the peer was out of reach",
        })
    }
}

/// Why a peer left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum LeaveReason {
    /// The peer said goodbye.
    Bye,
    /// Neither frames nor reports of heartbeats arrived from the peer in time.
    Failed,
    /// A new incarnation of the same name took the peer's place.
    Replaced,
}

impl fmt::Display for LeaveReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bye => "said goodbye",
            Self::Failed => "sent no heartbeat in time",
            Self::Replaced => "was restarted",
        })
    }
}

/// Two live nodes that use the same name. The node that has worked with fewer peers must leave. On
/// a tie the younger must leave, by start time, then by incarnation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameConflict {
    /// The name that both nodes use.
    pub name: NodeName,
    /// The node that keeps the name.
    pub winner: Incarnation,
    /// The node that must leave.
    pub loser: Incarnation,
}

/// The public state of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerInfo {
    /// The peer's name, unique among live nodes.
    pub name: NodeName,
    /// The peer's incarnation, new at each start.
    pub incarnation: Incarnation,
    /// Start time by the peer's own wall clock, in milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// Version of the control protocol that the peer speaks.
    pub version: u16,
    /// When a new frame of the peer, or a report of a new heartbeat, last arrived.
    pub last_heard: Time,
    /// Per lane, the number after which the guarantee holds since the peer joined: each later event
    /// is delivered or reported missing.
    pub promised_after: PerLane<u64>,
    /// How the peer's frames arrive.
    pub reach: Reach,
}

/// How frames of a peer arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reach {
    /// From the peer itself.
    Direct,
    /// Through another peer that relays them, because the direct route is cut.
    Relayed {
        /// The relaying peer.
        via: Incarnation,
    },
}
