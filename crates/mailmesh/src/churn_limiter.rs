//! Limits log lines about nodes that join and leave.

use std::time::{Duration, Instant};

/// Enough to log every join of a starting cluster of 64. A malicious member that invents nodes
/// could otherwise fill the disk.
const MAX_LINES_PER_MINUTE: u32 = 100;
const MINUTE: Duration = Duration::from_secs(60);

/// Counts joins and departures, and decides which of them are logged.
#[derive(Debug, Default)]
pub(crate) struct ChurnLimiter {
    joined: u64,
    left: u64,
    /// Start of the current minute.
    minute_start: Option<Instant>,
    /// Lines logged in the current minute.
    lines: u32,
    /// Joins and departures in the current minute that were not logged.
    unlogged: (u64, u64),
}

impl ChurnLimiter {
    /// Counts a join; returns whether to log it.
    pub(crate) fn on_joined(&mut self, now: Instant) -> bool {
        self.joined += 1;
        let is_logged = self.spend_line(now);
        self.unlogged.0 += u64::from(!is_logged);
        is_logged
    }

    /// Counts a departure; returns whether to log it.
    pub(crate) fn on_left(&mut self, now: Instant) -> bool {
        self.left += 1;
        let is_logged = self.spend_line(now);
        self.unlogged.1 += u64::from(!is_logged);
        is_logged
    }

    /// Number of joins and of departures since the start.
    pub(crate) fn totals(&self) -> (u64, u64) {
        (self.joined, self.left)
    }

    /// After the end of a minute: the joins and departures in it that were not logged, if any.
    pub(crate) fn end_of_minute(&mut self, now: Instant) -> Option<(u64, u64)> {
        let is_over = self
            .minute_start
            .is_some_and(|minute_start| now.duration_since(minute_start) >= MINUTE);
        if !is_over {
            return None;
        }
        (self.minute_start, self.lines) = (None, 0);
        let unlogged = std::mem::take(&mut self.unlogged);
        (unlogged != (0, 0)).then_some(unlogged)
    }

    fn spend_line(&mut self, now: Instant) -> bool {
        self.minute_start.get_or_insert(now);
        self.lines = self.lines.saturating_add(1);
        self.lines <= MAX_LINES_PER_MINUTE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_loop_logs_100_lines_a_minute_and_then_a_count() {
        let (mut churn, begin) = (ChurnLimiter::default(), Instant::now());
        let mut logged = 0;
        for restart in 0..500 {
            let now = begin + Duration::from_millis(100 * restart);
            logged += u32::from(churn.on_joined(now)) + u32::from(churn.on_left(now));
            assert_eq!(churn.end_of_minute(now), None);
        }
        assert_eq!((logged, churn.totals()), (MAX_LINES_PER_MINUTE, (500, 500)));
        assert_eq!(churn.end_of_minute(begin + MINUTE), Some((450, 450)));
        assert!(churn.on_joined(begin + MINUTE));
        assert_eq!(churn.end_of_minute(begin + 2 * MINUTE), None);
    }
}
