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
}
