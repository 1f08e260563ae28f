//! Decides when a lasting condition is reported, and when its end is.

use std::time::Duration;

/// A condition must hold this long before its alarm is raised.
const RAISE_AFTER: Duration = Duration::from_secs(10);

/// Transition of an alarm; the caller logs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AlarmChange {
    Raised,
    Ended,
}

/// Alarm for a condition that holds continuously: raised after 10 s, ended when it stops.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Alarm {
    since: Option<Duration>,
    is_raised: bool,
}

impl Alarm {
    /// Records whether the condition holds at time `at` of a monotonic clock.
    pub(crate) fn update(&mut self, holds: bool, at: Duration) -> Option<AlarmChange> {
        if !holds {
            self.since = None;
            return std::mem::take(&mut self.is_raised).then_some(AlarmChange::Ended);
        }
        let since = *self.since.get_or_insert(at);
        if self.is_raised || at.saturating_sub(since) < RAISE_AFTER {
            return None;
        }
        self.is_raised = true;
        Some(AlarmChange::Raised)
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.is_raised
    }
}

/// A recurring event has ended after this long without an occurrence.
const END_AFTER: Duration = Duration::from_secs(60);

/// Alarm for an event that recurs: raised once occurrences span 10 s, ended after a minute without
/// one. A single occurrence raises nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Recurrence {
    /// Times of the first and the latest occurrence.
    span: Option<(Duration, Duration)>,
    is_raised: bool,
}

impl Recurrence {
    /// Whether the event occurred within the last minute, as of the last update.
    pub(crate) fn is_ongoing(&self) -> bool {
        self.span.is_some()
    }

    /// Records whether the event `happened` since the last update, at time `at` of a monotonic
    /// clock.
    pub(crate) fn update(&mut self, happened: bool, at: Duration) -> Option<AlarmChange> {
        let is_ongoing = self.span.is_some_and(|(_, last)| at.saturating_sub(last) < END_AFTER);
        if happened {
            let began = self.span.filter(|_| is_ongoing).map_or(at, |(began, _)| began);
            self.span = Some((began, at));
            if !self.is_raised && at.saturating_sub(began) >= RAISE_AFTER {
                self.is_raised = true;
                return Some(AlarmChange::Raised);
            }
        } else if !is_ongoing {
            self.span = None;
            return std::mem::take(&mut self.is_raised).then_some(AlarmChange::Ended);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_is_raised_once_after_10_s_and_its_end_is_reported() {
        let mut alarm = Alarm::default();
        let mut update = |holds, seconds| alarm.update(holds, Duration::from_secs(seconds));
        assert_eq!([update(true, 0), update(true, 9), update(false, 9)], [None; 3]);
        assert_eq!([update(true, 20), update(true, 29)], [None; 2]);
        assert_eq!(update(true, 30), Some(AlarmChange::Raised));
        assert_eq!(update(true, 99), None);
        assert_eq!(update(false, 100), Some(AlarmChange::Ended));
        assert_eq!(update(false, 101), None);
    }

    #[test]
    fn an_event_that_recurs_for_10_s_raises_an_alarm_but_one_does_not() {
        let mut recurrence = Recurrence::default();
        let mut update =
            |happened, seconds| recurrence.update(happened, Duration::from_secs(seconds));
        assert_eq!([update(true, 0), update(false, 11), update(false, 59)], [None; 3]);
        // More than a minute after the first occurrence, so a new span begins.
        assert_eq!([update(true, 60), update(true, 69)], [None; 2]);
        assert_eq!(update(true, 70), Some(AlarmChange::Raised));
        assert_eq!([update(true, 90), update(false, 149)], [None; 2]);
        assert_eq!(update(false, 150), Some(AlarmChange::Ended));
        assert_eq!([update(false, 151), update(true, 152)], [None; 2]);
    }
}
