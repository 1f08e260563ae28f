/// Tells whether a numbered message was seen before: a sliding window of 64
/// numbers below the highest (the anti-replay service of RFC 4303, section 3.4.3).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ReplayWindow {
    highest: u64,
    /// Bit i: `highest - i` was seen.
    seen: u64,
}

impl ReplayWindow {
    /// Notes a number; `false` if it was seen before or is too old to tell.
    pub(crate) fn accept(&mut self, number: u64) -> bool {
        if number > self.highest {
            let ahead = number - self.highest;
            self.seen = if ahead < 64 { self.seen << ahead | 1 } else { 1 };
            self.highest = number;
            return true;
        }
        let behind = self.highest - number;
        if behind >= 64 || self.seen & 1 << behind != 0 || number == 0 {
            return false;
        }
        self.seen |= 1 << behind;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_accepted_once_in_any_order_within_the_window() {
        let mut window = ReplayWindow::default();
        for (number, accepted) in [
            (5, true),
            (5, false),
            (3, true),
            (3, false),
            (70, true),
            (6, false), // 64 behind: too old to tell
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
}
