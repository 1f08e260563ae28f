use mailmesh_codec::CodecError;
use mailmesh_delivery::DeliveryError;
use mailmesh_events::{EventError, Kind, Network, Printable};
use mailmesh_state::StateError;
use mailmesh_store::StoreError;
use mailmesh_transport::{ConfigError, PublishError, TransportError};

/// Errors of a node.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The bus did not start.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// A name or a setting of delivery is invalid.
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
    /// An event or key cannot be encoded or decoded.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A value is invalid.
    #[error(transparent)]
    Event(#[from] EventError),
    /// Inboxes do not receive changes of the mirror.
    #[error(
        "an inbox receives no events of the kind `{kind}`; the watch of the mirror reports them \
         (`Node::watch`, or that of `Blocks`, `Certs` or `Values`)"
    )]
    MirrorKind {
        /// The kind.
        kind: Kind,
    },
    /// An entry of an import is invalid.
    #[error("{network}: {why}")]
    ImportEntry {
        /// Network of the entry.
        network: Network,
        /// The text that is too long.
        why: EventError,
    },
    /// The mirror refused a change.
    #[error(transparent)]
    State(#[from] StateError),
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
        path: std::path::PathBuf,
        /// Name of the cluster that the store belongs to.
        found: String,
        /// Name of this node's cluster.
        expected: String,
    },
    /// A change is in the mirror, but not on disk.
    #[error(
        "the change is in force and sent to the other nodes, but not saved: {}",
        Printable(.why)
    )]
    NotSaved {
        /// Why the last write failed.
        why: String,
    },
    /// The publishing queue of the lane is full.
    #[error("the publishing queue is full; wait with `publish`, or publish less")]
    Full,
    /// The node was shut down.
    #[error("the node was shut down; start a new one")]
    ShutDown,
    /// Another live node has the same name, and has more members or is older.
    #[error(
        "another live node is named `{name}` and has more members or is older, so this node \
         stepped back; give each node a name of its own (`mesh.name`)"
    )]
    SteppedBack {
        /// The name of both nodes.
        name: String,
    },
    /// The application tried to publish a change of the mirror as an event.
    #[error(
        "networks, certificates and values are published with `blocks()`, `certs()` and \
         `values()`, which stamp and store them"
    )]
    MirrorEvent,
    /// The application tried to publish an event of a newer version.
    #[error(
        "this version cannot publish an event of a kind that it does not know; upgrade this node"
    )]
    UnknownEvent,
    /// The text of the cluster key is not a key.
    #[error("`mesh.key`: {}{error}", file.as_deref().map(words_before).unwrap_or_default())]
    KeyText {
        /// The file that contains the text.
        file: Option<std::path::PathBuf>,
        /// The fault.
        error: CodecError,
    },
    /// Certificates need a cluster key.
    #[error(
        "certificates are replicated only with a cluster key, so that no private key crosses the \
         network in the clear; make one with `mailmesh key generate` and set `mesh.key` on every \
         node"
    )]
    NoClusterKey,
    /// There is no cluster key to change.
    #[error(
        "the mesh is open, there is no cluster key; set `mesh.key` on every node and restart them"
    )]
    OpenMesh,
    /// Another node refused a key change.
    #[error("{node} refused: {}", Printable(.why))]
    KeysRefused {
        /// Name of the node.
        node: String,
        /// The error on that node.
        why: String,
    },
    /// Nodes did not answer a key request.
    #[error(
        "no answer from {nodes} within 5 s; try again, and if that does not help, the node may \
         lack the active key: run `mailmesh key add --here FILE` there"
    )]
    KeysUnanswered {
        /// Names of the nodes, separated by commas.
        nodes: String,
    },
    /// Adding the key would make every node accept a retired key again.
    #[error(
        "key {id} was retired, and adding it readmits every node that still has it; to bring back \
         a node that has only this key, give it the key file of another node; to make all nodes \
         accept the key again, run `mailmesh key add --here FILE` on each"
    )]
    KeyRetired {
        /// Fingerprint of the key.
        id: mailmesh_codec::KeyId,
    },
    /// Nodes lack the key to activate.
    #[error(
        "no key {id} at {nodes}; add it first (`mailmesh key add --here FILE` there, or `key add \
         FILE` for all)"
    )]
    KeyMissing {
        /// Fingerprint of the key.
        id: mailmesh_codec::KeyId,
        /// Names of the nodes, separated by commas.
        nodes: String,
    },
    /// Nodes still seal with the key to retire.
    #[error("{nodes} seal with {id}; activate another first (`mailmesh key activate`)")]
    KeyInUse {
        /// Fingerprint of the key.
        id: mailmesh_codec::KeyId,
        /// Names of the nodes, separated by commas.
        nodes: String,
    },
    /// Nodes would lose the active key at a restart.
    #[error(
        "{nodes}: no file keeps key {id}, which seals, so after a restart the node could not talk \
         to the others; put the key where `mesh.key` of that node points (`mailmesh key export \
         FILE` writes it) and try again, or use `--force`"
    )]
    KeyNotKept {
        /// Fingerprint of the key.
        id: mailmesh_codec::KeyId,
        /// Names of the nodes, separated by commas.
        nodes: String,
    },
    /// Too many concurrent key requests to other nodes.
    #[error("too many key requests to other nodes are open; wait and try again")]
    Busy,
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
}

/// A path, before what is wrong with its file.
fn words_before(path: &std::path::Path) -> String {
    format!("{}: ", mailmesh_secrets::display_path(path))
}

impl From<PublishError<CodecError>> for Error {
    fn from(error: PublishError<CodecError>) -> Self {
        match error {
            PublishError::Full => Self::Full,
            PublishError::Encode(error) => Self::Codec(error),
            _ => Self::ShutDown,
        }
    }
}
