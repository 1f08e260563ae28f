//! Detects stalls of this node: its process was stopped or starved, or its machine slept.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// For this long after a stall, links may still be down because of it.
const RECOVERY_TIME: Duration = Duration::from_secs(10);
/// Smaller differences come from reading the two clocks at different moments, or are harmless.
const MIN_SLEEP: Duration = Duration::from_secs(1);

/// Measures sleep of the machine, which the monotonic clock leaves out, and remembers when the node
/// last resumed.
#[derive(Debug, Default)]
pub(crate) struct StallDetector {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Lead of the clock that counts sleep over the clock that does not, at the last check.
    slept_total: Option<Duration>,
    resumed_at: Option<Instant>,
}

impl StallDetector {
    /// The node runs again after a stall.
    pub(crate) fn on_resumed(&self) {
        self.state.lock().resumed_at = Some(Instant::now());
    }

    /// Whether the node resumed a moment ago: silence of others is then most likely this node's own
    /// doing.
    pub(crate) fn has_just_resumed(&self) -> bool {
        self.state.lock().resumed_at.is_some_and(|at| at.elapsed() < RECOVERY_TIME)
    }

    /// How long the machine slept since the last check. `with_sleep` and `without_sleep` are times
    /// since the same moment, on a clock that counts sleep and on one that does not.
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
    fn a_sleep_is_reported_once_and_small_clock_differences_are_ignored() {
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
