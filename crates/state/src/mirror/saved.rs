//! The content as a store keeps it.

use mailmesh_events::{Change, ChangeKey, Stamp, UnixMillis};

use super::{MAX_CLOCK_AHEAD, Mirror, STAMP_TIME_LIMIT};
use crate::lookup::LookupEntry;

/// An entry or tombstone with what merging needs besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// The newest change of its key.
    pub change: Change,
    /// It took the place of another; when it expires it leaves a tombstone.
    pub replaced_another: bool,
    /// When it expires, or the tombstone is dropped.
    pub end: Option<UnixMillis>,
}

impl Mirror {
    /// What is held of these keys, to be written to a store; `None` for what is no longer
    /// there.
    #[must_use]
    pub fn saved(&self, keys: &[ChangeKey]) -> Vec<Option<Saved>> {
        let writer = self.writer.read();
        keys.iter().map(|key| writer.entries.saved(key)).collect()
    }

    /// Puts back what a store kept, where it is newer than what is there, as far as the
    /// bounds allow; gives how many. A stamp that [`apply`](Self::apply) refuses is refused here
    /// too: peers would not take it, and no change is later. Certificates are taken as they are: a store is as
    /// trusted as this process. Nobody is told: it is no news. What has ended meanwhile goes
    /// with the next [`sweep`](Self::sweep).
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
                // It may take the place of what is live here.
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

    /// The latest stamp that was made or seen.
    #[must_use]
    pub fn latest_stamp(&self) -> Stamp {
        self.writer.read().clock.latest()
    }

    /// Stamps made from now on are later than this one.
    pub fn observe_stamp(&self, stamp: Stamp) {
        self.writer.write().clock.observe(stamp);
    }
}
