//! Membership: joins, ends, routes and conflicts of names.

use std::collections::BTreeMap;
use std::time::Duration;

use mailmesh_delivery::{Incarnation, Lane, LeaveReason, PerLane, Reach, Time};

use super::{Lifespan, Oracle};

/// Largest age of a report from another peer that a node is alive.
const MAX_STALE_REPORT_AGE: Duration = Duration::from_secs(5);

impl Oracle {
    /// The node `observer` admits a peer and awaits its events after `promised_after`, per lane.
    ///
    /// # Errors
    /// If the peer is a member already, had said goodbye or had ended long before, or if
    /// `promised_after` is past the last published event or is not where the observer stopped
    /// before.
    pub fn joined(
        &mut self,
        observer: Incarnation,
        peer: Incarnation,
        promised_after: PerLane<u64>,
    ) -> Result<(), String> {
        for (lane, position) in Lane::ALL.into_iter().zip(promised_after) {
            if self.is_within_false_gap(observer, peer, lane, position) {
                continue;
            }
            let last = self.last_published(peer, lane);
            if position > last {
                return Err(format!(
                    "{observer:?} admits {peer:?} after {position} of {lane}; {last} were published"
                ));
            }
            let next = self.next_event.entry((observer, (peer, lane))).or_insert(position + 1);
            if *next != position + 1 {
                return Err(format!(
                    "{observer:?} admits {peer:?} after {position} of {lane}, but {next} is next"
                ));
            }
        }
        let began =
            self.lifespans.get(&observer).map_or(Time::default(), |lifespan| lifespan.began);
        let ended = self.lifespans.get(&peer).and_then(|lifespan| lifespan.ended);
        if self.no_node_freezes && ended.is_some_and(|ended| ended + MAX_STALE_REPORT_AGE < began) {
            return Err(format!("{observer:?} admits {peer:?}, which had ended before it started"));
        }
        if self.said_goodbye.contains(&(observer, peer)) {
            return Err(format!("{observer:?} admits {peer:?} again after its goodbye"));
        }
        self.routes.forget(observer, peer);
        self.windows.joined(observer, peer);
        self.admitted_at.insert((observer, peer), self.now);
        match self.members.insert((observer, peer), true) {
            Some(true) => Err(format!("{observer:?} reports twice that {peer:?} joined")),
            _ => Ok(()),
        }
    }

    /// The node `observer` reports that a peer left.
    ///
    /// # Errors
    /// If the peer was not a member, if the report is late, or if the peer is alive and no fault
    /// excuses the report.
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
        // A delayed frame may introduce a peer after its end.
        let since = self.admitted_at.get(&(observer, peer)).copied().unwrap_or_default();
        let ended = ended.map(|ended| self.last_end_after(ended));
        let late = ended.map_or(Duration::ZERO, |ended| self.now.since(ended.max(since)));
        if self.max_end_report_delay.is_some_and(|max| late > max) {
            return Err(format!("{observer:?} reports that {peer:?} left {late:?} after its end"));
        }
        let is_alive = self.lifespans.get(&peer).is_some_and(|lifespan| lifespan.ended.is_none());
        if self.no_false_failures && is_alive && reason != LeaveReason::Bye {
            return Err(format!(
                "{observer:?} reports {peer:?} as ended ({reason:?}), but it is alive"
            ));
        }
        let host_names: BTreeMap<_, _> =
            self.lifespans.iter().map(|(id, lifespan)| (*id, lifespan.name)).collect();
        if self.relays_are_prompt
            && reason == LeaveReason::Failed
            && let Some(other) = self.routes.witness(self.now, (observer, peer), &host_names)
        {
            return Err(format!(
                "{observer:?} reports {peer:?} as failed, but {other:?} hears it all the time"
            ));
        }
        match self.members.insert((observer, peer), false) {
            Some(true) => Ok(()),
            _ => Err(format!("{observer:?} reports that {peer:?} left, but it was not a member")),
        }
    }

    /// The end of the last node in a chain that starts with an end at `ended`. A node that has the
    /// last events of a dead node may itself end before it passes them on, and so on.
    fn last_end_after(&self, ended: Time) -> Time {
        let Some(max_end_report_delay) = self.max_end_report_delay else { return ended };
        let mut ends: Vec<Time> =
            self.lifespans.values().filter_map(|lifespan| lifespan.ended).collect();
        ends.sort_unstable();
        ends.into_iter().fold(ended, |last, end| {
            if end > last && end.since(last) <= max_end_report_delay { end } else { last }
        })
    }

    /// A node reports that two live nodes have one name.
    ///
    /// # Errors
    /// If they never had one name at the same time.
    pub fn name_conflict(
        &self,
        observer: Incarnation,
        one: Incarnation,
        other: Incarnation,
    ) -> Result<(), String> {
        let claim = format!("{observer:?} reports that {one:?} and {other:?} have one name");
        let (Some(one), Some(other)) = (self.lifespans.get(&one), self.lifespans.get(&other))
        else {
            return Err(format!("{claim}, but one of them never existed"));
        };
        let before = |a: &Lifespan, b: &Lifespan| a.ended.is_some_and(|ended| ended <= b.began);
        if one.name != other.name || before(one, other) || before(other, one) {
            return Err(format!("{claim}, but they never had it at the same time"));
        }
        Ok(())
    }

    /// A node reports whether it hears a peer directly or through a relay.
    ///
    /// # Errors
    /// If the node reports a direct route without a direct packet, while the relay is an alive
    /// member.
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
                    "{observer:?} reports a direct route to {peer:?}, but heard it through {via:?}"
                ))
            }
            _ => Ok(()),
        }
    }

    /// Whether `observer` must count `other` as alive: they know each other, the other node is
    /// alive with a unique name, and its packets arrived directly just now.
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
