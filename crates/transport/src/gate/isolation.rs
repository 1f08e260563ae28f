//! Decides when the operator is warned that no other node is linked. No I/O; time is passed in.

use std::time::Duration;

use tokio::time::Instant;

/// How long no node must be linked before the first warning, and the interval between warnings.
const ALARM_AFTER: Duration = Duration::from_secs(10);
const ALARM_INTERVAL: Duration = Duration::from_secs(60);

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum IsolationEvent {
    /// No node has been linked for this long.
    Isolated(Duration),
    /// A node is linked again after a warning.
    Linked,
    /// No node is linked, but after a warning no reason is left to expect one.
    NotExpected,
}

#[derive(Debug, Default)]
pub(crate) struct IsolationAlarm {
    since: Option<Instant>,
    last_report: Option<Instant>,
}

impl IsolationAlarm {
    /// Evaluates the state now. `is_expected`: dialing an endpoint failed, or a connection with
    /// another mode was refused recently.
    pub(crate) fn look(
        &mut self,
        now: Instant,
        is_linked: bool,
        is_expected: bool,
    ) -> Option<IsolationEvent> {
        if is_linked {
            self.since = None;
            return self.last_report.take().map(|_| IsolationEvent::Linked);
        }
        let lasted = now.duration_since(*self.since.get_or_insert(now));
        if !is_expected && self.last_report.take().is_some() {
            return Some(IsolationEvent::NotExpected);
        }
        let is_due = self.last_report.is_none_or(|last| now.duration_since(last) >= ALARM_INTERVAL);
        if !is_expected || lasted < ALARM_AFTER || !is_due {
            return None;
        }
        self.last_report = Some(now);
        Some(IsolationEvent::Isolated(lasted))
    }
}

/// Whether a counter has grown within [`ALARM_INTERVAL`].
#[derive(Debug, Default)]
pub(super) struct RecentGrowth {
    count: u64,
    grew: Option<Instant>,
}

impl RecentGrowth {
    pub(super) fn look(&mut self, now: Instant, count: u64) -> bool {
        if std::mem::replace(&mut self.count, count) != count {
            self.grew = Some(now);
        }
        self.grew.is_some_and(|grew| now.duration_since(grew) < ALARM_INTERVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn isolation_is_reported_after_ten_seconds_then_each_minute() {
        let begin = Instant::now();
        let mut alarm = IsolationAlarm::default();
        let mut reported = Vec::new();
        for second in 0..200 {
            let now = begin + Duration::from_secs(second);
            let event = alarm.look(now, second == 150, true);
            reported.extend(event.map(|event| (second, event)));
        }
        let for_s = |second| IsolationEvent::Isolated(Duration::from_secs(second));
        let expected = [
            (10, for_s(10)),
            (70, for_s(70)),
            (130, for_s(130)),
            (150, IsolationEvent::Linked),
            (161, for_s(10)),
        ];
        assert_eq!(reported, expected);
    }

    #[test]
    fn a_warning_ends_when_its_reasons_are_gone() {
        let begin = Instant::now();
        let mut alarm = IsolationAlarm::default();
        let mut looks = |n| alarm.look(begin + Duration::from_secs(n), false, n < 20);
        let reported: Vec<_> = (0..200).filter_map(|n| looks(n).map(|event| (n, event))).collect();
        let raised = (10, IsolationEvent::Isolated(Duration::from_secs(10)));
        assert_eq!(reported, [raised, (20, IsolationEvent::NotExpected)]);
    }

    #[test]
    fn a_count_that_grew_a_minute_ago_is_not_recent() {
        let begin = Instant::now();
        let mut recent = RecentGrowth::default();
        let looks = [(0, 0), (1, 1), (60, 1), (61, 1), (100, 2), (101, 2), (200, 2)];
        let grew =
            looks.map(|(second, count)| recent.look(begin + Duration::from_secs(second), count));
        assert_eq!(grew, [false, true, true, false, true, true, false]);
    }

    #[test]
    fn a_node_that_expects_no_links_reports_nothing() {
        let begin = Instant::now();
        let mut alarm = IsolationAlarm::default();
        let events = |n| alarm.look(begin + Duration::from_secs(n), false, false);
        assert!((0..200).map(events).all(|event| event.is_none()));
    }
}
