//! The state and the counters that a node reports.

use mailmesh_delivery::{Incarnation, NodeName};
use mailmesh_events::UnixMillis;
use mailmesh_transport::{DriverCounters, GateCounts};
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

/// State and counters of a node. Counters count from the start and never decrease. In JSON, as in
/// `mailmesh status --json`, the fields of [`counters`](Self::counters) are fields of the status.
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
    /// Counters of the transport and of the delivery core, with what they keep now.
    #[serde(flatten)]
    pub counters: DriverCounters,
    /// Nodes that joined since the start; a node that rejoins counts again.
    pub nodes_joined: u64,
    /// Nodes that left since the start.
    pub nodes_left: u64,
    /// Refused frames.
    pub refused: Refused,
    /// Links and connections, if links prove the cluster key at the gate.
    pub links: Option<GateCounts>,
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::testing::TestCluster;

    fn fields(value: &impl Serialize) -> BTreeSet<String> {
        let value = serde_json::to_value(value).unwrap();
        let Value::Object(fields) = value else { panic!("{value}") };
        fields.into_iter().map(|(name, _)| name).collect()
    }

    /// The words between backticks.
    fn names(text: &str) -> BTreeSet<String> {
        text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_docs_list_every_field_of_the_status_and_no_other() {
        let docs = include_str!("../../../docs/reference/counters.md");
        let rows: Vec<Vec<&str>> = docs
            .lines()
            .filter(|line| line.starts_with("| `"))
            .map(|line| line.split('|').collect())
            .collect();
        let listed: BTreeSet<String> = rows.iter().flat_map(|row| names(row[1])).collect();
        assert_eq!(
            listed,
            fields(&TestCluster::start(["mx1"]).await.unwrap().node("mx1").status())
        );
        for (name, parts) in
            [("refused", fields(&Refused::default())), ("links", fields(&GateCounts::default()))]
        {
            let row = rows.iter().find(|row| names(row[1]).contains(name)).unwrap();
            let missing: Vec<_> = parts.difference(&names(row[2])).cloned().collect();
            assert_eq!(missing, [] as [String; 0], "{name}");
        }
    }
}
