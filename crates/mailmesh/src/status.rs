use mailmesh_delivery::{Incarnation, NodeName};
use mailmesh_events::UnixMillis;
use mailmesh_transport::GateCounts;
use serde::Serialize;

use crate::Endpoint;
use crate::incoming::as_text;
pub use crate::persister::StoreStatus;

/// Frames that were refused, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Refused {
    /// The seal did not hold: another key, or altered.
    pub not_authentic: u64,
    /// Not sealed, though this node has a key.
    pub not_sealed: u64,
    /// Sealed, though this node has no key.
    pub no_key: u64,
    /// Of who is not known here, past 2,000 a second that no key opens.
    pub not_tried: u64,
    /// Of a version this node does not speak.
    pub other_version: u64,
    /// Not a frame.
    pub malformed: u64,
    /// Messages of a member with entries of the mirror that nobody asked for, past 1,024 at once
    /// and 128 a second.
    pub pushes: u64,
}

/// How a node is. Counters count since the start and never decrease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// Its name.
    pub name: NodeName,
    /// The cluster's name.
    pub cluster: String,
    /// Its life.
    #[serde(serialize_with = "as_text")]
    pub incarnation: Incarnation,
    /// When it started.
    pub started: UnixMillis,
    /// The public name of the cluster key; `None` for an open mesh.
    pub key_id: Option<String>,
    /// Where the node listens: endpoints with the ports that it has. Port 0 stays where Zenoh
    /// listens at one of the system's choice, without a cluster key or with `unproven`.
    pub listens: Vec<String>,
    /// The endpoints of the configuration.
    pub endpoints: Vec<Endpoint>,
    /// Other nodes.
    pub members: usize,
    /// There is no other node, but in the last minute a message of this cluster under another key
    /// was heard: this node may lack the key of the others. The message is not authentic, so a
    /// stranger on the network can imitate it.
    pub locked_out: bool,
    /// Inboxes open.
    pub inboxes: usize,
    /// About how many bytes wait in them.
    pub inbox_bytes: usize,
    /// Entries that they dropped because their readers were slow; shown as gaps.
    pub inbox_dropped: u64,
    /// Events published.
    pub sent: u64,
    /// Events delivered.
    pub delivered: u64,
    /// Nodes that joined since the start; a node that is back counts again.
    pub nodes_joined: u64,
    /// Nodes that left since the start.
    pub nodes_left: u64,
    /// Gaps told.
    pub gaps: u64,
    /// Events missed, all told.
    pub missed: u64,
    /// Frames that had come before.
    pub duplicates: u64,
    /// Requests sent for events that did not come.
    pub naks: u64,
    /// Frames sent again to who missed them.
    pub retransmitted_frames: u64,
    /// Bytes kept for sending again.
    pub replay_bytes: usize,
    /// Of the requests, those to other nodes than the sender.
    pub relay_naks: u64,
    /// Frames of other nodes passed on to who cannot hear them.
    pub relayed_frames: u64,
    /// Bytes of received frames kept for that.
    pub relay_bytes: usize,
    /// Times a member was no longer waited for because it confirmed nothing.
    pub receivers_excluded: u64,
    /// Frames dropped behind a hole for want of room; they are asked for again.
    pub reorder_dropped: u64,
    /// Frames of senders not introduced that were dropped.
    pub unknown_sender: u64,
    /// Frames of nodes past the largest number of members.
    pub too_many_peers: u64,
    /// Control messages that had come before.
    pub replays_rejected: u64,
    /// Greetings of who has not shown that it lives now: it is asked to.
    pub unproven_introductions: u64,
    /// Nodes not taken in or greeted for now: past 256 at once and 64 a second.
    pub admissions_deferred: u64,
    /// Frames for another node.
    pub misdirected: u64,
    /// Frames that break the protocol.
    pub malformed: u64,
    /// Frames refused.
    pub refused: Refused,
    /// Links and connections, where links prove the cluster key at the gate.
    pub links: Option<GateCounts>,
    /// Frames dropped because the intake was full; they show as gaps.
    pub intake_dropped: u64,
    /// Messages between mirrors dropped because too many waited; they are asked for again.
    pub directs_dropped: u64,
    /// Frames the bus did not take; they show as gaps at the others.
    pub put_failed: u64,
    /// Bytes waiting to be published.
    pub waiting_bytes: usize,
    /// Live entries of the mirror.
    pub mirror_entries: u64,
    /// Fingerprint of the mirror, equal on nodes whose mirrors are.
    pub mirror_fingerprint: String,
    /// Changes the mirror refused.
    pub mirror_refused: u64,
    /// Changes of other nodes that were stamped more than 5 s ahead of the time.
    pub mirror_ahead: u64,
    /// Whether more than half of the nodes' clocks agree on the time, this node's included.
    pub clock_agreed: bool,
    /// How many milliseconds the time of the cluster is ahead of this node's wall clock.
    pub clock_correction_ms: i64,
    /// The mirror's store; `None` without one.
    pub store: Option<StoreStatus>,
}
