//! Counts the events that one receiver got from one incarnation of a sender.

use serde::{Deserialize, Serialize};

/// Highest number that is tracked. A higher number counts as out of order, so that it is never
/// ignored.
pub const MAX_EVENTS: u64 = 1 << 26;

/// The events that one receiver got from one incarnation of a sender.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Events delivered, each number once.
    pub delivered: u64,
    /// Events delivered more than once.
    pub duplicates: u64,
    /// Events delivered after one with a higher number.
    pub out_of_order: u64,
    /// Events that the system reported missing.
    pub reported_missing: u64,
    /// Events reported missing before the first delivery.
    pub reported_before_first: u64,
    /// The lowest number delivered; 0 before the first.
    pub lowest: u64,
    /// The highest number delivered; 0 before the first.
    pub highest: u64,
    /// Time of the last report of missing events, in nanoseconds; 0 for never.
    pub reported_at: u64,
    /// One bit for each number delivered.
    #[serde(skip)]
    seen: Vec<u64>,
}

impl Tally {
    /// Counts an event; true if its number is new.
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

    /// Counts `missed` events that the system reported missing at `now` (nanoseconds).
    pub fn report_missing(&mut self, missed: u64, now: u64) {
        self.reported_missing += missed;
        self.reported_at = now;
    }

    /// The counts without the bit map; counting cannot continue from them.
    #[must_use]
    pub fn summary(&self) -> Self {
        Self { seen: Vec::new(), ..*self }
    }

    /// The first number that a receiver must account for if it was not a member from the start: the
    /// lowest one delivered, less the events reported missing before it.
    #[must_use]
    pub fn first_expected(&self) -> u64 {
        self.lowest.saturating_sub(self.reported_before_first).max(1)
    }

    /// Number of events of `first..=last` that were neither delivered nor reported missing. All
    /// delivered numbers must be in that range.
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
    fn events_in_order_count_as_delivered_only() {
        let tally = tally(&[1, 2, 3]);
        assert_eq!((tally.delivered, tally.duplicates, tally.out_of_order), (3, 0, 0));
        assert_eq!((tally.lowest, tally.highest), (1, 3));
        assert_eq!(tally.silent(1, 3), 0);
    }

    #[test]
    fn a_repeated_event_counts_as_duplicate_and_not_as_delivered() {
        let tally = tally(&[1, 2, 2, 1]);
        assert_eq!((tally.delivered, tally.duplicates, tally.out_of_order), (2, 2, 0));
    }

    #[test]
    fn an_event_after_a_later_one_is_out_of_order() {
        let tally = tally(&[1, 3, 2, 4]);
        assert_eq!((tally.delivered, tally.duplicates, tally.out_of_order), (4, 0, 1));
        assert_eq!(tally.silent(1, 4), 0);
    }

    #[test]
    fn an_event_neither_delivered_nor_reported_is_a_silent_loss() {
        let mut tally = tally(&[1, 2, 6]);
        assert_eq!(tally.silent(1, 8), 5);
        tally.report_missing(3, 9);
        assert_eq!((tally.silent(1, 6), tally.silent(1, 8), tally.reported_at), (0, 2, 9));
    }

    #[test]
    fn a_late_member_accounts_from_its_first_event_or_the_gap_before_it() {
        let mut tally = Tally::default();
        tally.report_missing(4, 0);
        tally.deliver(100);
        tally.report_missing(1, 0);
        tally.deliver(102);
        assert_eq!(tally.first_expected(), 96);
        assert_eq!(tally.silent(tally.first_expected(), 102), 0);
    }

    #[test]
    fn numbers_beyond_the_maximum_count_and_take_no_memory() {
        let tally = tally(&[0, MAX_EVENTS + 1, u64::MAX]);
        assert_eq!((tally.delivered, tally.out_of_order, tally.seen.len()), (0, 3, 0));
    }
}
