//! Messages between two mirrors, besides the changes in the event stream.

use crate::Change;

/// A summary of a mirror's content in 28 bytes. Mirrors with equal digests have equal content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct MirrorDigest {
    /// Number of entries, including tombstones.
    pub entries: u64,
    /// Sum modulo 2^128 of a keyed hash of each entry, independent of their order
    /// (docs/reference/wire.md).
    pub set_hash: u128,
    /// Identifies the hash key. Digests with different keys are not comparable.
    pub key_id: u32,
}

/// A coded symbol of a rateless invertible Bloom lookup table (Yang, Gilad, Alizadeh, SIGCOMM
/// 2024): a summary of the items that map to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CodedSymbol {
    /// Exclusive or of the items.
    pub sum: u64,
    /// Exclusive or of the items' keyed checksums.
    pub check: u32,
    /// Number of items; negative where symbols of another mirror were subtracted.
    pub count: i64,
}

/// A share of a mirror's content: the entries whose key hash begins with the `bits` bits of
/// `index`. There are 2^`bits` shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Share {
    /// Number of leading hash bits, at most [`limits::SHARE_BITS`](crate::limits::SHARE_BITS); 0
    /// for the whole content.
    pub bits: u8,
    /// The leading hash bits as a number, below 2^`bits`.
    pub index: u32,
}

/// A message between two mirrors. Loss, duplication and reordering do no harm: changes merge, and a
/// remaining difference shows in the digests.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SyncMessage {
    /// Requests the content of consecutive shares.
    Request {
        /// Identifies the exchange; echoed in the answers.
        round: u32,
        /// The first share.
        first: Share,
        /// Number of shares, at most [`limits::SYNC_SHARES`](crate::limits::SYNC_SHARES).
        shares: u16,
    },
    /// A part of the content of a share: an answer to `Request`.
    Part {
        /// The exchange it answers.
        round: u32,
        /// The share.
        share: Share,
        /// The number of the part within the share, from 0.
        part: u16,
        /// The entries, at most [`limits::SYNC_CHANGES`](crate::limits::SYNC_CHANGES).
        changes: Vec<Change>,
        /// Whether more parts of the share follow.
        more: bool,
    },
    /// Requests coded symbols `from` to `from + count - 1` of each of several consecutive shares.
    AskSymbols {
        /// Identifies the exchange; echoed in the answer.
        round: u32,
        /// The first share.
        first: Share,
        /// Number of shares.
        shares: u16,
        /// Number of the first symbol requested of each share.
        from: u16,
        /// Number of symbols of each share; of all shares together at most
        /// [`limits::SYNC_SYMBOLS`](crate::limits::SYNC_SYMBOLS).
        count: u16,
    },
    /// Coded symbols: the answer to `AskSymbols`.
    Symbols {
        /// The exchange it answers.
        round: u32,
        /// The first share.
        first: Share,
        /// Number of the first symbol of each share.
        from: u16,
        /// Number of symbols of each share.
        count: u16,
        /// The symbols of the first share, then of the second, and so on.
        symbols: Vec<CodedSymbol>,
    },
    /// Requests the entries of these items, at most
    /// [`limits::SYNC_CHANGES`](crate::limits::SYNC_CHANGES).
    AskEntries {
        /// Identifies the exchange; echoed in the answer.
        round: u32,
        /// The items, as decoded from symbols.
        items: Vec<u64>,
    },
    /// Entries that the receiver requested or lacks, at most
    /// [`limits::SYNC_CHANGES`](crate::limits::SYNC_CHANGES).
    Entries {
        /// The exchange it answers; 0 if unsolicited.
        round: u32,
        /// The entries.
        changes: Vec<Change>,
        /// Whether more messages of this answer follow.
        more: bool,
    },
}
