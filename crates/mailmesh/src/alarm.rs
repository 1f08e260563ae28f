//! When a condition is reported, and when its end.

use std::time::Duration;

/// How long a condition holds before there is an alarm.
const RAISE_AFTER: Duration = Duration::from_secs(10);

/// What is to be said of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AlarmChange {
    Raised,
    Ended,
}

/// A condition that is reported once it has held for 10 s, and whose end is reported.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Alarm {
    since: Option<Duration>,
    is_raised: bool,
}

impl Alarm {
    /// Notes whether the condition holds `at` a time of a monotonic clock.
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

/// For how long nothing happens before what was repeated has ended.
const END_AFTER: Duration = Duration::from_secs(60);

/// Something that happens now and then. It is reported once it has gone on for 10 s, and its end
/// after a minute without it: once is no alarm.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Recurrence {
    /// When it began, and when it last happened.
    span: Option<(Duration, Duration)>,
    is_raised: bool,
}

impl Recurrence {
    /// Whether it happened within the last minute.
    pub(crate) fn is_ongoing(&self) -> bool {
        self.span.is_some()
    }

    /// Notes whether it `happened` since the last look, `at` a time of a monotonic clock.
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
    fn an_alarm_is_raised_once_after_it_has_held_and_its_end_is_said() {
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
    fn what_recurs_for_ten_seconds_is_an_alarm_and_what_happens_once_is_none() {
        let mut recurrence = Recurrence::default();
        let mut update =
            |happened, seconds| recurrence.update(happened, Duration::from_secs(seconds));
        assert_eq!([update(true, 0), update(false, 11), update(false, 59)], [None; 3]);
        // Too late to go on with the first.
        assert_eq!([update(true, 60), update(true, 69)], [None; 2]);
        assert_eq!(update(true, 70), Some(AlarmChange::Raised));
        assert_eq!([update(true, 90), update(false, 149)], [None; 2]);
        assert_eq!(update(false, 150), Some(AlarmChange::Ended));
        assert_eq!([update(false, 151), update(true, 152)], [None; 2]);
    }
}
