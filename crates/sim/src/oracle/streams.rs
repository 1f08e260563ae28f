//! Streams: what was published and what each receiver got.

use mailmesh_delivery::{Incarnation, Lane, Time};

use super::Oracle;

/// A published stream. Each frame has its last event, the bytes of the stream up to its end, and
/// its time.
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
    /// A sender publishes its next `count` events of a lane in one frame of `bytes` bytes.
    ///
    /// # Errors
    /// If the sender leaves a live receiver more than a window behind.
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
                    "{from:?} sends {lane} although {receiver:?} is {behind} bytes behind"
                ));
            }
        }
        Ok(())
    }

    /// Counts events that a receiver reported missing.
    ///
    /// # Errors
    /// If no fault of the plan excuses a gap.
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
                "{receiver:?} misses events of {from:?}, but no fault excuses a gap"
            ));
        }
        Ok(())
    }

    /// A receiver delivers events or reports them missing.
    ///
    /// # Errors
    /// If the sender is not a member, or if the events were never published, are not the next ones,
    /// or were relayed late.
    pub fn received(
        &mut self,
        receiver: Incarnation,
        from: Incarnation,
        lane: Lane,
        first: u64,
        count: u64,
    ) -> Result<(), String> {
        let range = format!("{receiver:?} received {first}..{} of {from:?} {lane}", first + count);
        if self.members.get(&(receiver, from)) != Some(&true) {
            return Err(format!("{range}, but {from:?} is not a member"));
        }
        let last = first + count - 1;
        if count == 0 || last > self.last_published(from, lane) {
            return Err(format!("{range}, which were not published"));
        }
        let Some(next) = self.next_event.get_mut(&(receiver, (from, lane))) else {
            return Err(format!("{range}, but awaits none"));
        };
        if *next != first {
            return Err(format!("{range}, but {next} is next"));
        }
        *next = first + count;
        if self.relays_are_prompt {
            let published = self.published.get(&(from, lane)).and_then(|p| p.time_of(first));
            let name_of = |id| self.lifespans.get(&id).map(|lifespan| lifespan.name);
            // Only if no earlier event delayed this one.
            let before =
                self.last_received.insert((receiver, (from, lane)), self.now).unwrap_or_default();
            let published = published.filter(|then| before <= *then);
            if published
                .is_some_and(|then| self.routes.is_late(self.now, (receiver, from), then, name_of))
            {
                return Err(format!("{range}, late through a relay"));
            }
        }
        Ok(())
    }

    /// The number of the event that a receiver awaits, and how many it reported missing.
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

    /// The number of the last event published in a stream, or 0.
    #[must_use]
    pub fn last_published(&self, from: Incarnation, lane: Lane) -> u64 {
        self.published.get(&(from, lane)).map_or(0, |published| published.last)
    }

    /// Checks that a receiver knows of all that a member published. `position` is where the
    /// receiver itself says it is.
    ///
    /// # Errors
    /// If not.
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
        // False gaps may reach further.
        if position != last || received_up_to < last || received_up_to > last && !self.has_liars {
            return Err(format!(
                "{receiver:?} is at {position} of {from:?} {lane} and received up to \
                 {received_up_to}, but {last} were published"
            ));
        }
        Ok(())
    }
}
