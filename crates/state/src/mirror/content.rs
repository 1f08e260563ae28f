//! The content as reconciliation sees it.

use std::ops::RangeInclusive;

use mailmesh_events::{Change, CodedSymbol, MirrorDigest, Share};

use super::Mirror;
use crate::riblt::{Difference, Sketch, decode};
use crate::version::compare_changes;

impl Mirror {
    /// The digest of what is held, tombstones included: equal digests mean equal content.
    #[must_use]
    pub fn digest(&self) -> MirrorDigest {
        self.writer.read().entries.fingerprint().digest()
    }

    /// All that is held, tombstones included, in the order of its keys' hashes: for tests
    /// and tools.
    #[must_use]
    pub fn content(&self) -> Vec<Change> {
        self.entries_in(Share::default())
    }

    /// The content of a share, tombstones included, in the order of its keys' hashes.
    pub(crate) fn entries_in(&self, share: Share) -> Vec<Change> {
        self.writer.read().entries.changes(ids(share)).collect()
    }

    /// The first `len` coded symbols of a share of the content; of the whole, at most
    /// those that are sketch_of_whole.
    pub(crate) fn symbols(&self, share: Share, len: usize) -> Vec<CodedSymbol> {
        let writer = self.writer.read();
        let sketch_of_whole = writer.entries.sketch();
        if share.bits == 0 {
            return sketch_of_whole.symbols().iter().take(len).copied().collect();
        }
        let mut sketch = Sketch::new(sketch_of_whole.checker().clone(), len);
        writer.entries.items(ids(share)).for_each(|item| sketch.add(item));
        sketch.symbols().to_vec()
    }

    /// What a share of the content differs in from one with these first symbols; `None`
    /// if they are too few to tell.
    pub(crate) fn difference(&self, share: Share, theirs: &[CodedSymbol]) -> Option<Difference> {
        let ours = self.symbols(share, theirs.len());
        let checker = self.writer.read().entries.sketch().checker().clone();
        decode(&checker, theirs, &ours)
    }

    /// The entries of these items, as far as they are here.
    pub(crate) fn entries_by_item(&self, items: &[u64]) -> Vec<Change> {
        let writer = self.writer.read();
        items.iter().filter_map(|item| writer.entries.by_item(*item)).collect()
    }

    /// What is held of the key of a change, if it stands before that.
    pub(crate) fn newer_than(&self, change: &Change) -> Option<Change> {
        let writer = self.writer.read();
        let key = change.key();
        let is_older = writer.entries.stamp(&key)? < change.stamp();
        let held = if is_older { None } else { writer.entries.get(&key) };
        held.filter(|held| compare_changes(held, change).is_gt())
    }
}

/// The ids of the keys of a share.
pub(super) fn ids(share: Share) -> RangeInclusive<u64> {
    // Of the whole, nothing can be shifted by 64 bits at once.
    let first = u64::from(share.index) << (63 - share.bits) << 1;
    first..=first | u64::MAX >> share.bits
}
