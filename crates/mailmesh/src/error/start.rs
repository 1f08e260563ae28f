//! The error of starting a node.

use std::path::PathBuf;

use mailmesh_codec::CodecError;
use mailmesh_delivery::DeliveryError;
use mailmesh_events::Printable;
use mailmesh_secrets::display_path;
use mailmesh_store::StoreError;
use mailmesh_transport::{ConfigError, TransportError};

use super::Stopped;

/// Why a node does not start; see [`NodeBuilder::start`](crate::NodeBuilder::start).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The bus did not start.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// A name or a setting of delivery is invalid.
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
    /// This machine gives no random bytes.
    #[error("{}", CodecError::NoRandom)]
    Random,
    /// The text of the cluster key is not a key.
    #[error("`mesh.key`: {}{error}", file.as_deref().map(text_before).unwrap_or_default())]
    KeyText {
        /// The file that contains the text.
        file: Option<PathBuf>,
        /// The fault.
        error: CodecError,
    },
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store belongs to another cluster.
    #[error(
        "{}: this store belongs to cluster `{}`, and this node to cluster `{expected}`; give this \
         node another directory (`mesh.store`), or move the file away if nobody needs it, and the \
         node gets its content from the other nodes",
        Printable(.path.display()),
        Printable(.found)
    )]
    StoreOfAnotherCluster {
        /// The store's file.
        path: PathBuf,
        /// Name of the cluster that the store belongs to.
        found: String,
        /// Name of this node's cluster.
        expected: String,
    },
    /// The capacity of an inbox is too small.
    #[error(
        "an inbox of {entries} entries and {bytes} bytes is too small; set `inbox_events` to 16 or \
         more and `inbox_bytes` to 1,048,576 or more"
    )]
    InboxTooSmall {
        /// The entries that an inbox was to hold.
        entries: usize,
        /// The bytes that an inbox was to hold.
        bytes: usize,
    },
    /// The host's name is not a valid node name.
    #[error(
        "the host's name `{}` cannot be a node's name: {why}; set `mesh.name`",
        Printable(.host)
    )]
    HostName {
        /// The host's name.
        host: String,
        /// Why the name is invalid.
        why: String,
    },
    /// The runtime shut down meanwhile.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// A path, before the fault of its file.
fn text_before(path: &std::path::Path) -> String {
    format!("{}: ", display_path(path))
}
