use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use mailmesh_delivery::{Incarnation, Lane};
use ring::digest::{SHA256, digest};

use crate::TransportError;

/// Which stream of the bus a frame takes. Frames of one channel keep their order
/// on a link; control shares a queue with events, so that a position announced
/// never overtakes the events it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Events of a lane.
    Lane(Lane),
    /// What peers say to each other about those.
    Control,
    /// Long messages for one peer: behind events, whatever their size.
    Bulk,
}

/// To whom a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Address {
    /// Every other node of the cluster.
    All,
    /// One of them.
    One(Incarnation),
}

/// What [`Bus::close`] gives back.
pub type BusFuture<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// A way to put frames before the other nodes of a cluster. What comes from them
/// goes to the [`IngressSender`](crate::IngressSender) given at construction.
pub trait Bus: Send + Sync + 'static {
    /// Puts a frame. May take up to about a millisecond when links are full, then
    /// drops it; never waits for a slow receiver.
    ///
    /// # Errors
    /// [`TransportError::Put`], [`TransportError::Closed`]. A frame dropped by a
    /// full link is no error here: receivers notice.
    fn put(&self, to: Address, channel: Channel, frame: Bytes) -> Result<(), TransportError>;

    /// Whether a put costs so little that events need not gather meanwhile. A publisher
    /// then sends each itself, and there is no sending thread: nothing happens outside
    /// the tasks of the runtime, whose time a test may have paused.
    fn is_synchronous(&self) -> bool {
        false
    }

    /// A peer joined: more will be put for it alone.
    fn peer_joined(&self, peer: Incarnation);

    /// Frees what is kept for a peer that left; `for_good` if it said so, or has a new
    /// life, so that it need not be looked for.
    fn peer_left(&self, peer: Incarnation, for_good: bool);

    /// Closes the bus, after what was put has been handed to the links.
    fn close(&self) -> BusFuture<'_>;
}

/// The key expressions of one cluster. Two clusters of different names share no
/// key and never hear each other.
///
/// ```text
/// mailmesh/<cluster>/v1/to/*                  to every node
/// mailmesh/<cluster>/v1/to/<incarnation>      to one node
/// mailmesh/<cluster>/v1/alive/<incarnation>   liveliness token
/// ```
///
/// A node subscribes to its own key alone, which no other node does. Zenoh 1.10.2 keeps all that it
/// had of a closed link while another subscriber of the same key expression is there
/// (`docs/decisions/0026-a-key-of-its-own-for-each-node.md`).
#[derive(Clone, PartialEq, Eq)]
pub struct KeySpace {
    prefix: String,
}

impl KeySpace {
    /// The keys of `cluster`.
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

    /// What discovery calls the cluster: its messages are of one cluster before a key is tried.
    pub(crate) fn tag(&self) -> [u8; 8] {
        let mut tag = [0; 8];
        tag.copy_from_slice(&digest(&SHA256, self.prefix.as_bytes()).as_ref()[..8]);
        tag
    }

    /// The key expression for frames to every node; it matches the key of each.
    pub(crate) fn all(&self) -> String {
        format!("{}/to/*", self.prefix)
    }

    /// The key that a node subscribes to; frames to that node alone go there.
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
    fn each_node_subscribes_to_a_key_of_its_own_which_that_of_all_intersects() {
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
