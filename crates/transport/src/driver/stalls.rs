//! Detects that this process did not run, so that peers are not taken for silent.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// If the clock is read later than planned by more than this, the process was stopped.
const MIN_STALL: Duration = Duration::from_millis(750);

/// Measures how long this process did not run (SIGSTOP, a starved machine, a debugger). Messages of
/// other nodes wait unread meanwhile, so the endpoint's clock must not count this time as their
/// silence.
#[derive(Debug, Default)]
pub(super) struct StallDetector {
    /// When the clock was last read, in nanoseconds since the start.
    last_read: AtomicU64,
    /// Total time of all stalls, in nanoseconds.
    lost: AtomicU64,
    /// The part of `lost` that `take` has not returned yet.
    unreported: AtomicU64,
}

impl StallDetector {
    /// Returns `elapsed` minus all stalls. A running process reads the clock no later than
    /// `next_poll`, plus `MIN_STALL`. `next_poll` is in the endpoint's time, without stalls. Called
    /// by one thread at a time.
    pub(super) fn time(&self, elapsed: Duration, next_poll: Duration) -> Duration {
        let before = nanos(self.last_read.swap(elapsed.as_nanos() as u64, Ordering::Relaxed));
        let late = elapsed.saturating_sub(before.max(next_poll + self.lost()));
        if !before.is_zero() && late > MIN_STALL {
            let stall = late.as_nanos() as u64;
            self.lost.fetch_add(stall, Ordering::Relaxed);
            self.unreported.fetch_add(stall, Ordering::Relaxed);
        }
        elapsed.saturating_sub(self.lost())
    }

    pub(super) fn lost(&self) -> Duration {
        nanos(self.lost.load(Ordering::Relaxed))
    }

    pub(super) fn take(&self) -> Option<Duration> {
        if self.unreported.load(Ordering::Relaxed) == 0 {
            return None;
        }
        Some(nanos(self.unreported.swap(0, Ordering::Relaxed)))
    }
}

fn nanos(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_read_of_the_clock_counts_as_a_stall() {
        let stalls = StallDetector::default();
        let time = |ms, next_poll| {
            let [now, next_poll] = [ms, next_poll].map(Duration::from_millis);
            stalls.time(now, next_poll).as_millis()
        };
        // The first read may be late.
        assert_eq!([time(5_000, 0), time(5_500, 5_500), time(6_250, 5_500)], [5_000, 5_500, 6_250]);
        assert_eq!(stalls.take(), None);
        assert_eq!([time(66_750, 6_750), time(66_800, 6_750)], [6_750, 6_800]);
        assert_eq!(stalls.take(), Some(Duration::from_secs(60)));
        assert_eq!(stalls.take(), None);
        // Planned times are in the endpoint's time.
        assert_eq!([time(67_900, 7_300), time(68_901, 7_950)], [7_900, 7_950]);
        assert_eq!(stalls.take(), Some(Duration::from_millis(951)));
    }

    #[test]
    fn a_plan_in_the_past_causes_no_stall() {
        let stalls = StallDetector::default();
        let time = |ms| stalls.time(Duration::from_millis(ms), Duration::from_millis(100));
        for ms in (1..).map(|n| n * 700).take_while(|ms| *ms < 10_000) {
            assert_eq!(time(ms).as_millis(), u128::from(ms));
        }
        assert_eq!(stalls.take(), None);
    }
}
