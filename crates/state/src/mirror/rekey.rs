//! Changing the fingerprint key while the mirror is in use.

use mailmesh_events::{ChangeKey, Share};

use super::content::ids;
use super::{Mirror, SCAN_SHARE_BITS, WRITES_PER_LOCK};
use crate::entries::Entries;
use crate::fingerprint::Fingerprint;

/// Rounds of copying entries that changed during the previous round. After these, the rest is
/// copied under the write lock.
const MAX_CATCH_UP_ROUNDS: usize = 16;

/// The id of a fingerprint key, as it appears in digests.
#[must_use]
pub fn fingerprint_key_id(key: [u8; 16]) -> u32 {
    Fingerprint::new(key).digest().key_id
}

impl Mirror {
    /// Changes the fingerprint key to `key` and reorders the entries by its hashes. Call
    /// [`Reconciler::on_rekeyed`](crate::Reconciler::on_rekeyed) afterwards.
    ///
    /// Takes about a second for a million entries, and temporarily doubles their memory. Writers
    /// are blocked for about a thousandth of that time. Batches wait until the end.
    pub fn rekey(&self, key: [u8; 16]) {
        let _batch_guard = self.batch.lock();
        let mut next = Entries::new(self.bounds, key);
        if next.fingerprint().digest().key_id == self.digest().key_id {
            return;
        }
        self.writer.write().entries.begin_journal();
        for index in 0..1_u32 << SCAN_SHARE_BITS {
            let writer = self.writer.read();
            next.copy_range(&writer.entries, ids(Share { bits: SCAN_SHARE_BITS, index }));
        }
        for round in 1.. {
            let mut writer = self.writer.write();
            if round > MAX_CATCH_UP_ROUNDS || writer.entries.journal_len() <= WRITES_PER_LOCK {
                let changed = writer.entries.take_journal();
                next.copy_keys(&writer.entries, &changed);
                let old = std::mem::replace(&mut writer.entries, next);
                drop(writer);
                // Freed outside the lock: freeing a large mirror is slow.
                drop(old);
                return;
            }
            let changed: Vec<ChangeKey> = writer.entries.take_journal().into_iter().collect();
            drop(writer);
            for chunk in changed.chunks(WRITES_PER_LOCK) {
                next.copy_keys(&self.writer.read().entries, chunk);
            }
        }
    }
}
