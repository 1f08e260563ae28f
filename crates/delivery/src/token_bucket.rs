//! A bound on rate and burst.

use crate::Time;

/// A token bucket. Its last withdrawal may exceed the tokens left, so the balance may be negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TokenBucket {
    left: i128,
    refilled: Time,
}

impl TokenBucket {
    /// A full bucket.
    pub(crate) fn full(capacity: usize, now: Time) -> Self {
        Self { left: capacity as i128, refilled: now }
    }

    /// Adds `rate` tokens a second up to `capacity`; returns whether any token is left.
    pub(crate) fn refill(&mut self, now: Time, rate: usize, capacity: usize) -> bool {
        let nanos = i128::try_from(now.since(self.refilled).as_nanos()).unwrap_or(0);
        let earned = (rate as i128).saturating_mul(nanos) / 1_000_000_000;
        if earned > 0 {
            self.left = self.left.saturating_add(earned).min(capacity as i128);
            self.refilled = now;
        }
        !self.is_empty()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.left <= 0
    }

    pub(crate) fn holds_more_than(&self, tokens: usize) -> bool {
        self.left > tokens as i128
    }

    pub(crate) fn take(&mut self, cost: usize) {
        self.left -= cost as i128;
    }

    /// Refills, and takes one token if any is left; returns whether it did.
    pub(crate) fn try_take_one(&mut self, now: Time, rate: usize, capacity: usize) -> bool {
        let has_token = self.refill(now, rate, capacity);
        if has_token {
            self.take(1);
        }
        has_token
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bucket_gives_its_capacity_and_then_its_rate() {
        let at = |ms| Time::from_start(Duration::from_millis(ms));
        let mut bucket = TokenBucket::full(10, at(0));
        let mut taken = |ms| (0..100).filter(|_| bucket.try_take_one(at(ms), 20, 10)).count();
        assert_eq!([taken(0), taken(40), taken(100), taken(10_000)], [10, 0, 2, 10]);
        bucket.take(25);
        assert!(!bucket.refill(at(10_500), 20, 10) && bucket.refill(at(12_000), 20, 10));
    }
}
