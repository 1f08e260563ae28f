//! The anti-replay window of numbered messages.

/// Words in the window; the newest is partly filled.
const WORDS: u64 = 17;
/// How far below the highest number the window reaches at least.
const WINDOW: u64 = (WORDS - 1) * 64;

/// An anti-replay window: tells whether a numbered message was seen before. It covers the highest
/// number and 1,023 below it (the anti-replay service of RFC 4303, section 3.4.3, in blocks as in
/// RFC 6479).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ReplayWindow {
    highest: u64,
    /// Bit i of word w: number 64 b + i was seen, where b is the latest block stored in the word.
    seen: [u64; WORDS as usize],
}

impl ReplayWindow {
    /// Notes a number; returns `false` if it was seen before or is too old to tell.
    pub(crate) fn accept(&mut self, number: u64) -> bool {
        if number == 0 || self.highest.saturating_sub(number) >= WINDOW {
            return false;
        }
        let (block, highest) = (number / 64, self.highest / 64);
        if block > highest {
            for block in highest + 1..=block.min(highest + WORDS) {
                self.seen[(block % WORDS) as usize] = 0;
            }
            if block > highest + WORDS {
                self.seen = Default::default();
            }
        }
        self.highest = self.highest.max(number);
        let (word, bit) = (&mut self.seen[(block % WORDS) as usize], 1 << (number % 64));
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_number_is_accepted_once_in_any_order_within_the_window() {
        let mut window = ReplayWindow::default();
        for (number, accepted) in [
            (5, true),
            (5, false),
            (3, true),
            (3, false),
            (1_030, true),
            (6, false), // 1,024 below the highest: too old to tell
            (7, true),
            (7, false),
            (0, false),
            (u64::MAX, true),
            (u64::MAX, false),
            (u64::MAX - 1, true),
        ] {
            assert_eq!(window.accept(number), accepted, "{number}");
        }
    }

    proptest! {
        #[test]
        fn the_window_agrees_with_a_set_of_all_numbers(
            steps in prop::collection::vec(
                prop_oneof![-1_100i64..200, -5i64..5, -100i64..5_000],
                1..400,
            ),
        ) {
            let (mut window, mut seen) = (ReplayWindow::default(), BTreeSet::new());
            let mut highest = 1_u64;
            for step in steps {
                let number = highest.saturating_add_signed(step);
                let highest_seen: u64 = seen.last().copied().unwrap_or(0);
                let is_too_old = number + WINDOW <= highest_seen;
                let is_new = number > 0 && !is_too_old && !seen.contains(&number);
                prop_assert_eq!(window.accept(number), is_new);
                if number > 0 && !is_too_old {
                    seen.insert(number);
                }
                highest = highest.max(number);
            }
        }
    }
}
