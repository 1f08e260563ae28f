//! The error of encoding, decoding, sealing and changes of keys.

use mailmesh_events::{EventError, KeyId};

/// The reason why encoding, decoding, sealing or a change of keys failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The bytes end too early.
    #[error("the bytes end in the middle of {what}")]
    Truncated {
        /// The item that was being read.
        what: &'static str,
    },
    /// The bytes do not begin like a frame.
    #[error(
        "not a mailmesh frame: it starts with {found:02x?}; another program publishes on these key \
         expressions"
    )]
    Magic {
        /// The first two bytes.
        found: [u8; 2],
    },
    /// The frame has a version that this node does not support.
    #[error("the frame has version {theirs}, this node supports {ours}; upgrade the older node")]
    Version {
        /// The version of the frame.
        theirs: u8,
        /// The version of this node.
        ours: u8,
    },
    /// A header field has an undefined value.
    #[error("frame header: {what} is {value}")]
    Header {
        /// The field.
        what: &'static str,
        /// The value found.
        value: u64,
    },
    /// A length or count exceeds its limit.
    #[error("{what} is {actual} long, the limit is {limit}")]
    TooLong {
        /// The field.
        what: &'static str,
        /// The length, in the unit of the limit.
        actual: u64,
        /// The limit.
        limit: u64,
    },
    /// A value has the wrong type, or cannot be encoded by this version.
    #[error("{what} does not match the schema")]
    Type {
        /// The item that was being read.
        what: &'static str,
    },
    /// A required field is missing.
    #[error("{what} is missing")]
    Missing {
        /// The field.
        what: &'static str,
    },
    /// A tag or enumeration value is unknown; a newer version may define it.
    #[error("{what} has the unknown value {value}")]
    UnknownValue {
        /// The field.
        what: &'static str,
        /// The value found.
        value: u64,
    },
    /// A decoded value is outside the limits of its type.
    #[error(transparent)]
    Event(#[from] EventError),
    /// The frame is sealed, and this node has no cluster key.
    #[error(
        "the frame is sealed and this node has no cluster key; set `mesh.key` as on the other \
         nodes"
    )]
    NoKey,
    /// The frame is not sealed, and this node has a cluster key.
    #[error(
        "the frame is not sealed and this node has a cluster key; set the same `mesh.key` on every \
         node"
    )]
    NotSealed,
    /// The authentication tag does not match: another key, another cluster, or altered data.
    #[error("authentication failed: another cluster key or cluster name, or the data was altered")]
    NotAuthentic,
    /// The frame of an unknown sender was dropped unopened, because too many such frames failed
    /// authentication (see [`Opener::open_rate_limited`](crate::Opener::open_rate_limited)).
    #[error(
        "too many frames from unknown senders fail authentication: this frame was dropped unopened"
    )]
    RateLimited,
    /// The text is not a cluster key.
    #[error("not a cluster key: {why}; make one with `mailmesh key generate`")]
    BadKey {
        /// The fault in the text.
        why: &'static str,
    },
    /// The key ring is full.
    #[error("there are {limit} cluster keys already; retire one first")]
    TooManyKeys {
        /// Capacity of the key ring.
        limit: usize,
    },
    /// The key ring has no key with this id.
    #[error("there is no cluster key {id}; `mailmesh key list` shows the existing keys")]
    UnknownKey {
        /// The id of the key.
        id: KeyId,
    },
    /// The sealing key cannot be retired.
    #[error("{id} is the sealing cluster key; activate another key before you retire it")]
    KeyIsActive {
        /// The id of the key.
        id: KeyId,
    },
    /// The random number generator of the system failed.
    #[error("the system's random number generator failed")]
    NoRandom,
}
