//! How often nodes ask for the same events.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use mailmesh_delivery::{Incarnation, Lane, Time};

use super::{Oracle, Stream};

/// Most requests in a second for events of one stream from the same number on: one each 20 ms on
/// others' word, those that are due anyway, and some that begin anew on the sender's word.
const MAX_NAKS_PER_SECOND: usize = 100;

/// Of each receiver and stream the first event that it asked for last, and when it asked.
pub(super) type NakHistory = BTreeMap<(Incarnation, Stream), (u64, VecDeque<Time>)>;

impl Oracle {
    /// A node asks for events of a stream, from a number on.
    ///
    /// # Errors
    /// If it asked for them too often.
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
                "{requester:?} asks {count} times in a second for {first} of {from:?} {lane}"
            ));
        }
        Ok(())
    }
}
