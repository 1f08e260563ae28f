use std::fmt;

use bytes::Bytes;

use crate::{Frame, Incarnation, Lane, NodeName, Time};

/// Where a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// Every peer.
    All,
    /// One peer.
    One(Incarnation),
}

/// Who passed on a frame of another node, and the number of its message
/// ([`Output::Relay`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Via {
    /// The peer.
    pub peer: Incarnation,
    /// The number.
    pub number: u64,
}

/// What a [`Endpoint`](crate::Endpoint) wants done or known, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// Put this frame on the bus.
    Transmit {
        /// To whom.
        to: Destination,
        /// What.
        frame: Frame,
    },
    /// Put this frame of another node on the bus for one peer, as its sender made it
    /// ([`Frame::wire`]), in a message of our own with this number. What comes of it
    /// there goes to [`Endpoint::handle_relayed`](crate::Endpoint::handle_relayed).
    Relay {
        /// To whom.
        to: Incarnation,
        /// Number of the message, of the control and direct messages of this node.
        number: u64,
        /// What.
        frame: Frame,
    },
    /// Events of a peer, next in order.
    Deliver {
        /// The sender.
        from: Incarnation,
        /// Its lane.
        lane: Lane,
        /// Number of the first event.
        first: u64,
        /// Number of events.
        count: u16,
        /// The events.
        body: Bytes,
    },
    /// Events of a peer are missing here.
    Gap(Gap),
    /// A peer takes part. Comes before anything else from it.
    Joined(PeerInfo),
    /// A peer no longer takes part. Comes after everything from it.
    Left {
        /// Who.
        peer: PeerInfo,
        /// Why.
        reason: LeaveReason,
    },
    /// Two live nodes have one name.
    NameConflict(NameConflict),
    /// The way to a peer changed.
    Reach {
        /// The peer.
        peer: Incarnation,
        /// The way now.
        reach: Reach,
    },
    /// The tag on a peer's heartbeat.
    Tag {
        /// The peer.
        from: Incarnation,
        /// Its tag.
        tag: Bytes,
    },
    /// A message of the layer above.
    Direct {
        /// The peer.
        from: Incarnation,
        /// The message.
        body: Bytes,
    },
}

/// In place of events that will not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The sender.
    pub from: Incarnation,
    /// Its lane.
    pub lane: Lane,
    /// Number of the first event missed.
    pub first: u64,
    /// How many.
    pub missed: u64,
    /// Why.
    pub reason: GapReason,
}

/// Why events are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum GapReason {
    /// Lost on the way.
    Lost,
    /// Sent while the peer was out of reach.
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
    /// It said so.
    Bye,
    /// It gave no sign of life.
    Failed,
    /// A new life of the same name took its place.
    Replaced,
}

impl fmt::Display for LeaveReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bye => "sender_position goodbye",
            Self::Failed => "gave no sign of life",
            Self::Replaced => "was restarted",
        })
    }
}

/// Two live nodes of one name. The one that has worked with fewer others must step back; of
/// equals the younger, by start time, then incarnation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameConflict {
    /// The name.
    pub name: NodeName,
    /// The node that keeps the name.
    pub winner: Incarnation,
    /// The node that must leave.
    pub loser: Incarnation,
}

/// What is known of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerInfo {
    /// Its name.
    pub name: NodeName,
    /// Its life.
    pub incarnation: Incarnation,
    /// When it started by its own clock, in milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// The version of the control protocol it speaks.
    pub version: u16,
    /// When it was last heard.
    pub last_heard: Time,
    /// Numbers of the events, per lane, after which its events are awaited since it
    /// joined: each later one is delivered or told missing.
    pub promised_after: [u64; 2],
    /// How it is heard.
    pub reach: Reach,
}

/// How a peer is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reach {
    /// What it sends comes from itself.
    Direct,
    /// The way to it is cut; another peer passes on what it sends.
    Relayed {
        /// That peer.
        via: Incarnation,
    },
}

/// What was counted since the start. None ever decreases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counters {
    /// Events sent.
    pub sent: u64,
    /// Events delivered.
    pub delivered: u64,
    /// Events reported missing.
    pub missed: u64,
    /// Gaps reported.
    pub gaps: u64,
    /// Data frames that had been delivered before.
    pub duplicates: u64,
    /// Control and direct messages seen before, or too old to tell.
    pub replays_rejected: u64,
    /// Greetings and signs of life, said to all, of nodes that have not shown to this one
    /// that they live: they were asked to.
    pub unproven_introductions: u64,
    /// Nodes not taken in or greeted for now: too many came at once.
    pub admissions_deferred: u64,
    /// Frames that were for another node: somebody recorded them and put them here.
    pub misdirected: u64,
    /// Frames that break the protocol.
    pub malformed: u64,
    /// Frames of senders not introduced that were dropped.
    pub unknown_sender: u64,
    /// Frames of peers past the limit of peers.
    pub too_many_peers: u64,
    /// Heartbeats sent.
    pub heartbeats: u64,
    /// Requests sent for events that did not come.
    pub naks: u64,
    /// Of those, requests to other peers than the sender.
    pub relay_naks: u64,
    /// Frames sent again.
    pub retransmitted_frames: u64,
    /// Frames of other nodes passed on, asked for one by one or all.
    pub relayed_frames: u64,
    /// Times that the way to a peer changed.
    pub route_changes: u64,
    /// Times a receiver was set aside because it confirmed nothing.
    pub receivers_excluded: u64,
    /// Frames dropped because too much was held behind a hole; asked for again.
    pub reorder_dropped: u64,
}
