use mailmesh_delivery::{Incarnation, NodeName};
use mailmesh_events::UnixMillis;
use mailmesh_transport::GateCounts;
use serde::Serialize;

use crate::Endpoint;
use crate::members::as_text;
pub use crate::persister::StoreStatus;

/// Refused frames, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Refused {
    /// Authentication failed: the frame was sealed with another key, or altered.
    pub not_authentic: u64,
    /// The frame was not sealed, but this node has a key.
    pub not_sealed: u64,
    /// The frame was sealed, but this node has no key.
    pub no_key: u64,
    /// Frames of unknown senders that were not decrypted, because 2,000 per second had already
    /// failed.
    pub not_tried: u64,
    /// The frame has a version that this node does not support.
    pub other_version: u64,
    /// The bytes are not a frame.
    pub malformed: u64,
    /// Messages with mirror entries that this node had not requested, beyond 1,024 at once and 128
    /// per second for each member.
    pub pushes: u64,
}

/// State and counters of a node. Counters count from the start and never decrease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// Name of the node.
    pub name: NodeName,
    /// Name of the cluster.
    pub cluster: String,
    /// Incarnation of the node.
    #[serde(serialize_with = "as_text")]
    pub incarnation: Incarnation,
    /// Start of the node, by its own clock.
    pub started: UnixMillis,
    /// Fingerprint of the active cluster key; `None` without a cluster key.
    pub key_id: Option<String>,
    /// Endpoints on which the node listens, with their actual ports. Port 0 remains where Zenoh
    /// lets the system choose the port: without a cluster key, or with `mesh.links` of `unproven`.
    pub listens: Vec<String>,
    /// State of the configured endpoints.
    pub endpoints: Vec<Endpoint>,
    /// Number of members.
    pub members: usize,
    /// This node has no member, but within the last minute it received a message of this cluster
    /// under another key: it may lack the key of the others. The message is not authenticated, so a
    /// stranger on the network can forge it.
    pub locked_out: bool,
    /// Open inboxes.
    pub inboxes: usize,
    /// Approximate bytes that wait in them.
    pub inbox_bytes: usize,
    /// Entries that inboxes dropped because their readers were slow. They show as gaps.
    pub inbox_dropped: u64,
    /// Events published.
    pub sent: u64,
    /// Events delivered.
    pub delivered: u64,
    /// Nodes that joined since the start; a node that rejoins counts again.
    pub nodes_joined: u64,
    /// Nodes that left since the start.
    pub nodes_left: u64,
    /// Gaps reported.
    pub gaps: u64,
    /// Events missed, the sum over all gaps.
    pub missed: u64,
    /// Frames received more than once.
    pub duplicates: u64,
    /// Requests sent for missing events.
    pub naks: u64,
    /// Frames retransmitted to receivers that missed them.
    pub retransmitted_frames: u64,
    /// Bytes kept in the replay buffer for retransmission.
    pub replay_bytes: usize,
    /// Those of `naks` that went to another node than the sender.
    pub relay_naks: u64,
    /// Frames relayed for nodes that cannot reach each other.
    pub relayed_frames: u64,
    /// Bytes of received frames kept for relaying.
    pub relay_bytes: usize,
    /// Times a member was excluded from flow control because it acknowledged nothing.
    pub receivers_excluded: u64,
    /// Frames after a hole dropped for lack of space. They are requested again.
    pub reorder_dropped: u64,
    /// Frames dropped because their sender was unknown.
    pub unknown_sender: u64,
    /// Frames of nodes beyond the largest number of members.
    pub too_many_peers: u64,
    /// Control messages rejected as replays.
    pub replays_rejected: u64,
    /// Introductions without proof that the sender is alive. The node asks for a proof.
    pub unproven_introductions: u64,
    /// Admissions deferred because more than 256 nodes came at once or 64 per second.
    pub admissions_deferred: u64,
    /// Frames addressed to another node.
    pub misdirected: u64,
    /// Frames that violate the protocol.
    pub malformed: u64,
    /// Refused frames.
    pub refused: Refused,
    /// Links and connections, if links prove the cluster key at the gate.
    pub links: Option<GateCounts>,
    /// Frames dropped because the intake was full. They show as gaps.
    pub intake_dropped: u64,
    /// Direct messages dropped because too many waited. They are requested again.
    pub directs_dropped: u64,
    /// Frames that the bus did not accept. They show as gaps on the other nodes.
    pub put_failed: u64,
    /// Bytes that wait to be published.
    pub waiting_bytes: usize,
    /// Live entries of the mirror.
    pub mirror_entries: u64,
    /// Fingerprint of the mirror; equal mirrors have equal fingerprints.
    pub mirror_fingerprint: String,
    /// Changes that the mirror refused.
    pub mirror_refused: u64,
    /// Changes of other nodes stamped more than 5 s ahead of cluster time.
    pub mirror_ahead: u64,
    /// Whether more than half of the clocks, this node's included, agree on the time.
    pub clock_agreed: bool,
    /// Milliseconds by which cluster time is ahead of this node's wall clock; negative if it is
    /// behind.
    pub clock_correction_ms: i64,
    /// State of the store; `None` without one.
    pub store: Option<StoreStatus>,
}
