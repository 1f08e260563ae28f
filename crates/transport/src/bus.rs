//! The network under a cluster: the trait [`Bus`], and the key expressions of a cluster.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use mailmesh_delivery::{Incarnation, Lane};
use ring::digest::{SHA256, digest};

use crate::TransportError;

/// The stream of the bus that a frame takes. Frames of one channel keep their order on a link.
/// Control frames share a queue with events, so that an announced position never overtakes the
/// events it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Events of a lane.
    Lane(Lane),
    /// Delivery's control messages: acknowledgements, repair requests, heartbeats, gossip.
    Control,
    /// Long messages for one peer. They go after events, whatever their size.
    Bulk,
}

/// The destination of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Address {
    /// Every other node of the cluster.
    All,
    /// One node of the cluster.
    One(Incarnation),
}

/// The future that [`Bus::close`] returns.
pub type BusFuture<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Puts frames on the network to the other nodes of a cluster. Frames that arrive go to the
/// [`IngressSender`](crate::IngressSender) given at construction.
pub trait Bus: Send + Sync + 'static {
    /// Puts a frame. If links are full, this call takes up to about one millisecond and then drops
    /// the frame; it never waits for a slow receiver.
    ///
    /// # Errors
    /// [`TransportError::Put`], [`TransportError::Closed`]. A frame dropped by a full link is not
    /// an error: receivers detect the hole.
    fn put(&self, to: Address, channel: Channel, frame: Bytes) -> Result<(), TransportError>;

    /// Whether a put is so cheap that batching events brings nothing. If so, each publisher sends
    /// its own events and there is no sending thread. All work then happens in the tasks of the
    /// caller's runtime, whose clock a test may have paused.
    fn is_synchronous(&self) -> bool {
        false
    }

    /// A peer joined: from now on frames for this peer alone are frequent.
    fn peer_joined(&self, peer: Incarnation);

    /// A peer left: frees the resources kept for it. `for_good` is set if the peer said goodbye or
    /// has a newer incarnation; the bus then stops looking for it.
    fn peer_left(&self, peer: Incarnation, for_good: bool);

    /// Closes the bus after every accepted frame has been handed to the links.
    fn close(&self) -> BusFuture<'_>;
}

/// The name of a cluster in the messages of discovery and of the gate: a hash of its key prefix. It
/// is not a secret; a message of another cluster is refused before any key is tried.
pub(crate) type ClusterTag = [u8; 8];

/// The key expressions of one cluster. Clusters of different names share no key expression and
/// never receive each other's frames.
///
/// ```text
/// mailmesh/<cluster>/v1/to/*                  to every node
/// mailmesh/<cluster>/v1/to/<incarnation>      to one node
/// mailmesh/<cluster>/v1/alive/<incarnation>   liveliness token
/// ```
///
/// A node subscribes only to its own key, and no other node subscribes to that key. Zenoh 1.10.2
/// keeps all state of a closed link while another subscriber of the same key expression exists
/// (`docs/decisions/0026-a-key-of-its-own-for-each-node.md`).
#[derive(Clone, PartialEq, Eq)]
pub struct KeySpace {
    prefix: String,
}

impl KeySpace {
    /// The key expressions of `cluster`.
    ///
    /// # Errors
    /// [`TransportError::ClusterName`].
    pub fn new(cluster: &str) -> Result<Self, TransportError> {
        let well_formed = cluster.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b));
        if cluster.is_empty() || cluster.len() > 64 || !well_formed {
            let name = cluster.chars().take(80).collect();
            return Err(TransportError::ClusterName { name });
        }
        Ok(Self { prefix: format!("mailmesh/{cluster}/v1") })
    }

    /// See [`ClusterTag`].
    pub(crate) fn tag(&self) -> ClusterTag {
        let mut tag = [0; 8];
        tag.copy_from_slice(&digest(&SHA256, self.prefix.as_bytes()).as_ref()[..8]);
        tag
    }

    /// The key expression for frames to every node; it matches the key of each node.
    pub(crate) fn all(&self) -> String {
        format!("{}/to/*", self.prefix)
    }

    /// The key that the node `to` subscribes to, for frames to that node alone.
    pub(crate) fn one(&self, to: Incarnation) -> String {
        format!("{}/to/{to}", self.prefix)
    }

    pub(crate) fn alive(&self, incarnation: Incarnation) -> String {
        format!("{}/alive/{incarnation}", self.prefix)
    }

    pub(crate) fn everyone_alive(&self) -> String {
        format!("{}/alive/*", self.prefix)
    }
}

impl fmt::Debug for KeySpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySpace({})", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use zenoh::key_expr::KeyExpr;

    use super::*;

    #[test]
    fn a_cluster_name_cannot_reach_into_another_clusters_keys() {
        for name in ["", "a/b", "*", "**", "a*", "$*", "a b", "ä", &"x".repeat(65)] {
            assert!(KeySpace::new(name).is_err(), "{name}");
        }
        let keys = KeySpace::new("mail.example-1").unwrap();
        let key = keys.one(Incarnation([0xab; 16]));
        assert_eq!(key, format!("mailmesh/mail.example-1/v1/to/{}", "ab".repeat(16)));
    }

    #[test]
    fn the_key_of_all_matches_each_nodes_key_and_no_two_nodes_share_one() {
        let keys = KeySpace::new("mail").unwrap();
        let [one, two] = [1, 2].map(|n| KeyExpr::new(keys.one(Incarnation([n; 16]))).unwrap());
        let all = KeyExpr::new(keys.all()).unwrap();
        assert!(!one.intersects(&two));
        assert!(all.intersects(&one) && all.intersects(&two));
        let other = KeySpace::new("mail2").unwrap().one(Incarnation([1; 16]));
        assert!(!all.intersects(&KeyExpr::new(other).unwrap()));
        assert!(!all.intersects(&KeyExpr::new(keys.alive(Incarnation([1; 16]))).unwrap()));
    }
}
