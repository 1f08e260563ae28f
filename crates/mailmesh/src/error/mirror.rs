//! The error of a change of the mirror.

use mailmesh_codec::CodecError;
use mailmesh_events::{EventError, Network, Printable};
use mailmesh_state::StateError;

use super::Stopped;

/// Why a change of the mirror is not made, or not saved; see [`Blocks`](crate::Blocks),
/// [`Certs`](crate::Certs), [`Values`](crate::Values) and [`Node::saved`](crate::Node::saved).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MirrorError {
    /// A text, a name or a value is invalid.
    #[error(transparent)]
    Invalid(#[from] EventError),
    /// An entry of an import is invalid.
    #[error("{network}: {why}")]
    ImportEntry {
        /// Network of the entry.
        network: Network,
        /// The text that is too long.
        why: EventError,
    },
    /// The mirror refused the change.
    #[error(transparent)]
    Refused(#[from] StateError),
    /// The change cannot be encoded.
    #[error(transparent)]
    Encode(#[from] CodecError),
    /// Certificates need a cluster key.
    #[error(
        "certificates are replicated only with a cluster key, so that no private key crosses the \
         network in the clear; set a key on every node (`mesh.key`)"
    )]
    NoClusterKey,
    /// A change is in the mirror, but not on disk.
    #[error(
        "the change is in force and sent to the other nodes, but not saved: {}",
        Printable(.why)
    )]
    NotSaved {
        /// Why the last write failed.
        why: String,
    },
    /// The node has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}
