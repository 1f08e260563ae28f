//! The content of a mirror as reconciliation needs it: digests, shares, items, coded symbols.

use std::ops::RangeInclusive;

use mailmesh_events::{Change, CodedSymbol, MirrorDigest, Share};

use super::Mirror;
use crate::riblt::{Difference, Sketch, decode};
use crate::version::compare_changes;

impl Mirror {
    /// The digest of the content, tombstones included. Equal digests mean equal content.
    #[must_use]
    pub fn digest(&self) -> MirrorDigest {
        self.writer.read().entries.fingerprint().digest()
    }

    /// The whole content, tombstones included, in the order of the keyed hashes of its keys. For
    /// tests and tools.
    #[must_use]
    pub fn content(&self) -> Vec<Change> {
        self.entries_in(Share::default())
    }

    /// The content of a share, tombstones included, in the order of the keyed hashes of its keys.
    pub(crate) fn entries_in(&self, share: Share) -> Vec<Change> {
        self.writer.read().entries.changes(ids(share)).collect()
    }

    /// The first `len` coded symbols of a share of the content. For the whole content at most
    /// [`SKETCH_SYMBOLS`](crate::entries::SKETCH_SYMBOLS) are available.
    pub(crate) fn symbols(&self, share: Share, len: usize) -> Vec<CodedSymbol> {
        let writer = self.writer.read();
        let whole = writer.entries.sketch();
        if share.bits == 0 {
            return whole.symbols().iter().take(len).copied().collect();
        }
        let mut sketch = Sketch::new(whole.item_hasher().clone(), len);
        writer.entries.items(ids(share)).for_each(|item| sketch.add(item));
        sketch.symbols().to_vec()
    }

    /// The difference between a share of this mirror and the peer's, given the first symbols of the
    /// peer's. `None` if the symbols are too few to decode.
    pub(crate) fn difference(&self, share: Share, theirs: &[CodedSymbol]) -> Option<Difference> {
        let ours = self.symbols(share, theirs.len());
        let item_hasher = self.writer.read().entries.sketch().item_hasher().clone();
        decode(&item_hasher, theirs, &ours)
    }

    /// The entries with these items; items that this mirror lacks are skipped.
    pub(crate) fn entries_by_item(&self, items: &[u64]) -> Vec<Change> {
        let writer = self.writer.read();
        items.iter().filter_map(|item| writer.entries.by_item(*item)).collect()
    }

    /// This mirror's entry for the key of `change`, if it wins over `change`.
    pub(crate) fn newer_than(&self, change: &Change) -> Option<Change> {
        let writer = self.writer.read();
        let key = change.key();
        let is_older = writer.entries.stamp(&key)? < change.stamp();
        let held = if is_older { None } else { writer.entries.get(&key) };
        held.filter(|held| compare_changes(held, change).is_gt())
    }
}

/// The range of ids (first 64 bits) that a share covers.
pub(super) fn ids(share: Share) -> RangeInclusive<u64> {
    // Two shifts: for the whole content (`bits` is 0) one shift by 64 would overflow.
    let first = u64::from(share.index) << (63 - share.bits) << 1;
    first..=first | u64::MAX >> share.bits
}
