//! Errors, one type for each operation.

mod keys;
mod mirror;
mod publish;
mod start;
mod stopped;

use mailmesh_events::{EventError, Kind};

pub use keys::KeyError;
pub use mirror::MirrorError;
pub use publish::PublishError;
pub use start::StartError;
pub use stopped::Stopped;

/// Any error of a node, for a caller that does not tell operations apart.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A node does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// An event is not published.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// A change of the mirror is not made or not saved.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// The cluster keys are not listed or changed.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// A filter is invalid.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// A name, a network, a text or a value is invalid.
    #[error(transparent)]
    Event(#[from] EventError),
}

/// Why a [`Filter`](crate::Filter) is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// Inboxes do not receive changes of the mirror.
    #[error(
        "an inbox receives no events of the kind `{kind}`; the watch of the mirror reports them \
         (`Node::watch`, or that of `Blocks`, `Certs` or `Values`)"
    )]
    MirrorKind {
        /// The kind.
        kind: Kind,
    },
}
