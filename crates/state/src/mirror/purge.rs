//! Removing entries that turned out to be untrustworthy.

use mailmesh_events::{CertificateChange, Change, Share, Stamp};

use super::content::ids;
use super::{Mirror, SCAN_SHARE_BITS, WRITES_PER_LOCK};
use crate::observe::Observed;

impl Mirror {
    /// Removes every entry stamped no later than `stamp` as if it had never existed, without a
    /// tombstone. Observers see a removal. Returns the number of entries removed. Writers run in
    /// between.
    pub fn purge_until(&self, stamp: Stamp) -> usize {
        // Rekeying changes the order of the entries, so it must not run during the scan.
        let _batch_guard = self.batch.lock();
        let mut count = 0;
        for index in 0..1 << SCAN_SHARE_BITS {
            let share = ids(Share { bits: SCAN_SHARE_BITS, index });
            let entries: Vec<Change> = self.writer.read().entries.changes(share).collect();
            let old: Vec<Change> =
                entries.into_iter().filter(|change| change.stamp() <= stamp).collect();
            for chunk in old.chunks(WRITES_PER_LOCK) {
                let mut writer = self.writer.write();
                for change in chunk {
                    if !writer.entries.remove_exact(change) {
                        continue;
                    }
                    count += 1;
                    match as_removal(change) {
                        Some(removal) => self.observers.notify(Observed::Changed(&removal)),
                        None => self.observers.notify(Observed::TombstoneChanged(change)),
                    }
                    if let Change::Certificate(CertificateChange { names, stamp, .. }) = change {
                        let (names, stamp) = (names.clone(), *stamp);
                        let removal = CertificateChange::new(names, stamp, None);
                        self.certificates.set(&removal);
                    }
                    self.remove_from_lookup(&mut writer, change);
                }
            }
        }
        count
    }
}

/// The removal of a live entry, with the same stamp; `None` for a tombstone.
fn as_removal(change: &Change) -> Option<Change> {
    if !change.is_live() {
        return None;
    }
    let mut removal = change.clone();
    match &mut removal {
        Change::Network(change) => change.details = None,
        Change::Certificate(change) => change.certificate = None,
        Change::Value(change) => change.value = None,
        _ => return None,
    }
    Some(removal)
}
