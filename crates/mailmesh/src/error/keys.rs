//! The error of listing and changing cluster keys.

use mailmesh_codec::{CodecError, KeyId};
use mailmesh_events::Printable;

use super::Stopped;

/// Why the cluster keys are not listed or changed; see [`Keys`](crate::Keys).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// This node refused: it lacks the key, seals with it, or has too many keys.
    #[error(transparent)]
    Refused(#[from] CodecError),
    /// Another node refused.
    #[error("{node} refused: {}", Printable(.why))]
    RefusedBy {
        /// Name of the node.
        node: String,
        /// The error on that node.
        why: String,
    },
    /// There is no cluster key to change.
    #[error(
        "the mesh is open, there is no cluster key; set `mesh.key` on every node and restart them"
    )]
    OpenMesh,
    /// Nodes did not answer.
    #[error(
        "no answer from {nodes} within 5 s; repeat the call, and if that does not help, the node \
         may lack the active key: add it there, on that node alone"
    )]
    Unanswered {
        /// Names of the nodes, separated by commas.
        nodes: String,
    },
    /// Adding the key would make every node accept a retired key again.
    #[error(
        "key {id} was retired, and adding it readmits every node that still has it; to bring back \
         a node that has only this key, give it the key file of another node; to make all nodes \
         accept the key again, add it on each node alone"
    )]
    Retired {
        /// Fingerprint of the key.
        id: KeyId,
    },
    /// Nodes lack the key to activate.
    #[error("no key {id} at {nodes}; add it first")]
    Missing {
        /// Fingerprint of the key.
        id: KeyId,
        /// Names of the nodes, separated by commas.
        nodes: String,
    },
    /// Nodes still seal with the key to retire.
    #[error("{nodes} seal with {id}; activate another key first")]
    InUse {
        /// Fingerprint of the key.
        id: KeyId,
        /// Names of the nodes, separated by commas.
        nodes: String,
    },
    /// Nodes would lose the active key at a restart.
    #[error(
        "{nodes}: no file keeps key {id}, which seals, so after a restart the node could not talk \
         to the others; put the key where `mesh.key` of that node points and try again"
    )]
    NotKept {
        /// Fingerprint of the key.
        id: KeyId,
        /// Names of the nodes, separated by commas.
        nodes: String,
    },
    /// Too many concurrent key requests to other nodes.
    #[error("too many key requests to other nodes are open; wait and try again")]
    Busy,
    /// The key was not retired on this node: certificates on its disk are still sealed with it.
    #[error(
        "the key is not retired, because certificates on disk are still sealed with it: {}",
        Printable(.why)
    )]
    StillNeeded {
        /// Why the certificates were not sealed with the active key.
        why: String,
    },
    /// The node has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}
