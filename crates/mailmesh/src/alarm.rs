//! When a condition is reported, and when its end.

use std::time::Duration;

/// How long a condition holds before there is an alarm.
const HOLD: Duration = Duration::from_secs(10);

/// What is to be said of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Say {
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
    pub(crate) fn note(&mut self, holds: bool, at: Duration) -> Option<Say> {
        if !holds {
            self.since = None;
            return std::mem::take(&mut self.is_raised).then_some(Say::Ended);
        }
        let since = *self.since.get_or_insert(at);
        if self.is_raised || at.saturating_sub(since) < HOLD {
            return None;
        }
        self.is_raised = true;
        Some(Say::Raised)
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.is_raised
    }
}

/// For how long nothing happens before what was repeated has ended.
const QUIET: Duration = Duration::from_secs(60);

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
    pub(crate) fn goes_on(&self) -> bool {
        self.span.is_some()
    }

    /// Notes whether it `happened` since the last look, `at` a time of a monotonic clock.
    pub(crate) fn note(&mut self, happened: bool, at: Duration) -> Option<Say> {
        let goes_on = self.span.is_some_and(|(_, last)| at.saturating_sub(last) < QUIET);
        if happened {
            let began = self.span.filter(|_| goes_on).map_or(at, |(began, _)| began);
            self.span = Some((began, at));
            if !self.is_raised && at.saturating_sub(began) >= HOLD {
                self.is_raised = true;
                return Some(Say::Raised);
            }
        } else if !goes_on {
            self.span = None;
            return std::mem::take(&mut self.is_raised).then_some(Say::Ended);
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
        let mut note = |holds, seconds| alarm.note(holds, Duration::from_secs(seconds));
        assert_eq!([note(true, 0), note(true, 9), note(false, 9)], [None; 3]);
        assert_eq!([note(true, 20), note(true, 29)], [None; 2]);
        assert_eq!(note(true, 30), Some(Say::Raised));
        assert_eq!(note(true, 99), None);
        assert_eq!(note(false, 100), Some(Say::Ended));
        assert_eq!(note(false, 101), None);
    }

    #[test]
    fn what_recurs_for_ten_seconds_is_an_alarm_and_what_happens_once_is_none() {
        let mut recurrence = Recurrence::default();
        let mut note = |happened, seconds| recurrence.note(happened, Duration::from_secs(seconds));
        assert_eq!([note(true, 0), note(false, 11), note(false, 59)], [None; 3]);
        // Too late to go on with the first.
        assert_eq!([note(true, 60), note(true, 69)], [None; 2]);
        assert_eq!(note(true, 70), Some(Say::Raised));
        assert_eq!([note(true, 90), note(false, 149)], [None; 2]);
        assert_eq!(note(false, 150), Some(Say::Ended));
        assert_eq!([note(false, 151), note(true, 152)], [None; 2]);
    }
}
