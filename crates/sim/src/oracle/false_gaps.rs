//! False gaps: liars make receivers report more events missing than were published.

use mailmesh_delivery::{Gap, Incarnation, Lane};

use super::Oracle;

impl Oracle {
    /// Judges a reported gap. Where members lie, the gap may reach past the last published event,
    /// if the sender ended or was out of reach.
    pub(super) fn gap_reported(&mut self, receiver: Incarnation, gap: &Gap) -> Result<(), String> {
        let Gap { from, lane, first, missed, .. } = *gap;
        self.resume_after_false_gap(receiver, from, lane, first);
        let last = self.last_published(from, lane);
        if !self.has_liars || first + missed - 1 <= last {
            return self.received(receiver, from, lane, first, missed);
        }
        let is_alive = self.lifespans.get(&from).is_some_and(|lifespan| lifespan.ended.is_none());
        if is_alive && self.false_gaps_need_an_end {
            return Err(format!(
                "{receiver:?} reports {missed} events missing from {first} of {from:?}, past {last}"
            ));
        }
        if first <= last {
            self.received(receiver, from, lane, first, last + 1 - first)?;
            self.published_at_false_gap.insert((receiver, (from, lane)), last);
        }
        self.next_event.insert((receiver, (from, lane)), first + missed);
        self.published_at_false_gap.entry((receiver, (from, lane))).or_insert(last);
        Ok(())
    }

    /// Whether `position`, at which a receiver admits a sender, lies within a false gap. A position
    /// of a published event ends the false gap.
    pub(super) fn is_within_false_gap(
        &mut self,
        receiver: Incarnation,
        from: Incarnation,
        lane: Lane,
        position: u64,
    ) -> bool {
        let next = self.next_event.get(&(receiver, (from, lane))).copied();
        if position <= self.last_published(from, lane) {
            self.resume_after_false_gap(receiver, from, lane, position + 1);
            return false;
        }
        self.has_liars && next == Some(position + 1)
    }

    /// Ends a false gap if it covers the event `first`, which was published after the gap was
    /// reported. The receiver then awaits `first`.
    pub(super) fn resume_after_false_gap(
        &mut self,
        receiver: Incarnation,
        from: Incarnation,
        lane: Lane,
        first: u64,
    ) {
        let stream = (receiver, (from, lane));
        if let (Some(next), Some(published)) =
            (self.next_event.get_mut(&stream), self.published_at_false_gap.get(&stream))
            && first > *published
            && first < *next
        {
            *next = first;
            self.published_at_false_gap.remove(&stream);
        }
    }
}
