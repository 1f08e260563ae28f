//! Who takes part, by which way, and under which name.

use std::collections::BTreeMap;
use std::time::Duration;

use mailmesh_delivery::{Incarnation, Lane, LeaveReason, Reach, Time};

use super::{Life, Oracle};

/// How long another may believe that one lives which has ended, and say so.
const VOUCHED: Duration = Duration::from_secs(5);

impl Oracle {
    /// A receiver was told that a peer takes part, its events awaited after these
    /// numbers.
    ///
    /// # Errors
    /// If it takes part already, if so much was never published, or if the peer was
    /// there before and events between then and now are left out.
    pub fn joined(
        &mut self,
        at: Incarnation,
        peer: Incarnation,
        promised_after: [u64; 2],
    ) -> Result<(), String> {
        for (lane, position) in Lane::ALL.into_iter().zip(promised_after) {
            if self.is_told_missing(at, peer, lane, position) {
                continue;
            }
            let last = self.last_published(peer, lane);
            if position > last {
                return Err(format!("{at:?} awaits {peer:?} {lane} after {position} of {last}"));
            }
            let next = self.next.entry((at, (peer, lane))).or_insert(position + 1);
            if *next != position + 1 {
                return Err(format!("{at:?} awaits {peer:?} {lane} after {position}, had {next}"));
            }
        }
        let began = self.lives.get(&at).map_or(Time::default(), |life| life.began);
        let ended = self.lives.get(&peer).and_then(|life| life.ended);
        if self.nobody_stands_still && ended.is_some_and(|ended| ended + VOUCHED < began) {
            return Err(format!("{at:?} takes {peer:?} in, which ended before it began"));
        }
        if self.parted.contains(&(at, peer)) {
            return Err(format!("{at:?} takes {peer:?} in again, which said goodbye"));
        }
        self.ways.forget(at, peer);
        self.windows.joined(at, peer);
        self.taken_in.insert((at, peer), self.now);
        match self.joined.insert((at, peer), true) {
            Some(true) => Err(format!("{at:?} was told twice that {peer:?} joined")),
            _ => Ok(()),
        }
    }

    /// A receiver was told that a peer no longer takes part.
    ///
    /// # Errors
    /// If it did not take part, or that is told late.
    pub fn left(
        &mut self,
        at: Incarnation,
        peer: Incarnation,
        reason: LeaveReason,
    ) -> Result<(), String> {
        self.ways.forget(at, peer);
        if reason == LeaveReason::Bye {
            self.parted.insert((at, peer));
        }
        let ended = self.lives.get(&peer).and_then(|life| life.ended);
        // An old frame may introduce who ended before.
        let since = self.taken_in.get(&(at, peer)).copied().unwrap_or_default();
        let ended = ended.map(|ended| self.last_end_after(ended));
        let late = ended.map_or(Duration::ZERO, |ended| self.now.since(ended.max(since)));
        if self.mourning.is_some_and(|most| late > most) {
            return Err(format!("{at:?} is told that {peer:?} left {late:?} after it ended"));
        }
        let lives = self.lives.get(&peer).is_some_and(|life| life.ended.is_none());
        if self.nobody_is_out_of_reach && lives && reason != LeaveReason::Bye {
            return Err(format!("{at:?} takes {peer:?} for dead ({reason:?}), which lives"));
        }
        let places: BTreeMap<_, _> =
            self.lives.iter().map(|(who, life)| (*who, life.name)).collect();
        if self.detours_are_short
            && reason == LeaveReason::Failed
            && let Some(other) = self.ways.between(self.now, (at, peer), &places)
        {
            return Err(format!("{at:?} takes {peer:?} for dead, of which {other:?} could tell"));
        }
        match self.joined.insert((at, peer), false) {
            Some(true) => Ok(()),
            _ => Err(format!("{at:?} was told that {peer:?} left, which was not there")),
        }
    }

    /// When the last of those ended that may have been asked about one that ended then:
    /// who has its last words may end as well before it tells them, and so on.
    fn last_end_after(&self, ended: Time) -> Time {
        let Some(mourning) = self.mourning else { return ended };
        let mut ends: Vec<Time> = self.lives.values().filter_map(|life| life.ended).collect();
        ends.sort_unstable();
        ends.into_iter().fold(ended, |last, end| {
            if end > last && end.since(last) <= mourning { end } else { last }
        })
    }

    /// A node was told that two live nodes have one name.
    ///
    /// # Errors
    /// If that was never so.
    pub fn conflict(
        &self,
        at: Incarnation,
        one: Incarnation,
        other: Incarnation,
    ) -> Result<(), String> {
        let shown = format!("{at:?} was told that {one:?} and {other:?} have one name");
        let (Some(one), Some(other)) = (self.lives.get(&one), self.lives.get(&other)) else {
            return Err(format!("{shown}; one of them never was"));
        };
        let before = |a: &Life, b: &Life| a.ended.is_some_and(|ended| ended <= b.began);
        if one.name != other.name || before(one, other) || before(other, one) {
            return Err(format!("{shown}, which they never had at one time"));
        }
        Ok(())
    }

    /// A node says by which way it hears another.
    ///
    /// # Errors
    /// If it does not hear it directly, and the way through another is open.
    pub fn reach(&mut self, at: Incarnation, of: Incarnation, reach: Reach) -> Result<(), String> {
        match self.ways.reach(self.now, (at, of), reach) {
            Some(via)
                if self.nothing_is_forged
                    && self.joined.get(&(at, via)) == Some(&true)
                    && self.lives.get(&via).is_some_and(|life| life.ended.is_none()) =>
            {
                Err(format!(
                    "{at:?} says that it hears {of:?} itself, which it heard through {via:?}"
                ))
            }
            _ => Ok(()),
        }
    }

    /// Whether two know each other, and the one must take the other for alive.
    pub(super) fn takes_part(&self, at: Incarnation, other: Incarnation) -> bool {
        let knows = |a, b| self.joined.get(&(a, b)) == Some(&true);
        let Some(life) = self.lives.get(&other) else { return false };
        let namesakes = self.lives.values().filter(|one| one.name == life.name).count();
        knows(at, other)
            && knows(other, at)
            && life.ended.is_none()
            && namesakes == 1
            && self.nothing_is_forged
            && self.ways.heard_lately(self.now, at, other)
    }
}
