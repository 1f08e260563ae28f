//! Messages from one node to one other node, outside the streams of events.

use crate::{KeyMessage, SyncMessage, UnixMillis};

/// A message to one node. It is sent at most once; loss, duplication and reordering do no harm.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DirectMessage {
    /// Reconciles the mirrors of the two nodes.
    Sync(SyncMessage),
    /// Compares the clocks of the two nodes.
    Clock(ClockMessage),
    /// Lists or changes the cluster keys of the receiver.
    Keys(KeyMessage),
}

/// A message by which a node reads the wall clock of another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClockMessage {
    /// Requests the wall clock time of the receiver.
    Query {
        /// Time of the query, in microseconds of the sender's monotonic clock; echoed in the
        /// answer.
        asked: u64,
    },
    /// The answer to `Query`.
    Answer {
        /// The value from the query.
        asked: u64,
        /// The wall clock time of the responder.
        now: UnixMillis,
    },
}

impl From<SyncMessage> for DirectMessage {
    fn from(message: SyncMessage) -> Self {
        Self::Sync(message)
    }
}

impl From<ClockMessage> for DirectMessage {
    fn from(message: ClockMessage) -> Self {
        Self::Clock(message)
    }
}

impl From<KeyMessage> for DirectMessage {
    fn from(message: KeyMessage) -> Self {
        Self::Keys(message)
    }
}
