//! What holds though members lie.

use mailmesh_delivery::{Gap, Incarnation, Lane};

use super::Oracle;

impl Oracle {
    /// A receiver was told that so much is missing: of who ended, or was out of reach, perhaps
    /// more than it published, on a liar's word.
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
                "{receiver:?} is told that it missed {missed} from {first} of {from:?}"
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

    /// Whether what is awaited is past what there is, or back from there, after more was told
    /// missing than there was.
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

    /// An event comes, or is missed, that was told missing on a liar's word before it was
    /// published: what follows it is awaited from now on.
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
