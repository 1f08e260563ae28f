//! What mirrors say to each other, besides the changes in the event stream.

use crate::{Change, KeyAction, KeysHeld, UnixMillis};

/// The state of a mirror in 28 bytes: equal digests mean equal content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct MirrorDigest {
    /// Number of entries, tombstones included.
    pub entries: u64,
    /// Keyed fingerprint of the entries, whatever their order.
    pub fingerprint: u128,
    /// Names the key: digests of different keys tell nothing of each other.
    pub key: u32,
}

/// A symbol of a rateless invertible Bloom lookup table (Yang, Gilad, Alizadeh, SIGCOMM
/// 2024): of the items that fall on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CodedSymbol {
    /// Their bits, each item over the others (exclusive or).
    pub sum: u64,
    /// The same of their keyed checks.
    pub check: u32,
    /// How many they are.
    pub count: i64,
}

/// A share of a mirror's content: of the 2^`bits` that it falls into, in the order of its
/// keys' hashes, the one of this index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Share {
    /// At most [`limits::SHARE_BITS`](crate::limits::SHARE_BITS); 0 for the whole.
    pub bits: u8,
    /// Below 2^`bits`.
    pub index: u32,
}

/// A message between two mirrors. Each may be lost, repeated or reordered
/// without harm: changes merge, and a difference that remains is seen in the
/// digests.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SyncMessage {
    /// "Send me your content": that of some shares in a row.
    Request {
        /// Identifies the exchange; echoed in the answers.
        round: u32,
        /// The first share.
        first: Share,
        /// How many shares, at most [`limits::SYNC_SHARES`](crate::limits::SYNC_SHARES).
        shares: u16,
    },
    /// A part of the content of a share.
    Part {
        /// The exchange it answers.
        round: u32,
        /// The share.
        share: Share,
        /// Its number among the parts of the share, from 0 on.
        part: u16,
        /// The entries, at most [`limits::SYNC_CHANGES`](crate::limits::SYNC_CHANGES).
        changes: Vec<Change>,
        /// More parts of the share follow.
        more: bool,
    },
    /// "Send me symbols": for each of some shares in a row the `count` symbols from
    /// `from` on.
    AskSymbols {
        /// Identifies the exchange; echoed in the answer.
        round: u32,
        /// The first share.
        first: Share,
        /// How many shares.
        shares: u16,
        /// Number of the first symbol wanted of each.
        from: u16,
        /// How many symbols of each; of all together at most
        /// [`limits::SYNC_SYMBOLS`](crate::limits::SYNC_SYMBOLS).
        count: u16,
    },
    /// The symbols asked for.
    Symbols {
        /// The exchange it answers.
        round: u32,
        /// The first share.
        first: Share,
        /// Number of the first symbol of each.
        from: u16,
        /// How many symbols of each share.
        count: u16,
        /// Those of the first share, of the second, and so on.
        symbols: Vec<CodedSymbol>,
    },
    /// "Send me the entries of these items", at most
    /// [`limits::SYNC_CHANGES`](crate::limits::SYNC_CHANGES).
    AskEntries {
        /// Identifies the exchange; echoed in the answer.
        round: u32,
        /// What tells each entry, as symbols sum it.
        items: Vec<u64>,
    },
    /// Entries that were asked for or that the other lacks, at most
    /// [`limits::SYNC_CHANGES`](crate::limits::SYNC_CHANGES).
    Entries {
        /// The exchange it answers; 0 if none.
        round: u32,
        /// The entries.
        changes: Vec<Change>,
        /// More of the same answer follow.
        more: bool,
    },
    /// "What does your clock say?"
    AskTime {
        /// When it was asked, in microseconds of the asker's monotonic clock; echoed.
        asked: u64,
    },
    /// What the clock says.
    Time {
        /// As in the question.
        asked: u64,
        /// The wall clock of who answers.
        now: UnixMillis,
    },
    /// "Do this with your keys, and tell them." Doing it twice does no harm.
    AskKeys {
        /// Identifies the question; echoed in the answer.
        number: u32,
        /// What to do.
        action: KeyAction,
    },
    /// The keys of who was asked.
    Keys {
        /// The question it answers.
        number: u32,
        /// What it has now.
        held: KeysHeld,
    },
}
