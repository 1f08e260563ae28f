//! What becomes of a change of another node.

use std::sync::atomic::Ordering;

use mailmesh_events::{CertificateChange, Change, UnixMillis};

use super::{
    APPLIED, AT_A_TIME, Applied, HELD, MAX_AHEAD, MAX_HELD, Mirror, REFUSED, STALE, Writer,
};
use crate::{StateError, x509};

impl Mirror {
    /// Merges a change of another node.
    pub fn apply(&self, change: &Change, now: UnixMillis) -> Applied {
        let applied = match self.check(change, now) {
            Ok(()) => self.merge(&mut self.writer.write(), change, now),
            Err(applied) => applied,
        };
        self.count(&applied);
        applied
    }

    /// Merges changes of another node; gives those that were taken.
    pub fn apply_all(&self, changes: Vec<Change>, now: UnixMillis) -> Vec<Change> {
        let checked = changes.into_iter().filter(|change| match self.check(change, now) {
            Ok(()) => true,
            Err(applied) => {
                self.count(&applied);
                false
            }
        });
        let mut left: Vec<Change> = checked.collect();
        let mut from = 0;
        let mut is_taken = Vec::with_capacity(left.len());
        while from < left.len() {
            let mut writer = self.writer.write();
            let until = (from + AT_A_TIME).min(left.len());
            for change in &left[from..until] {
                let applied = self.merge(&mut writer, change, now);
                self.count(&applied);
                is_taken.push(applied == Applied::Changed);
            }
            from = until;
        }
        let mut is_taken = is_taken.into_iter();
        left.retain(|_| is_taken.next() == Some(true));
        left
    }

    fn count(&self, applied: &Applied) {
        let counter = match applied {
            Applied::Changed => APPLIED,
            Applied::Stale => STALE,
            Applied::Held => HELD,
            Applied::Refused(_) => REFUSED,
        };
        self.counters[counter].fetch_add(1, Ordering::Relaxed);
    }

    /// What is better done before others wait: parsing a certificate takes a while.
    fn check(&self, change: &Change, now: UnixMillis) -> Result<(), Applied> {
        let stamp = change.stamp();
        // One wrong clock must not drag the others along.
        if stamp.physical() > now.plus(MAX_HELD) {
            return Err(Applied::Refused(StateError::Future { stamped: stamp.physical() }));
        }
        let Change::Certificate(CertificateChange { certificate: Some(certificate), .. }) = change
        else {
            return Ok(());
        };
        if self.writer.read().entries.stamp(&change.key()).is_some_and(|held| held >= stamp) {
            return Err(Applied::Stale);
        }
        x509::verify(certificate).map_err(Applied::Refused)
    }

    fn merge(&self, writer: &mut Writer, change: &Change, now: UnixMillis) -> Applied {
        let stamp = change.stamp();
        let located = writer.entries.locate(&change.key());
        let current = located.stamp;
        if current.is_some_and(|current| current >= stamp) {
            return Applied::Stale;
        }
        if stamp.physical() > now.plus(MAX_AHEAD) {
            // What takes the place of an entry that is ahead itself, as after all clocks
            // were set back, is stamped just after it.
            let is_ahead =
                current.is_none_or(|current| stamp.physical() > current.physical().plus(MAX_AHEAD));
            if is_ahead {
                let is_held = writer.held.hold(change.clone());
                // What finds no room is offered again by reconciliation.
                let stamped = stamp.physical();
                let refused = Applied::Refused(StateError::Future { stamped });
                return if is_held { Applied::Held } else { refused };
            }
        }
        writer.clock.observe(stamp);
        // What is remembered no more elsewhere says nothing, unless it takes another's place.
        let is_forgotten = |end| writer.entries.is_forgotten(end, now);
        if current.is_none() && change.expires().is_some_and(is_forgotten) {
            return Applied::Stale;
        }
        match self.put(writer, located, change, now) {
            Ok(true) => Applied::Changed,
            Ok(false) => Applied::Stale,
            Err(error) => Applied::Refused(error),
        }
    }
}
