//! Who takes part, by which way, and under which name.

use std::collections::BTreeMap;
use std::time::Duration;

use mailmesh_delivery::{Incarnation, Lane, LeaveReason, Reach, Time};

use super::{Lifespan, Oracle};

/// How long another may believe that one lives which has ended, and say so.
const MAX_STALE_REPORT_AGE: Duration = Duration::from_secs(5);

impl Oracle {
    /// A receiver was told that a peer takes part, its events awaited after these
    /// numbers.
    ///
    /// # Errors
    /// If it takes part already, if so much was never published, or if the peer was
    /// there before and events between then and now are left out.
    pub fn joined(
        &mut self,
        observer: Incarnation,
        peer: Incarnation,
        promised_after: [u64; 2],
    ) -> Result<(), String> {
        for (lane, position) in Lane::ALL.into_iter().zip(promised_after) {
            if self.is_within_false_gap(observer, peer, lane, position) {
                continue;
            }
            let last = self.last_published(peer, lane);
            if position > last {
                return Err(format!(
                    "{observer:?} awaits {peer:?} {lane} after {position} of {last}"
                ));
            }
            let next = self.next_event.entry((observer, (peer, lane))).or_insert(position + 1);
            if *next != position + 1 {
                return Err(format!(
                    "{observer:?} awaits {peer:?} {lane} after {position}, had {next}"
                ));
            }
        }
        let began =
            self.lifespans.get(&observer).map_or(Time::default(), |lifespan| lifespan.began);
        let ended = self.lifespans.get(&peer).and_then(|lifespan| lifespan.ended);
        if self.no_node_freezes && ended.is_some_and(|ended| ended + MAX_STALE_REPORT_AGE < began) {
            return Err(format!("{observer:?} takes {peer:?} in, which ended before it began"));
        }
        if self.said_goodbye.contains(&(observer, peer)) {
            return Err(format!("{observer:?} takes {peer:?} in again, which said goodbye"));
        }
        self.routes.forget(observer, peer);
        self.windows.joined(observer, peer);
        self.admitted_at.insert((observer, peer), self.now);
        match self.members.insert((observer, peer), true) {
            Some(true) => Err(format!("{observer:?} was told twice that {peer:?} joined")),
            _ => Ok(()),
        }
    }

    /// A receiver was told that a peer no longer takes part.
    ///
    /// # Errors
    /// If it did not take part, or that is told late.
    pub fn left(
        &mut self,
        observer: Incarnation,
        peer: Incarnation,
        reason: LeaveReason,
    ) -> Result<(), String> {
        self.routes.forget(observer, peer);
        if reason == LeaveReason::Bye {
            self.said_goodbye.insert((observer, peer));
        }
        let ended = self.lifespans.get(&peer).and_then(|lifespan| lifespan.ended);
        // An old frame may introduce who ended before.
        let since = self.admitted_at.get(&(observer, peer)).copied().unwrap_or_default();
        let ended = ended.map(|ended| self.last_end_after(ended));
        let late = ended.map_or(Duration::ZERO, |ended| self.now.since(ended.max(since)));
        if self.max_end_report_delay.is_some_and(|max| late > max) {
            return Err(format!("{observer:?} is told that {peer:?} left {late:?} after it ended"));
        }
        let is_alive = self.lifespans.get(&peer).is_some_and(|lifespan| lifespan.ended.is_none());
        if self.no_false_failures && is_alive && reason != LeaveReason::Bye {
            return Err(format!("{observer:?} takes {peer:?} for dead ({reason:?}), which lives"));
        }
        let host_names: BTreeMap<_, _> =
            self.lifespans.iter().map(|(id, lifespan)| (*id, lifespan.name)).collect();
        if self.relays_are_prompt
            && reason == LeaveReason::Failed
            && let Some(other) = self.routes.witness(self.now, (observer, peer), &host_names)
        {
            return Err(format!(
                "{observer:?} takes {peer:?} for dead, of which {other:?} could tell"
            ));
        }
        match self.members.insert((observer, peer), false) {
            Some(true) => Ok(()),
            _ => Err(format!("{observer:?} was told that {peer:?} left, which was not there")),
        }
    }

    /// When the last of those ended that may have been asked about one that ended then:
    /// who has its last words may end as well before it tells them, and so on.
    fn last_end_after(&self, ended: Time) -> Time {
        let Some(max_end_report_delay) = self.max_end_report_delay else { return ended };
        let mut ends: Vec<Time> =
            self.lifespans.values().filter_map(|lifespan| lifespan.ended).collect();
        ends.sort_unstable();
        ends.into_iter().fold(ended, |last, end| {
            if end > last && end.since(last) <= max_end_report_delay { end } else { last }
        })
    }

    /// A node was told that two live nodes have one name.
    ///
    /// # Errors
    /// If that was never so.
    pub fn name_conflict(
        &self,
        observer: Incarnation,
        one: Incarnation,
        other: Incarnation,
    ) -> Result<(), String> {
        let claim = format!("{observer:?} was told that {one:?} and {other:?} have one name");
        let (Some(one), Some(other)) = (self.lifespans.get(&one), self.lifespans.get(&other))
        else {
            return Err(format!("{claim}; one of them never was"));
        };
        let before = |a: &Lifespan, b: &Lifespan| a.ended.is_some_and(|ended| ended <= b.began);
        if one.name != other.name || before(one, other) || before(other, one) {
            return Err(format!("{claim}, which they never had at one time"));
        }
        Ok(())
    }

    /// A node says by which way it hears another.
    ///
    /// # Errors
    /// If it does not hear it directly, and the way through another is open.
    pub fn reach_changed(
        &mut self,
        observer: Incarnation,
        peer: Incarnation,
        reach: Reach,
    ) -> Result<(), String> {
        match self.routes.reach(self.now, (observer, peer), reach) {
            Some(via)
                if self.no_forgeries
                    && self.members.get(&(observer, via)) == Some(&true)
                    && self
                        .lifespans
                        .get(&via)
                        .is_some_and(|lifespan| lifespan.ended.is_none()) =>
            {
                Err(format!(
                    "{observer:?} says that it hears {peer:?} itself, which it heard through {via:?}"
                ))
            }
            _ => Ok(()),
        }
    }

    /// Whether two know each other, and the one must take the other for alive.
    pub(super) fn must_count_as_alive(&self, observer: Incarnation, other: Incarnation) -> bool {
        let knows = |a, b| self.members.get(&(a, b)) == Some(&true);
        let Some(lifespan) = self.lifespans.get(&other) else { return false };
        let namesakes = self.lifespans.values().filter(|one| one.name == lifespan.name).count();
        knows(observer, other)
            && knows(other, observer)
            && lifespan.ended.is_none()
            && namesakes == 1
            && self.no_forgeries
            && self.routes.heard_recently(self.now, observer, other)
    }
}
