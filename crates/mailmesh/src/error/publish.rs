//! The error of publishing an event.

use mailmesh_codec::CodecError;

use super::Stopped;

/// Why an event is not published; see [`Node::publish`](crate::Node::publish).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The event cannot be encoded.
    #[error(transparent)]
    Encode(#[from] CodecError),
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
    /// The publishing queue of the lane is full.
    #[error("the publishing queue is full; wait with `publish`, or publish less")]
    Full,
    /// The node has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}
