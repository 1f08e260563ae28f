//! The content as reconciliation sees it.

use mailmesh_events::{Change, ChangeKey, CodedSymbol, MirrorDigest, Share, limits};

use super::Mirror;
use crate::sketch::{Difference, Sketch, decode};

impl Mirror {
    /// The digest of what is held, tombstones included: equal digests mean equal content.
    #[must_use]
    pub fn digest(&self) -> MirrorDigest {
        self.writer.read().entries.fingerprint().digest()
    }

    /// A page of the content, tombstones included, in the order of its keys'
    /// hashes from the first key after `after` on, and its last key if there is more. A page has at most
    /// `bytes` bytes by estimate and [`limits::SYNC_CHANGES`] changes, and at least
    /// one while there is one. It costs what it holds, wherever it begins.
    #[must_use]
    pub fn page(
        &self,
        after: Option<&ChangeKey>,
        bytes: usize,
    ) -> (Vec<Change>, Option<ChangeKey>) {
        let writer = self.writer.read();
        let mut page: Vec<Change> = Vec::new();
        let mut size = 0;
        for change in writer.entries.page(after) {
            size += estimate(&change);
            if (size > bytes || page.len() >= limits::SYNC_CHANGES)
                && let Some(last) = page.last()
            {
                let more_after = last.key();
                return (page, Some(more_after));
            }
            page.push(change);
        }
        (page, None)
    }

    /// The first `len` coded symbols of a share of the content; of the whole, at most
    /// those that are kept.
    pub(crate) fn symbols(&self, share: Share, len: usize) -> Vec<CodedSymbol> {
        let writer = self.writer.read();
        let kept = writer.entries.sketch();
        if share.bits == 0 {
            return kept.symbols().iter().take(len).copied().collect();
        }
        let mut sketch = Sketch::new(kept.checker().clone(), len);
        let first = u64::from(share.index) << (64 - share.bits);
        writer
            .entries
            .items(first..=first | u64::MAX >> share.bits)
            .for_each(|item| sketch.add(item));
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
    pub(crate) fn entries_of(&self, items: &[u64]) -> Vec<Change> {
        let writer = self.writer.read();
        items.iter().filter_map(|item| writer.entries.of_item(*item)).collect()
    }

    /// What is held of the key of a change, if it is newer.
    pub(crate) fn newer_than(&self, change: &Change) -> Option<Change> {
        let writer = self.writer.read();
        let key = change.key();
        let is_newer = writer.entries.stamp(&key)? > change.stamp();
        is_newer.then(|| writer.entries.get(&key)).flatten()
    }
}

/// About how many bytes a change takes on the wire.
pub(crate) fn estimate(change: &Change) -> usize {
    match change {
        Change::Network(change) => {
            48 + change.block.as_ref().map_or(0, |b| b.reason().len() + b.origin().len() + 24)
        }
        Change::Certificate(change) => {
            let names: usize = change.names.iter().map(|name| name.len() + 2).sum();
            let certificate = change.certificate.as_ref().map_or(0, |certificate| {
                let chain: usize = certificate.chain().iter().map(|der| der.len() + 3).sum();
                chain + certificate.key().der().len() + 64
            });
            32 + names + certificate
        }
        _ => 64,
    }
}
