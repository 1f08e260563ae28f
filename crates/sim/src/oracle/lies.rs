//! What holds though members lie.

use mailmesh_delivery::{Gap, Incarnation, Lane};

use super::Oracle;

impl Oracle {
    /// A receiver was told that so much is missing: of who ended, or was out of reach, perhaps
    /// more than it published, on a liar's word.
    pub(super) fn missed_in_all(&mut self, at: Incarnation, gap: &Gap) -> Result<(), String> {
        let Gap { from, lane, first, missed, .. } = *gap;
        self.begins_anew(at, from, lane, first);
        let last = self.last_published(from, lane);
        if !self.some_lie || first + missed - 1 <= last {
            return self.came(at, from, lane, first, missed);
        }
        let lives = self.lives.get(&from).is_some_and(|life| life.ended.is_none());
        if lives && self.lies_need_an_end {
            return Err(format!("{at:?} is told that it missed {missed} from {first} of {from:?}"));
        }
        if first <= last {
            self.came(at, from, lane, first, last + 1 - first)?;
            self.told_beyond.insert((at, (from, lane)), last);
        }
        self.next.insert((at, (from, lane)), first + missed);
        self.told_beyond.entry((at, (from, lane))).or_insert(last);
        Ok(())
    }

    /// Whether what is awaited is past what there is, or back from there, after more was told
    /// missing than there was.
    pub(super) fn is_told_missing(
        &mut self,
        at: Incarnation,
        from: Incarnation,
        lane: Lane,
        position: u64,
    ) -> bool {
        let next = self.next.get(&(at, (from, lane))).copied();
        if position <= self.last_published(from, lane) {
            self.begins_anew(at, from, lane, position + 1);
            return false;
        }
        self.some_lie && next == Some(position + 1)
    }

    /// An event comes, or is missed, that was told missing on a liar's word before it was
    /// published: what follows it is awaited from now on.
    pub(super) fn begins_anew(
        &mut self,
        at: Incarnation,
        from: Incarnation,
        lane: Lane,
        first: u64,
    ) {
        let stream = (at, (from, lane));
        if let (Some(next), Some(there_was)) =
            (self.next.get_mut(&stream), self.told_beyond.get(&stream))
            && first > *there_was
            && first < *next
        {
            *next = first;
            self.told_beyond.remove(&stream);
        }
    }
}
