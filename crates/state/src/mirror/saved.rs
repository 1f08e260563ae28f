//! The content as a store keeps it.

use mailmesh_events::{Change, ChangeKey, Stamp, UnixMillis};

use super::{MAX_CLOCK_AHEAD, Mirror, STAMP_TIME_LIMIT};
use crate::lookup::LookupEntry;

/// An entry or tombstone, with the state that merging needs besides the change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// The newest change of its key.
    pub change: Change,
    /// Whether the entry replaced another one. If so, it is kept after its expiry, as a tombstone
    /// is.
    pub replaced_another: bool,
    /// When the entry expires or the tombstone is dropped. For a certificate: when its next expiry
    /// warning is due.
    pub end: Option<UnixMillis>,
}

impl Mirror {
    /// The records of these keys, to write to a store; `None` for a key that the mirror no longer
    /// has.
    #[must_use]
    pub fn saved(&self, keys: &[ChangeKey]) -> Vec<Option<Saved>> {
        let writer = self.writer.read();
        keys.iter().map(|key| writer.entries.saved(key)).collect()
    }

    /// Inserts records from a store where they win over the current entries and fit the bounds.
    /// Returns how many were inserted. Stamps that [`apply`](Self::apply) refuses are refused here
    /// too: peers would not merge them, and no later stamp exists. Certificates are not checked:
    /// the store is as trusted as this process. Observers are not notified. The next
    /// [`sweep`](Self::sweep) handles entries that have expired meanwhile.
    pub fn restore(&self, saved: impl IntoIterator<Item = Saved>, now: UnixMillis) -> usize {
        let _batch_guard = self.batch.lock();
        let mut count = 0;
        self.put_batch(saved.into_iter(), now, |writer, entry| {
            let slot = writer.entries.locate(&entry.change.key());
            let stamp = entry.change.stamp();
            if stamp.physical() >= STAMP_TIME_LIMIT {
                return None;
            }
            if writer.entries.is_current(&slot, &entry.change) || !writer.entries.has_room(&slot, 0)
            {
                return None;
            }
            if stamp.physical() <= now.plus(MAX_CLOCK_AHEAD) {
                writer.clock.observe(stamp);
            }
            let is_live = writer.entries.restore(slot, &entry);
            count += 1;
            match &entry.change {
                Change::Network(change) if is_live => return Some(LookupEntry::of(change)),
                // The record may replace a live entry.
                Change::Network(change) => {
                    return Some(LookupEntry::new(change.rule, change.network, None));
                }
                Change::Certificate(change) => self.certificates.set(change),
                Change::Value(change) if is_live => self.values.set(change),
                Change::Value(change) => self.values.remove(&change.key),
                _ => {}
            }
            None
        });
        count
    }

    /// The latest stamp that this node made or observed, as a stamp of this node.
    #[must_use]
    pub fn latest_stamp(&self) -> Stamp {
        self.writer.read().clock.latest()
    }

    /// Makes all later stamps of this node later than `stamp`.
    pub fn observe_stamp(&self, stamp: Stamp) {
        self.writer.write().clock.observe(stamp);
    }
}
