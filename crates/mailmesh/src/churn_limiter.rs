//! Which joins and departures are logged one by one.

use std::time::{Duration, Instant};

/// Lines a minute: a cluster of 64 that starts is named whole. A member that makes up nodes could
/// otherwise fill a disk.
const MAX_LINES_PER_MINUTE: u32 = 100;
const MINUTE: Duration = Duration::from_secs(60);

/// Counts the nodes that join and leave.
#[derive(Debug, Default)]
pub(crate) struct ChurnLimiter {
    joined: u64,
    left: u64,
    /// When the present minute began.
    minute_start: Option<Instant>,
    /// Of the present minute.
    lines: u32,
    /// Joins and departures of the present minute that were not logged.
    unlogged: (u64, u64),
}

impl ChurnLimiter {
    /// A node joined; whether that is logged.
    pub(crate) fn on_joined(&mut self, now: Instant) -> bool {
        self.joined += 1;
        let is_logged = self.spend_line(now);
        self.unlogged.0 += u64::from(!is_logged);
        is_logged
    }

    /// A node left; whether that is logged.
    pub(crate) fn on_left(&mut self, now: Instant) -> bool {
        self.left += 1;
        let is_logged = self.spend_line(now);
        self.unlogged.1 += u64::from(!is_logged);
        is_logged
    }

    /// How many joined and left minute_start the start.
    pub(crate) fn totals(&self) -> (u64, u64) {
        (self.joined, self.left)
    }

    /// At the end of a minute: how many joined and left in it without a line, if any did.
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
    fn a_crash_loop_is_a_hundred_lines_a_minute_and_then_a_count() {
        let (mut churn, begin) = (ChurnLimiter::default(), Instant::now());
        let mut logged = 0;
        for life in 0..500 {
            let now = begin + Duration::from_millis(100 * life);
            logged += u32::from(churn.on_joined(now)) + u32::from(churn.on_left(now));
            assert_eq!(churn.end_of_minute(now), None);
        }
        assert_eq!((logged, churn.totals()), (MAX_LINES_PER_MINUTE, (500, 500)));
        assert_eq!(churn.end_of_minute(begin + MINUTE), Some((450, 450)));
        assert!(churn.on_joined(begin + MINUTE));
        assert_eq!(churn.end_of_minute(begin + 2 * MINUTE), None);
    }
}
