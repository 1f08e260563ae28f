use mailmesh_codec::CodecError;
use mailmesh_delivery::DeliveryError;
use mailmesh_events::{EventError, Printable};
use mailmesh_state::StateError;
use mailmesh_store::StoreError;
use mailmesh_transport::{ConfigError, PublishError, TransportError};

/// What can go wrong in a cluster's node.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The bus did not start.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// A name or setting cannot be used.
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
    /// An event, or a key, cannot be encoded or read.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// Not a valid value.
    #[error(transparent)]
    Event(#[from] EventError),
    /// The mirror refused a change.
    #[error(transparent)]
    State(#[from] StateError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store is that of another cluster.
    #[error(
        "{}: the store of cluster `{}`, and this node is of cluster `{expected}`; give this node another directory (`mesh.store`), or move the file away if it is not wanted, and the content comes from the other nodes",
        Printable(.path.display()),
        Printable(.found)
    )]
    StoreOfAnotherCluster {
        /// The file.
        path: std::path::PathBuf,
        /// The cluster that it belongs to.
        found: String,
        /// This node's cluster.
        expected: String,
    },
    /// A change is in the mirror, but not on the disk.
    #[error("the change is in force and told to the others, but not saved: {}", Printable(.why))]
    NotSaved {
        /// Why the last write failed.
        why: String,
    },
    /// The lane's queue is full.
    #[error("the publishing queue is full; wait with `publish`, or publish less")]
    Full,
    /// The node was shut down.
    #[error("the node was shut down; start a new one")]
    ShutDown,
    /// Another live node has this node's name, and works with more nodes or is older.
    #[error(
        "another live node is named `{name}` and works with more nodes or is older, so this one stepped back; give each node a name of its own (`mesh.name`)"
    )]
    SteppedBack {
        /// The name of both.
        name: String,
    },
    /// Changes of the mirror are not published by hand.
    #[error(
        "blocked networks and certificates are published by `blocks()` and `certs()`, which stamp and store them"
    )]
    MirrorEvent,
    /// An event of a newer version is not published by an older one.
    #[error(
        "an event of a kind that this version does not know is not published by it; upgrade this node"
    )]
    UnknownEvent,
    /// The text of the cluster key is none.
    #[error("`mesh.key`: {}{error}", file.as_deref().map(words_before).unwrap_or_default())]
    KeyText {
        /// The file that it is in.
        file: Option<std::path::PathBuf>,
        /// The fault.
        error: CodecError,
    },
    /// There is no cluster key.
    #[error(
        "certificates are replicated only with a cluster key, so that no private key crosses the network in the clear; make one with `mailmesh key generate` and set `mesh.key` on every node"
    )]
    NoClusterKey,
    /// There are no keys to change.
    #[error(
        "the mesh is open, there is no cluster key; set `mesh.key` on every node and restart them"
    )]
    OpenMesh,
    /// A node did not do what was asked.
    #[error("{node} refused: {}", Printable(.why))]
    KeysRefused {
        /// The node.
        node: String,
        /// What it said.
        why: String,
    },
    /// Nodes did not answer.
    #[error(
        "no answer from {nodes} within 5 s; do it again, and if that does not help it may not have the key that seals: `mailmesh key add --here FILE` there"
    )]
    KeysUnanswered {
        /// Their names.
        nodes: String,
    },
    /// A key that was retired would be accepted by all again.
    #[error(
        "key {id} was retired, and whoever still has it would take part again: a node that has it alone wants the key file of one that is heard; if all are to accept it, `mailmesh key add --here FILE` on each"
    )]
    KeyRetired {
        /// Its fingerprint.
        id: mailmesh_codec::KeyId,
    },
    /// Nodes lack the key that all are to seal with.
    #[error(
        "no key {id} at {nodes}; add it first (`mailmesh key add --here FILE` there, or `key add FILE` for all)"
    )]
    KeyMissing {
        /// Its fingerprint.
        id: mailmesh_codec::KeyId,
        /// Their names.
        nodes: String,
    },
    /// Nodes seal with the key that all are to forget.
    #[error("{nodes} seal with {id}; activate another first (`mailmesh key activate`)")]
    KeyInUse {
        /// Its fingerprint.
        id: mailmesh_codec::KeyId,
        /// Their names.
        nodes: String,
    },
    /// Nodes would not have the key that seals after a restart.
    #[error(
        "{nodes}: no file keeps key {id}, which seals, so after a restart the node would hear nobody; put the key where `mesh.key` has it there (`mailmesh key export FILE` writes it), then do this again, or use `--force`"
    )]
    KeyNotKept {
        /// Its fingerprint.
        id: mailmesh_codec::KeyId,
        /// Their names.
        nodes: String,
    },
    /// Too many questions to other nodes at a time.
    #[error("too many questions to other nodes are open; wait, and ask again")]
    Busy,
    /// The host's name cannot be the node's.
    #[error(
        "the host's name `{}` cannot be a node's name: {why}; set `mesh.name`",
        Printable(.host)
    )]
    HostName {
        /// The host's name.
        host: String,
        /// What is wrong with it.
        why: String,
    },
}

/// A path, before what is wrong with its file.
fn words_before(path: &std::path::Path) -> String {
    format!("{}: ", mailmesh_secrets::path_words(path))
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
