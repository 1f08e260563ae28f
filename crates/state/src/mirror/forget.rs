//! Takes out what turned out not to be trusted.

use mailmesh_events::{CertificateChange, Change, NetworkChange, Share, Stamp, ValueChange};

use super::content::ids;
use super::{AT_A_TIME, LISTED_BITS, Mirror};
use crate::observe::Observed;

impl Mirror {
    /// Takes out every entry that is stamped no later than `stamp`, as if it had never been
    /// there: no tombstone remembers it. Watchers see it removed. Gives how many. Nobody waits
    /// for all of it.
    pub fn forget_until(&self, stamp: Stamp) -> usize {
        // Not while the mirror is keyed anew, which changes the order of its entries.
        let _turn = self.batch.lock();
        let mut count = 0;
        for index in 0..1 << LISTED_BITS {
            let share = ids(Share { bits: LISTED_BITS, index });
            let entries: Vec<Change> = self.writer.read().entries.changes(share).collect();
            let old: Vec<Change> =
                entries.into_iter().filter(|change| change.stamp() <= stamp).collect();
            for some in old.chunks(AT_A_TIME) {
                let mut writer = self.writer.write();
                for change in some {
                    if !writer.entries.forget(change) {
                        continue;
                    }
                    count += 1;
                    match without_content(change) {
                        Some(gone) => self.observers.tell(Observed::Changed(&gone)),
                        None => self.observers.tell(Observed::Forgotten(change)),
                    }
                    if let Change::Certificate(CertificateChange { names, stamp, .. }) = change {
                        let (names, stamp) = (names.clone(), *stamp);
                        let gone = CertificateChange { names, stamp, certificate: None };
                        self.certificates.set(&gone);
                    }
                    self.unlist(&mut writer, change);
                }
            }
        }
        count
    }
}

/// The change of a live entry as its removal; `None` for a tombstone.
fn without_content(change: &Change) -> Option<Change> {
    if !change.is_live() {
        return None;
    }
    match change.clone() {
        Change::Network(change) => Some(Change::Network(NetworkChange { block: None, ..change })),
        Change::Certificate(change) => {
            Some(Change::Certificate(CertificateChange { certificate: None, ..change }))
        }
        Change::Value(change) => Some(Change::Value(ValueChange { value: None, ..change })),
        _ => None,
    }
}
