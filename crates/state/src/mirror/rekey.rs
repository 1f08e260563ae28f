//! Another key for the fingerprints, while the mirror is in use.

use mailmesh_events::{ChangeKey, Share};

use super::content::ids;
use super::{AT_A_TIME, LISTED_BITS, Mirror};
use crate::entries::Entries;
use crate::fingerprint::Fingerprint;

/// After so many times of copying what changed meanwhile, the rest is copied while others wait.
const ROUNDS: usize = 16;

/// The name of a key of fingerprints, as digests have it.
#[must_use]
pub fn fingerprint_key_name(key: [u8; 16]) -> u32 {
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
        let _turn = self.batch.lock();
        let mut next = Entries::new(self.bounds, key);
        if next.fingerprint().digest().key == self.digest().key {
            return;
        }
        self.writer.write().entries.begin_journal();
        for index in 0..1_u32 << LISTED_BITS {
            let writer = self.writer.read();
            next.copy_range(&writer.entries, ids(Share { bits: LISTED_BITS, index }));
        }
        for round in 1.. {
            let mut writer = self.writer.write();
            if round > ROUNDS || writer.entries.journal_len() <= AT_A_TIME {
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
            for some in changed.chunks(AT_A_TIME) {
                next.copy_keys(&self.writer.read().entries, some);
            }
        }
    }
}
