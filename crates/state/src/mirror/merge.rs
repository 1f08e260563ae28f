//! Merging changes of other nodes.

use std::sync::atomic::Ordering;

use mailmesh_events::{CertificateChange, Change, UnixMillis};

use super::{
    AHEAD, APPLIED, Applied, EXPIRY_GRACE, MAX_CLOCK_AHEAD, Mirror, REFUSED, STALE,
    STAMP_TIME_LIMIT, WRITES_PER_LOCK, Writer,
};
use crate::planted::{Fault, planted};
use crate::{StateError, x509};

impl Mirror {
    /// Merges a change of another node.
    pub fn apply(&self, change: &Change, now: UnixMillis) -> Applied {
        let applied = match self.check(change) {
            Ok(()) => self.merge(&mut self.writer.write(), change, now),
            Err(applied) => applied,
        };
        self.count(&applied);
        applied
    }

    /// Merges changes from a reconciliation with a peer. Returns the changes that were merged.
    ///
    /// If the key is absent here, an entry that expired less than 5 s ago is skipped: this mirror
    /// has just swept it, and the peer is about to. Merging it would keep it for the full tombstone
    /// retention, and pass it on from mirror to mirror. If the peer keeps the entry because it had
    /// replaced an older one, a later exchange brings it again.
    pub fn apply_all(&self, changes: Vec<Change>, now: UnixMillis) -> Vec<Change> {
        let checked = changes.into_iter().filter(|change| match self.check(change) {
            Ok(()) => true,
            Err(applied) => {
                self.count(&applied);
                false
            }
        });
        let mut checked_changes: Vec<Change> = checked.collect();
        let mut from = 0;
        let mut was_merged = Vec::with_capacity(checked_changes.len());
        while from < checked_changes.len() {
            let mut writer = self.writer.write();
            let until = (from + WRITES_PER_LOCK).min(checked_changes.len());
            for change in &checked_changes[from..until] {
                let applied = if has_just_expired(change, now)
                    && writer.entries.stamp(&change.key()).is_none()
                {
                    Applied::Stale
                } else {
                    self.merge(&mut writer, change, now)
                };
                self.count(&applied);
                was_merged.push(applied == Applied::Changed);
            }
            from = until;
        }
        let mut was_merged = was_merged.into_iter();
        checked_changes.retain(|_| was_merged.next() == Some(true));
        checked_changes
    }

    fn count(&self, applied: &Applied) {
        let counter = match applied {
            Applied::Changed => APPLIED,
            Applied::Stale => STALE,
            Applied::Refused(_) => REFUSED,
        };
        self.counters[counter].fetch_add(1, Ordering::Relaxed);
    }

    /// Checks that need no write lock. Parsing a certificate is slow and must not block other
    /// writers.
    fn check(&self, change: &Change) -> Result<(), Applied> {
        let stamp = change.stamp();
        if stamp.physical() >= STAMP_TIME_LIMIT {
            return Err(Applied::Refused(StateError::InvalidStamp { stamped: stamp.physical() }));
        }
        let Change::Certificate(CertificateChange { certificate: Some(certificate), .. }) = change
        else {
            return Ok(());
        };
        {
            let writer = self.writer.read();
            if writer.entries.is_current(&writer.entries.locate(&change.key()), change) {
                return Err(Applied::Stale);
            }
        }
        x509::verify(certificate).map_err(Applied::Refused)
    }

    fn merge(&self, writer: &mut Writer, change: &Change, now: UnixMillis) -> Applied {
        let stamp = change.stamp();
        let slot = writer.entries.locate(&change.key());
        if writer.entries.is_current(&slot, change) {
            return Applied::Stale;
        }
        if stamp.physical() > now.plus(MAX_CLOCK_AHEAD) {
            if planted(Fault::FutureRefused) {
                return Applied::Stale;
            }
            // A change from a clock that is ahead is merged all the same, so that mirrors agree
            // whatever their clocks show. Later changes of the key are stamped after it. The local
            // clock does not observe the stamp, so other stamps of this node stay near the time.
            self.counters[AHEAD].fetch_add(1, Ordering::Relaxed);
        } else {
            writer.clock.observe(stamp);
        }
        // An expired entry past its retention was dropped everywhere. It is merged only where it
        // replaces another entry.
        let is_past_retention = |end| writer.entries.is_past_retention(end, now);
        if slot.stamp.is_none() && change.expires().is_some_and(is_past_retention) {
            return Applied::Stale;
        }
        match self.put(writer, slot, change, now) {
            Ok(true) => Applied::Changed,
            Ok(false) => Applied::Stale,
            Err(error) => Applied::Refused(error),
        }
    }
}

fn has_just_expired(change: &Change, now: UnixMillis) -> bool {
    let has_just_expired = |end: UnixMillis| end <= now && now < end.plus(EXPIRY_GRACE);
    change.expires().is_some_and(has_just_expired) && !planted(Fault::EndedComesBack)
}
