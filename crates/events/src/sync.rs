//! What mirrors say to each other, besides the changes in the event stream.

use crate::Change;

/// The state of a mirror in 24 bytes: equal digests mean equal content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct MirrorDigest {
    /// Number of live entries.
    pub entries: u64,
    /// Keyed fingerprint of the live entries, whatever their order.
    pub fingerprint: u128,
}

/// A message between two mirrors. Each may be lost, repeated or reordered
/// without harm: changes merge, and a difference that remains is seen in the
/// digests.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SyncMessage {
    /// "Send me your content": the entries after `after` many, in key order.
    Request {
        /// Identifies the exchange; echoed in the answers.
        round: u32,
        /// How many entries of this exchange the asker already has.
        after: u64,
    },
    /// A part of the content.
    Part {
        /// The exchange it answers.
        round: u32,
        /// Position of its first entry.
        first: u64,
        /// The entries, at most [`limits::SYNC_CHANGES`](crate::limits::SYNC_CHANGES).
        changes: Vec<Change>,
        /// Whether this is the last part.
        last: bool,
    },
}
