//! What was published, and what came of it.

use mailmesh_delivery::{Incarnation, Lane, Time};

use super::Oracle;

/// What was published in a stream: per frame its last event, the bytes up to its end,
/// and when.
#[derive(Debug, Clone, Default)]
pub(super) struct Published {
    pub(super) last: u64,
    pub(super) frames: Vec<(u64, u64, Time)>,
}

impl Published {
    pub(super) fn bytes_up_to(&self, event: u64) -> u64 {
        let index = self.frames.partition_point(|(last, ..)| *last <= event);
        index.checked_sub(1).map_or(0, |index| self.frames[index].1)
    }

    pub(super) fn time_of(&self, event: u64) -> Option<Time> {
        let index = self.frames.partition_point(|(last, ..)| *last < event);
        self.frames.get(index).map(|(.., at)| *at)
    }
}

impl Oracle {
    /// A sender published its next `count` events of a lane, of so many bytes.
    ///
    /// # Errors
    /// If it left a receiver a window behind, which it did not wait for.
    pub fn published(
        &mut self,
        from: Incarnation,
        lane: Lane,
        count: u64,
        bytes: u64,
    ) -> Result<(), String> {
        let published = self.published.entry((from, lane)).or_default();
        let last = published.last;
        let sent = published.frames.last().map_or(0, |(_, sent, _)| *sent);
        published.last += count;
        published.frames.push((last + count, sent + bytes, self.now));
        for (receiver, start) in self.windows.on_sending(self.now, from, lane, last) {
            let next = self.next_event.get(&(receiver, (from, lane))).copied().unwrap_or(0);
            let has = start.max(next.saturating_sub(1));
            let behind = sent.saturating_sub(self.published[&(from, lane)].bytes_up_to(has));
            if behind >= self.settings.window as u64 && self.must_count_as_alive(from, receiver) {
                return Err(format!(
                    "{from:?} sends {lane} though {receiver:?} is {behind} bytes behind"
                ));
            }
        }
        Ok(())
    }

    /// A receiver was told that so many events are missing.
    ///
    /// # Errors
    /// If nothing excuses that.
    pub fn count_missing(
        &mut self,
        receiver: Incarnation,
        from: Incarnation,
        lane: Lane,
        count: u64,
    ) -> Result<(), String> {
        let gaps = self.missing.entry((receiver, (from, lane))).or_default();
        *gaps = gaps.saturating_add(count);
        if self.no_gap_allowed {
            return Err(format!(
                "{receiver:?} misses events of {from:?}, though nothing excuses that"
            ));
        }
        Ok(())
    }

    /// A receiver got events, or was told that they are missing.
    ///
    /// # Errors
    /// If they are not the next, were never published, or come from a peer that
    /// does not take part.
    pub fn received(
        &mut self,
        receiver: Incarnation,
        from: Incarnation,
        lane: Lane,
        first: u64,
        count: u64,
    ) -> Result<(), String> {
        let range = format!("{receiver:?} got {first}..{} of {from:?} {lane}", first + count);
        if self.members.get(&(receiver, from)) != Some(&true) {
            return Err(format!("{range}, which does not take part"));
        }
        let last = first + count - 1;
        if count == 0 || last > self.last_published(from, lane) {
            return Err(format!("{range}, which was not published"));
        }
        let Some(next) = self.next_event.get_mut(&(receiver, (from, lane))) else {
            return Err(format!("{range}, of which nothing is awaited"));
        };
        if *next != first {
            return Err(format!("{range}, but {next} is next"));
        }
        *next = first + count;
        if self.relays_are_prompt {
            let published = self.published.get(&(from, lane)).and_then(|p| p.time_of(first));
            let name_of = |id| self.lifespans.get(&id).map(|lifespan| lifespan.name);
            // Held up by nothing before it.
            let before =
                self.last_received.insert((receiver, (from, lane)), self.now).unwrap_or_default();
            let published = published.filter(|then| before <= *then);
            if published
                .is_some_and(|then| self.routes.is_late(self.now, (receiver, from), then, name_of))
            {
                return Err(format!("{range}, which another passes on, late"));
            }
        }
        Ok(())
    }

    /// The number after the last event that a receiver got or was told missing, and how
    /// many it was told missing.
    pub(crate) fn progress(
        &self,
        receiver: Incarnation,
        from: Incarnation,
        lane: Lane,
    ) -> Option<(u64, u64)> {
        let stream = (receiver, (from, lane));
        let missed = self.missing.get(&stream).copied().unwrap_or(0);
        self.next_event.get(&stream).map(|next| (*next, missed))
    }

    /// The number of the last event published in a stream.
    #[must_use]
    pub fn last_published(&self, from: Incarnation, lane: Lane) -> u64 {
        self.published.get(&(from, lane)).map_or(0, |published| published.last)
    }

    /// All is quiet: a receiver of a peer that takes part must know of all that
    /// it published, up to `position` by its own account.
    ///
    /// # Errors
    /// If it does not.
    pub fn check_complete(
        &self,
        receiver: Incarnation,
        from: Incarnation,
        lane: Lane,
        position: u64,
    ) -> Result<(), String> {
        let last = self.last_published(from, lane);
        let received_up_to =
            self.next_event.get(&(receiver, (from, lane))).map_or(position, |next| next - 1);
        // What was told missing may be more.
        if position != last || received_up_to < last || received_up_to > last && !self.has_liars {
            return Err(format!(
                "{receiver:?} knows of {from:?} {lane} up to {position}, got up to {received_up_to}; {last} were published"
            ));
        }
        Ok(())
    }
}
