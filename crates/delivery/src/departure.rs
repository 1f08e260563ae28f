//! Departure: the steps between a suspicion or a goodbye and the end of a membership.

use std::collections::BTreeSet;

use crate::{Incarnation, LeaveReason, Settings, Time};

/// A departure in progress. Before the peer leaves, the other peers are asked whether they hear it
/// and which of its events they have. Missing events are repaired from them.
#[derive(Debug, Clone)]
pub(crate) struct Departure {
    pub(crate) reason: LeaveReason,
    /// Peers that have not answered, or that hear the peer and are probing it.
    awaited: BTreeSet<Incarnation>,
    ask_at: Time,
    /// Time between the next repeated query and the one after it; doubles with each query.
    wait: std::time::Duration,
    /// Until then holes stay open, because a goodbye may overtake events. A departure without a
    /// goodbye does not complete before then at all, because the peer may be heard again.
    hold_until: Option<Time>,
    /// Until then reports from other peers count. Without the limit, ever higher reports would keep
    /// the peer a member.
    reports_until: Time,
    /// Until then answers are awaited; `None` once the time is over.
    answers_until: Option<Time>,
}

impl Departure {
    /// Starts a departure, given that `others` were queried by a broadcast. Holes are not given up
    /// before `hold_until`.
    pub(crate) fn begin(
        now: Time,
        reason: LeaveReason,
        others: BTreeSet<Incarnation>,
        hold_until: Time,
        settings: &Settings,
    ) -> Self {
        Self {
            reason,
            awaited: others,
            ask_at: now + settings.nak_retry,
            wait: settings.nak_retry * 2,
            hold_until: Some(hold_until).filter(|until| *until > now),
            reports_until: now + settings.failure_timeout,
            answers_until: Some(now + settings.peer_query_timeout),
        }
    }

    /// A peer answered and has nothing to add, or is no longer a member.
    pub(crate) fn on_answer(&mut self, peer: Incarnation) {
        self.awaited.remove(&peer);
    }

    /// Whether no further answer is awaited.
    pub(crate) fn is_answered(&self) -> bool {
        self.awaited.is_empty() || self.answers_until.is_none()
    }

    /// Whether holes that no peer can fill may be given up.
    pub(crate) fn may_give_up(&self) -> bool {
        self.is_answered() && self.hold_until.is_none()
    }

    /// Whether reports from other peers about the departing peer still count.
    pub(crate) fn accepts_reports(&self, now: Time) -> bool {
        now < self.reports_until
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        let asks = self.answers_until.map(|until| until.min(self.ask_at));
        asks.filter(|_| !self.awaited.is_empty()).into_iter().chain(self.hold_until).min()
    }

    /// Returns the peers to query again now.
    pub(crate) fn on_deadline(&mut self, now: Time) -> Vec<Incarnation> {
        self.hold_until = self.hold_until.filter(|until| *until > now);
        self.answers_until = self.answers_until.filter(|until| *until > now);
        if self.answers_until.is_none() || self.ask_at > now {
            return Vec::new();
        }
        self.ask_at = now + self.wait;
        self.wait *= 2;
        self.awaited.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_start(Duration::from_millis(ms))
    }

    fn id(n: u8) -> Incarnation {
        Incarnation([n; 16])
    }

    #[test]
    fn an_unanswered_query_is_repeated_for_300_ms() {
        let others = [id(1), id(2), id(3)].into();
        let mut departure =
            Departure::begin(at(0), LeaveReason::Failed, others, at(0), &Settings::default());
        departure.on_answer(id(2));
        let mut queried = Vec::new();
        while let Some(deadline) = departure.deadline() {
            assert!(!departure.is_answered());
            queried.push((deadline.elapsed().as_millis(), departure.on_deadline(deadline)));
        }
        let both = vec![id(1), id(3)];
        let expected = [(20, both.clone()), (60, both.clone()), (140, both), (300, vec![])];
        assert_eq!(queried, expected);
        assert!(departure.is_answered() && departure.may_give_up());
    }

    #[test]
    fn holes_stay_open_for_50_ms_after_a_goodbye() {
        let mut departure =
            Departure::begin(at(0), LeaveReason::Bye, [].into(), at(50), &Settings::default());
        assert!(departure.is_answered() && !departure.may_give_up());
        assert_eq!(departure.deadline(), Some(at(50)));
        assert!(departure.on_deadline(at(50)).is_empty());
        assert!(departure.may_give_up() && departure.deadline().is_none());
    }
}
