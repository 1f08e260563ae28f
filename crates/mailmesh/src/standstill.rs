//! When this node stood still: its process was stopped or starved, or its machine slept.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How long after this node stood still links may still be down for it.
const BACK: Duration = Duration::from_secs(10);
/// The two clocks are not read at the same moment; and a shorter sleep does no harm.
const SLEEP: Duration = Duration::from_secs(1);

/// Tells the time in which the machine slept, which the monotonic clock leaves out, and remembers
/// when the node went on.
#[derive(Debug, Default)]
pub(crate) struct Standstill {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By how much the clock that counts sleep was ahead of the one that does not.
    slept: Option<Duration>,
    went_on: Option<Instant>,
}

impl Standstill {
    /// The node goes on now.
    pub(crate) fn ended(&self) {
        self.state.lock().went_on = Some(Instant::now());
    }

    /// Whether it stood still a moment ago: that others are silent is most likely its own doing.
    pub(crate) fn is_recent(&self) -> bool {
        self.state.lock().went_on.is_some_and(|at| at.elapsed() < BACK)
    }

    /// How long the machine slept since the last look: `with_sleep` and `without` are times since
    /// one moment, by a clock that counts sleep and by one that does not.
    pub(crate) fn slept(&self, with_sleep: Duration, without: Duration) -> Option<Duration> {
        let slept = with_sleep.saturating_sub(without);
        let before = self.state.lock().slept.replace(slept)?;
        let more = slept.saturating_sub(before);
        (more >= SLEEP).then_some(more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_is_told_once_and_a_difference_of_reading_is_none() {
        let (node, s) = (Standstill::default(), Duration::from_secs);
        assert_eq!(node.slept(s(100), s(40)), None, "before the start");
        assert_eq!(node.slept(s(101) + Duration::from_millis(3), s(41)), None);
        assert_eq!(node.slept(s(162), s(42)), Some(s(60) - Duration::from_millis(3)));
        assert_eq!(node.slept(s(163), s(43)), None);
        assert!(!node.is_recent());
        node.ended();
        assert!(node.is_recent());
    }
}
