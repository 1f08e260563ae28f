//! When the operator is warned that no other node is linked. No I/O; time is passed in.

use std::time::Duration;

use tokio::time::Instant;

/// How long no node is linked before the warning, and the pause between two warnings.
const HOLDS: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_secs(60);

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// For so long no node has been linked.
    Unreached(Duration),
    /// One is, after the operator was told that none was.
    Reached,
    /// None is, and there is no reason left to expect one, after the operator was told.
    NotExpected,
}

#[derive(Debug, Default)]
pub(crate) struct Unreached {
    since: Option<Instant>,
    said: Option<Instant>,
}

impl Unreached {
    /// `is_expected`: an endpoint was dialed in vain, or a connection with another mode was refused
    /// lately.
    pub(crate) fn look(
        &mut self,
        now: Instant,
        is_linked: bool,
        is_expected: bool,
    ) -> Option<Notice> {
        if is_linked {
            self.since = None;
            return self.said.take().map(|_| Notice::Reached);
        }
        let lasted = now.duration_since(*self.since.get_or_insert(now));
        if !is_expected && self.said.take().is_some() {
            return Some(Notice::NotExpected);
        }
        let is_due = self.said.is_none_or(|said| now.duration_since(said) >= AGAIN);
        if !is_expected || lasted < HOLDS || !is_due {
            return None;
        }
        self.said = Some(now);
        Some(Notice::Unreached(lasted))
    }
}

/// Whether a counter has grown in the last minute.
#[derive(Debug, Default)]
pub(super) struct RecentGrowth {
    count: u64,
    grew: Option<Instant>,
}

impl RecentGrowth {
    pub(super) fn look(&mut self, now: Instant, count: u64) -> bool {
        if std::mem::replace(&mut self.count, count) != count {
            self.grew = Some(now);
        }
        self.grew.is_some_and(|grew| now.duration_since(grew) < AGAIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_after_ten_seconds_then_once_a_minute_and_so_is_its_end() {
        let begin = Instant::now();
        let mut unreached = Unreached::default();
        let mut said = Vec::new();
        for second in 0..200 {
            let now = begin + Duration::from_secs(second);
            let say = unreached.look(now, second == 150, true);
            said.extend(say.map(|say| (second, say)));
        }
        let for_s = |second| Notice::Unreached(Duration::from_secs(second));
        let expected = [
            (10, for_s(10)),
            (70, for_s(70)),
            (130, for_s(130)),
            (150, Notice::Reached),
            (161, for_s(10)),
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn a_warning_ends_too_when_its_reasons_are_gone() {
        let begin = Instant::now();
        let mut unreached = Unreached::default();
        let mut looks = |n| unreached.look(begin + Duration::from_secs(n), false, n < 20);
        let said: Vec<_> = (0..200).filter_map(|n| looks(n).map(|said| (n, said))).collect();
        let raised = (10, Notice::Unreached(Duration::from_secs(10)));
        assert_eq!(said, [raised, (20, Notice::NotExpected)]);
    }

    #[test]
    fn a_count_that_grew_a_minute_ago_is_past() {
        let begin = Instant::now();
        let mut recent = RecentGrowth::default();
        let looks = [(0, 0), (1, 1), (60, 1), (61, 1), (100, 2), (101, 2), (200, 2)];
        let grew =
            looks.map(|(second, count)| recent.look(begin + Duration::from_secs(second), count));
        assert_eq!(grew, [false, true, true, false, true, true, false]);
    }

    #[test]
    fn a_node_that_expects_nobody_says_nothing() {
        let begin = Instant::now();
        let mut unreached = Unreached::default();
        let says = |n| unreached.look(begin + Duration::from_secs(n), false, false);
        assert!((0..200).map(says).all(|say| say.is_none()));
    }
}
