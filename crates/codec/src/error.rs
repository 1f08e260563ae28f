use mailmesh_events::EventError;

/// Why bytes are not a frame or an event, or cannot be made into one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The bytes end too early.
    #[error("the bytes end in the middle of {what}")]
    Truncated {
        /// What was being read.
        what: &'static str,
    },
    /// Not one of our frames.
    #[error("not a mailmesh frame: it starts with {0:02x?}; something else publishes on our keys")]
    Magic([u8; 2]),
    /// A version this node does not speak.
    #[error("frame of version {theirs}, this node speaks {ours}; upgrade the older node")]
    Version {
        /// The frame's version.
        theirs: u8,
        /// Ours.
        ours: u8,
    },
    /// A header field has a value that no version gives it.
    #[error("frame header: {what} is {value}")]
    Header {
        /// Which field.
        what: &'static str,
        /// Its value.
        value: u64,
    },
    /// More than the limit.
    #[error("{what} is {actual} long, the limit is {limit}")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// Its length.
        actual: u64,
        /// The limit.
        limit: u64,
    },
    /// A MessagePack value of the wrong type.
    #[error("{what}: not what the schema has there")]
    Type {
        /// What was being read.
        what: &'static str,
    },
    /// A field of version 1 is missing.
    #[error("{what} is missing")]
    Missing {
        /// Which field.
        what: &'static str,
    },
    /// A value that a newer version may know.
    #[error("{what} has the unknown value {value}")]
    UnknownValue {
        /// Which field.
        what: &'static str,
        /// Its value.
        value: u64,
    },
    /// Decoded, but not a valid value.
    #[error(transparent)]
    Event(#[from] EventError),
    /// A sealed frame, and this node has no key.
    #[error(
        "the frame is sealed and this node has no cluster key; set `mesh.key` as on the other nodes"
    )]
    NoKey,
    /// An unsealed frame, and this node has a key.
    #[error(
        "the frame is not sealed and this node has a cluster key; set the same `mesh.key` on every node"
    )]
    NotSealed,
    /// The seal is broken: another key, another cluster, or altered on the way.
    #[error("the seal does not hold: another cluster key, or the frame was altered")]
    NotAuthentic,
    /// A sealed frame of who is not known here, while too many come that no key opens.
    #[error("too many frames come that no key opens: this one of an unknown node was not tried")]
    NotTried,
    /// A key text that is not a key.
    #[error("not a cluster key: {why}; make one with `mailmesh key generate`")]
    BadKey {
        /// What is wrong with it.
        why: &'static str,
    },
    /// A text that is not a key's fingerprint.
    #[error(
        "not the fingerprint of a cluster key: 16 hexadecimal digits, as `mailmesh key list` shows them"
    )]
    BadKeyId,
    /// More keys than a keyring holds.
    #[error("there are {limit} cluster keys already; retire one first")]
    TooManyKeys {
        /// Most keys.
        limit: usize,
    },
    /// No key of this fingerprint.
    #[error("there is no cluster key {id}; `mailmesh key list` shows those that there are")]
    UnknownKey {
        /// The fingerprint.
        id: crate::KeyId,
    },
    /// The key that seals cannot be retired.
    #[error("{id} is the cluster key that seals; activate another before it is retired")]
    KeyIsActive {
        /// Its fingerprint.
        id: crate::KeyId,
    },
    /// The system gave no random bytes.
    #[error("the system's random number generator failed")]
    NoRandom,
}
