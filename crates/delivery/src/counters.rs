//! The counters of an endpoint.

use serde::Serialize;

/// The counters of an endpoint, from its start. They never decrease. The layers above,
/// `mailmesh status` and `docs/reference/counters.md` use the same names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct DeliveryCounters {
    /// Events that this node sent.
    pub sent: u64,
    /// Events delivered to the caller.
    pub delivered: u64,
    /// Events reported missing.
    pub missed: u64,
    /// Gaps reported.
    pub gaps: u64,
    /// Data frames whose events had arrived or been given up before.
    pub duplicates: u64,
    /// Control, direct and relay messages that had arrived before, or that are too old to tell.
    pub replays_rejected: u64,
    /// Greetings and heartbeats to all from nodes that have not proven to this node that they are
    /// alive. This node asks them for a proof.
    pub unproven_introductions: u64,
    /// Admissions and greetings of nodes that a rate limit put off.
    pub admissions_deferred: u64,
    /// Frames addressed to another node: most likely recorded and replayed here.
    pub misdirected: u64,
    /// Frames that violate the protocol.
    pub malformed: u64,
    /// Frames dropped because their sender is not a member.
    pub unknown_sender: u64,
    /// Admissions refused because of the limit on peers.
    pub too_many_peers: u64,
    /// Periodic heartbeats sent to all.
    pub heartbeats: u64,
    /// Requests sent for missing events (NAKs).
    pub naks: u64,
    /// NAKs sent to another peer than the sender of the events; `naks` includes them.
    pub relay_naks: u64,
    /// Frames of this node that it retransmitted.
    pub retransmitted_frames: u64,
    /// Frames of other nodes that this node relayed, on request or under a lease.
    pub relayed_frames: u64,
    /// Times that the route to a peer changed.
    pub route_changes: u64,
    /// Times that a receiver was excluded from flow control for acknowledging too little.
    pub receivers_excluded: u64,
    /// Frames dropped because too much was held behind a hole; they are requested again.
    pub reorder_dropped: u64,
}
