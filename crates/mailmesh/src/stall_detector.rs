//! When this stalls stood still: its process was stopped or starved, or its machine slept.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How long after this stalls stood still links may still be down for it.
const RECOVERY_TIME: Duration = Duration::from_secs(10);
/// The two clocks are not read at the same moment; and a shorter sleep does no harm.
const MIN_SLEEP: Duration = Duration::from_secs(1);

/// Tells the time in which the machine slept, which the monotonic clock leaves out, and remembers
/// when the stalls went on.
#[derive(Debug, Default)]
pub(crate) struct StallDetector {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By how much the clock that counts sleep was ahead of the one that does not.
    slept_total: Option<Duration>,
    resumed_at: Option<Instant>,
}

impl StallDetector {
    /// The stalls goes on now.
    pub(crate) fn on_resumed(&self) {
        self.state.lock().resumed_at = Some(Instant::now());
    }

    /// Whether it stood still a moment ago: that others are silent is most likely its own doing.
    pub(crate) fn has_just_resumed(&self) -> bool {
        self.state.lock().resumed_at.is_some_and(|at| at.elapsed() < RECOVERY_TIME)
    }

    /// How long the machine slept since the last look: `with_sleep` and `without_sleep` are times since
    /// one moment, by a clock that counts sleep and by one that does not.
    pub(crate) fn slept(&self, with_sleep: Duration, without_sleep: Duration) -> Option<Duration> {
        let slept = with_sleep.saturating_sub(without_sleep);
        let before = self.state.lock().slept_total.replace(slept)?;
        let more = slept.saturating_sub(before);
        (more >= MIN_SLEEP).then_some(more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_is_told_once_and_a_difference_of_reading_is_none() {
        let (stalls, s) = (StallDetector::default(), Duration::from_secs);
        assert_eq!(stalls.slept(s(100), s(40)), None, "before the start");
        assert_eq!(stalls.slept(s(101) + Duration::from_millis(3), s(41)), None);
        assert_eq!(stalls.slept(s(162), s(42)), Some(s(60) - Duration::from_millis(3)));
        assert_eq!(stalls.slept(s(163), s(43)), None);
        assert!(!stalls.has_just_resumed());
        stalls.on_resumed();
        assert!(stalls.has_just_resumed());
    }
}
