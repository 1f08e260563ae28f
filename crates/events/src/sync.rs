//! What mirrors say to each other, besides the changes in the event stream.

use crate::{Change, ChangeKey};

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
    /// "Send me your content": parts from number `part` on, which begins with the
    /// first key after `after`.
    Request {
        /// Identifies the exchange; echoed in the answers.
        round: u32,
        /// Number of the first part wanted.
        part: u32,
        /// The last key that the asker has been through; `None` to begin.
        after: Option<ChangeKey>,
    },
    /// A part of the content, in key order.
    Part {
        /// The exchange it answers.
        round: u32,
        /// Its number in the exchange.
        part: u32,
        /// The entries, at most [`limits::SYNC_CHANGES`](crate::limits::SYNC_CHANGES).
        changes: Vec<Change>,
        /// The last key of the part, after which the next begins; `None` if this is
        /// the last part.
        more_after: Option<ChangeKey>,
    },
}
