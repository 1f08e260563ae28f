//! Counts what one receiver got of one sender's life.

use serde::{Deserialize, Serialize};

/// Numbers told apart; what comes beyond is counted as out of order, so that it
/// cannot go unseen.
pub const MAX_EVENTS: u64 = 1 << 26;

/// What came of one sender's life.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Different events that came.
    pub delivered: u64,
    /// Events that came again.
    pub duplicates: u64,
    /// Events that came after a later one.
    pub out_of_order: u64,
    /// Events that the receiver was told it missed.
    pub reported_missing: u64,
    /// Of these, those told before the first event came.
    pub reported_before_first: u64,
    /// The lowest number that came; 0 before any.
    pub lowest: u64,
    /// The highest number that came; 0 before any.
    pub highest: u64,
    /// When it was last told of any missing, in nanoseconds; 0 for never.
    pub reported_at: u64,
    /// One bit a number.
    #[serde(skip)]
    seen: Vec<u64>,
}

impl Tally {
    /// An event came. Whether it is new.
    pub fn deliver(&mut self, number: u64) -> bool {
        if number == 0 || number > MAX_EVENTS {
            self.out_of_order += 1;
            return false;
        }
        let (word, bit) = ((number / 64) as usize, 1 << (number % 64));
        if self.seen.len() <= word {
            self.seen.resize(word + 1, 0);
        }
        if self.seen[word] & bit != 0 {
            self.duplicates += 1;
            return false;
        }
        self.seen[word] |= bit;
        if self.delivered == 0 {
            self.reported_before_first = self.reported_missing;
            self.lowest = number;
        }
        self.delivered += 1;
        if number < self.highest {
            self.out_of_order += 1;
        }
        self.lowest = self.lowest.min(number);
        self.highest = self.highest.max(number);
        true
    }

    /// The receiver was told at `now` (nanoseconds) that it missed so many.
    pub fn report_missing(&mut self, missed: u64, now: u64) {
        self.reported_missing += missed;
        self.reported_at = now;
    }

    /// The counts alone, without what is needed to go on counting.
    #[must_use]
    pub fn summary(&self) -> Self {
        Self { seen: Vec::new(), ..*self }
    }

    /// The first number it owes an account of, if it was not a member from the
    /// start: what came first, or what was told in front of that.
    #[must_use]
    pub fn first_expected(&self) -> u64 {
        self.lowest.saturating_sub(self.reported_before_first).max(1)
    }

    /// How many of `first..=last` neither came nor were told. Every number that
    /// came must be one of these.
    #[must_use]
    pub fn silent(&self, first: u64, last: u64) -> u64 {
        let expected = (last + 1).saturating_sub(first);
        expected.saturating_sub(self.delivered).saturating_sub(self.reported_missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(numbers: &[u64]) -> Tally {
        let mut tally = Tally::default();
        for number in numbers {
            tally.deliver(*number);
        }
        tally
    }

    #[test]
    fn what_comes_in_order_is_delivered_and_nothing_else() {
        let tally = tally(&[1, 2, 3]);
        assert_eq!((tally.delivered, tally.duplicates, tally.out_of_order), (3, 0, 0));
        assert_eq!((tally.lowest, tally.highest), (1, 3));
        assert_eq!(tally.silent(1, 3), 0);
    }

    #[test]
    fn what_comes_again_is_a_duplicate_and_not_delivered() {
        let tally = tally(&[1, 2, 2, 1]);
        assert_eq!((tally.delivered, tally.duplicates, tally.out_of_order), (2, 2, 0));
    }

    #[test]
    fn what_comes_after_a_later_one_is_out_of_order() {
        let tally = tally(&[1, 3, 2, 4]);
        assert_eq!((tally.delivered, tally.duplicates, tally.out_of_order), (4, 0, 1));
        assert_eq!(tally.silent(1, 4), 0);
    }

    #[test]
    fn what_is_neither_delivered_nor_told_is_silent() {
        let mut tally = tally(&[1, 2, 6]);
        assert_eq!(tally.silent(1, 8), 5);
        tally.report_missing(3, 9);
        assert_eq!((tally.silent(1, 6), tally.silent(1, 8), tally.reported_at), (0, 2, 9));
    }

    #[test]
    fn a_late_member_owes_an_account_from_the_first_event_or_the_gap_in_front() {
        let mut tally = Tally::default();
        tally.report_missing(4, 0);
        tally.deliver(100);
        tally.report_missing(1, 0);
        tally.deliver(102);
        assert_eq!(tally.first_expected(), 96);
        assert_eq!(tally.silent(tally.first_expected(), 102), 0);
    }

    #[test]
    fn numbers_beyond_the_bound_take_no_memory_and_are_seen() {
        let tally = tally(&[0, MAX_EVENTS + 1, u64::MAX]);
        assert_eq!((tally.delivered, tally.out_of_order, tally.seen.len()), (0, 3, 0));
    }
}
