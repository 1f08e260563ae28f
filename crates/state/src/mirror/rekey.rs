//! Another key for the fingerprints, while the mirror is in use.

use mailmesh_events::{ChangeKey, Share};

use super::content::ids;
use super::{Mirror, SCAN_SHARE_BITS, WRITES_PER_LOCK};
use crate::entries::Entries;
use crate::fingerprint::Fingerprint;

/// After so many times of copying what changed meanwhile, the rest is copied while others wait.
const MAX_CATCH_UP_ROUNDS: usize = 16;

/// The name of a key of fingerprints, as digests have it.
#[must_use]
pub fn fingerprint_key_id(key: [u8; 16]) -> u32 {
    Fingerprint::new(key).digest().key
}

impl Mirror {
    /// Keys the fingerprints by `key` from now on, and puts the entries in the order of its
    /// hashes. Give a [`Reconciler`](crate::Reconciler) [`on_rekeyed`](crate::Reconciler::on_rekeyed)
    /// afterwards.
    ///
    /// Takes a second or so for a million entries, and as much memory again as they have
    /// meanwhile; nobody waits for longer than a thousandth of them takes. Batches wait.
    pub fn rekey(&self, key: [u8; 16]) {
        let _batch_guard = self.batch.lock();
        let mut next = Entries::new(self.bounds, key);
        if next.fingerprint().digest().key == self.digest().key {
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
                // It takes its time; nobody waits for it.
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
