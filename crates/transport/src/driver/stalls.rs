use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The task looks at the time many times a second. If nobody did for longer than this, the
/// process stood still.
const STALL: Duration = Duration::from_secs(1);

/// The time in which this process stood still (SIGSTOP, a starved machine, a debugger). What
/// others said meanwhile waits to be read: it would be wrong to take them for silent by a time
/// in which nobody listened.
#[derive(Debug, Default)]
pub(super) struct Stalls {
    /// When the time was asked for last.
    asked: AtomicU64,
    lost: AtomicU64,
    /// Of these, what was not reported yet.
    untold: AtomicU64,
}

impl Stalls {
    /// The time without what was lost, at `elapsed` since the start. One caller at a time.
    /// `often`: how often the time is asked for at least while the process runs.
    pub(super) fn time(&self, elapsed: Duration, often: Duration) -> Duration {
        let before = nanos(self.asked.swap(elapsed.as_nanos() as u64, Ordering::Relaxed));
        let gap = elapsed.saturating_sub(before);
        if !before.is_zero() && gap > STALL.max(often * 4) {
            let stall = (gap - often).as_nanos() as u64;
            self.lost.fetch_add(stall, Ordering::Relaxed);
            self.untold.fetch_add(stall, Ordering::Relaxed);
        }
        elapsed.saturating_sub(self.lost())
    }

    pub(super) fn lost(&self) -> Duration {
        nanos(self.lost.load(Ordering::Relaxed))
    }

    pub(super) fn take(&self) -> Option<Duration> {
        if self.untold.load(Ordering::Relaxed) == 0 {
            return None;
        }
        Some(nanos(self.untold.swap(0, Ordering::Relaxed)))
    }
}

fn nanos(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stands_still_while_nobody_asks_for_it() {
        let (stalls, often) = (Stalls::default(), Duration::from_millis(125));
        let time = |ms| stalls.time(Duration::from_millis(ms), often).as_millis();
        // The first time may be asked for late.
        assert_eq!([time(5_000), time(5_125), time(5_900)], [5_000, 5_125, 5_900]);
        assert_eq!(stalls.take(), None);
        assert_eq!([time(65_900), time(65_950)], [6_025, 6_075]);
        assert_eq!(stalls.take(), Some(Duration::from_millis(59_875)));
        assert_eq!(stalls.take(), None);
        assert_eq!([time(66_900), time(68_025)], [7_025, 7_150]);
    }
}
