//! What becomes of a change of another node.

use std::sync::atomic::Ordering;

use mailmesh_events::{CertificateChange, Change, NetworkChange, UnixMillis};

use super::{APPLIED, Applied, HELD, MAX_AHEAD, MAX_HELD, Mirror, REFUSED, STALE};
use crate::entries::Merge;
use crate::{StateError, x509};

impl Mirror {
    /// Merges a change of another node.
    pub fn apply(&self, change: &Change, now: UnixMillis) -> Applied {
        let applied = self.merge(change, now);
        let counter = match &applied {
            Applied::Changed => APPLIED,
            Applied::Stale => STALE,
            Applied::Held => HELD,
            Applied::Refused(_) => REFUSED,
        };
        self.counters[counter].fetch_add(1, Ordering::Relaxed);
        applied
    }

    fn merge(&self, change: &Change, now: UnixMillis) -> Applied {
        // One wrong clock must not drag the others along.
        let stamped = change.stamp().physical();
        if stamped > now.plus(MAX_HELD) {
            return Applied::Refused(StateError::Future { stamped });
        }
        if stamped > now.plus(MAX_AHEAD) {
            let mut writer = self.writer.lock();
            let key = change.key();
            if writer.entries.judge(&key, change.stamp()) == Merge::Stale {
                return Applied::Stale;
            }
            // What takes the place of an entry that is ahead itself, as after all clocks
            // were set back, is stamped just after it.
            let current = writer.entries.get(&key).map(|change| change.stamp().physical());
            let is_ahead = current.is_none_or(|current| stamped > current.plus(MAX_AHEAD));
            if is_ahead {
                let is_held = writer.held.hold(change.clone());
                // What finds no room is offered again by reconciliation.
                let refused = Applied::Refused(StateError::Future { stamped });
                return if is_held { Applied::Held } else { refused };
            }
        }
        let key = change.key();
        if self.writer.lock().entries.judge(&key, change.stamp()) == Merge::Stale {
            return Applied::Stale;
        }
        // Without the lock: parsing a certificate takes a while.
        if let Change::Certificate(CertificateChange { certificate: Some(certificate), .. }) =
            change
            && let Err(error) = x509::verify(certificate)
        {
            return Applied::Refused(error);
        }
        let mut writer = self.writer.lock();
        writer.clock.observe(change.stamp());
        // What has expired already says nothing, unless it takes another's place.
        let expired = matches!(change, Change::Network(NetworkChange { block: Some(block), .. })
            if block.is_expired(now));
        if expired && writer.entries.get(&key).is_none() {
            return Applied::Stale;
        }
        match self.put(&mut writer, change) {
            Ok(true) => {}
            Ok(false) => return Applied::Stale,
            Err(error) => return Applied::Refused(error),
        }
        if let Change::Network(NetworkChange { rule, network, block: Some(block), .. }) = change
            && block.is_expired(now)
        {
            self.networks.remove(*rule, *network);
        }
        Applied::Changed
    }
}
