//! Bounds how often nodes request the same events.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use mailmesh_delivery::{Incarnation, Lane, Time};

use super::{Oracle, Stream};

/// Most requests in one second for events of a stream from the same number on: one per 20 ms after
/// reports from other peers, the scheduled ones, and some that start over after a report from the
/// sender.
const MAX_NAKS_PER_SECOND: usize = 100;

/// For each receiver and stream, the first event of the latest request, and the times of the
/// requests that start with it.
pub(super) type NakHistory = BTreeMap<(Incarnation, Stream), (u64, VecDeque<Time>)>;

impl Oracle {
    /// A node requests events of a stream, from the number `first` on.
    ///
    /// # Errors
    /// If the node requests them too often.
    pub fn nak_sent(
        &mut self,
        requester: Incarnation,
        (from, lane, first): (Incarnation, Lane, u64),
    ) -> Result<(), String> {
        let (last_first, times) = self.naks.entry((requester, (from, lane))).or_default();
        if *last_first != first {
            (*last_first, *times) = (first, VecDeque::new());
        }
        times.push_back(self.now);
        while times.front().is_some_and(|time| self.now.since(*time) >= Duration::from_secs(1)) {
            times.pop_front();
        }
        if times.len() > MAX_NAKS_PER_SECOND {
            let count = times.len();
            return Err(format!(
                "{requester:?} sends {count} requests in a second for {first} of {from:?} {lane}"
            ));
        }
        Ok(())
    }
}
