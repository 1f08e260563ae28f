//! A token bucket. The caller reads the clock.

use std::time::Instant;

/// A token bucket.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    left: f64,
    per_second: f64,
    capacity: f64,
    at: Instant,
}

impl TokenBucket {
    /// A full bucket.
    pub(crate) fn new(per_second: f64, capacity: f64) -> Self {
        Self { left: capacity, per_second, capacity, at: Instant::now() }
    }

    pub(crate) fn has_one(&mut self, now: Instant) -> bool {
        let earned = now.saturating_duration_since(self.at).as_secs_f64() * self.per_second;
        (self.left, self.at) = ((self.left + earned).min(self.capacity), now);
        self.left >= 1.0
    }

    pub(crate) fn take(&mut self) {
        self.left -= 1.0;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bucket_is_bounded_and_fills_again() {
        let mut attempts = TokenBucket::new(2_000.0, 2_000.0);
        let begin = attempts.at;
        let mut failures = |millis: u64| {
            let now = begin + Duration::from_millis(millis);
            (0..10_000)
                .take_while(|_| attempts.has_one(now).then(|| attempts.take()).is_some())
                .count()
        };
        assert_eq!(
            [failures(0), failures(0), failures(500), failures(60_000)],
            [2_000, 0, 1_000, 2_000]
        );
    }
}
