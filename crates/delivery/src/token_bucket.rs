use crate::Time;

/// What somebody may cost in a while: a token bucket. Below zero by what the last taken was
/// more than there was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TokenBucket {
    left: i128,
    refilled: Time,
}

impl TokenBucket {
    /// Full, with so much.
    pub(crate) fn full(capacity: usize, now: Time) -> Self {
        Self { left: capacity as i128, refilled: now }
    }

    /// Whether there is any left, of `rate` a second and at most `most`.
    pub(crate) fn refill(&mut self, now: Time, rate: usize, most: usize) -> bool {
        let nanos = i128::try_from(now.since(self.refilled).as_nanos()).unwrap_or(0);
        let earned = (rate as i128).saturating_mul(nanos) / 1_000_000_000;
        if earned > 0 {
            self.left = self.left.saturating_add(earned).min(most as i128);
            self.refilled = now;
        }
        !self.is_empty()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.left <= 0
    }

    pub(crate) fn holds_more_than(&self, some: usize) -> bool {
        self.left > some as i128
    }

    pub(crate) fn take(&mut self, cost: usize) {
        self.left -= cost as i128;
    }

    /// Takes one if there is any.
    pub(crate) fn try_take_one(&mut self, now: Time, rate: usize, most: usize) -> bool {
        let refill = self.refill(now, rate, most);
        if refill {
            self.take(1);
        }
        refill
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bucket_gives_what_it_has_and_then_its_rate() {
        let at = |ms| Time::from_start(Duration::from_millis(ms));
        let mut bucket = TokenBucket::full(10, at(0));
        let mut taken = |ms| (0..100).filter(|_| bucket.try_take_one(at(ms), 20, 10)).count();
        assert_eq!([taken(0), taken(40), taken(100), taken(10_000)], [10, 0, 2, 10]);
        bucket.take(25);
        assert!(!bucket.refill(at(10_500), 20, 10) && bucket.refill(at(12_000), 20, 10));
    }
}
