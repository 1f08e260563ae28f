//! The time of the cluster: what the clocks of its nodes say in the middle.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use mailmesh_events::UnixMillis;

/// How often a peer is asked for its time.
const INTERVAL: Duration = Duration::from_secs(10);
/// A question without an answer is asked again after this long.
const RETRY: Duration = Duration::from_secs(1);
/// An answer that takes longer says nothing.
const LONGEST: Duration = Duration::from_secs(2);
/// A reading is replaced by a worse one after this long: clocks drift.
const KEPT: Duration = Duration::from_secs(60);

/// How long a reading of a peer that left counts: clocks drift.
const LEFT_COUNTS: Duration = Duration::from_secs(3_600);
/// Most readings kept of peers that left.
const MOST_LEFT: usize = 64;

/// Time that all nodes of a cluster agree on to within a few milliseconds, though the clocks
/// of fewer than half of them are wrong: the median of their wall clocks. Of two nodes, and
/// of any even number, the mean of the two in the middle.
///
/// Each peer is asked for its time ([Cristian's algorithm][1]): the answer is taken to be of
/// the middle of the round trip, so it is wrong by at most half of that. A node's own clock
/// counts as one among the others, and what it steps does not change what is known of them.
/// A node that hears nobody goes on with what those said that it heard last.
///
/// [1]: https://doi.org/10.1007/BF01784024
#[derive(Debug, Clone)]
pub struct ClusterClock<P> {
    peers: BTreeMap<P, Peer>,
    /// Of those that left, the latest last. They count while there is nobody else.
    left: VecDeque<Reading>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Peer {
    reading: Option<Reading>,
    ask_at: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    /// Milliseconds of its wall clock when our monotonic clock was 0.
    zero: i64,
    round_trip: Duration,
    at: Duration,
}

fn millis(time: UnixMillis) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

fn elapsed(at: Duration) -> i64 {
    i64::try_from(at.as_millis()).unwrap_or(i64::MAX)
}

impl<P: Copy + Ord> Default for ClusterClock<P> {
    fn default() -> Self {
        Self { peers: BTreeMap::new(), left: VecDeque::new() }
    }
}

impl<P: Copy + Ord> ClusterClock<P> {
    /// A peer joined: it is asked at once.
    pub fn on_joined(&mut self, peer: P, at: Duration) {
        self.peers.insert(peer, Peer { reading: None, ask_at: at });
    }

    /// A peer left; its clock counts only while there is no other.
    pub fn on_left(&mut self, peer: P) {
        let Some(reading) = self.peers.remove(&peer).and_then(|peer| peer.reading) else { return };
        self.left.push_back(reading);
        if self.left.len() > MOST_LEFT {
            self.left.pop_front();
        }
    }

    /// Whom to ask for the time now, `at` on a monotonic clock.
    pub fn due(&mut self, at: Duration) -> Vec<P> {
        let due = self.peers.iter_mut().filter(|(_, peer)| peer.ask_at <= at);
        due.map(|(who, peer)| {
            peer.ask_at = at + RETRY;
            *who
        })
        .collect()
    }

    /// A peer, asked at `asked` on our monotonic clock, says at `at` what its wall clock
    /// says.
    pub fn on_answer(&mut self, peer: P, asked: Duration, theirs: UnixMillis, at: Duration) {
        let Some(peer) = self.peers.get_mut(&peer) else { return };
        let Some(round_trip) = at.checked_sub(asked).filter(|took| *took <= LONGEST) else {
            return;
        };
        peer.ask_at = at + INTERVAL;
        let middle = asked + round_trip / 2;
        let zero = millis(theirs).saturating_sub(elapsed(middle));
        let is_better = peer.reading.is_none_or(|kept| {
            // A clock that was set is believed at once.
            let differs =
                kept.zero.abs_diff(zero) > (kept.round_trip + round_trip).as_millis() as u64;
            differs || round_trip <= kept.round_trip * 2 || at.saturating_sub(kept.at) >= KEPT
        });
        if is_better {
            peer.reading = Some(Reading { zero, round_trip, at });
        }
        // Whose clock that was, none can tell: it must not count twice.
        self.left.clear();
    }

    /// How many milliseconds to add to this node's wall clock, which says `own` now, to
    /// have the time of the cluster.
    #[must_use]
    pub fn correction(&self, own: UnixMillis, at: Duration) -> i64 {
        let own = millis(own).saturating_sub(elapsed(at));
        let heard = self.peers.values().filter_map(|peer| peer.reading);
        let is_late = |reading: &&Reading| at.saturating_sub(reading.at) < LEFT_COUNTS;
        let readings = heard.chain(self.left.iter().filter(is_late).copied());
        let mut zeros: Vec<i64> = readings.map(|reading| reading.zero).chain([own]).collect();
        zeros.sort_unstable();
        let (low, high) = (zeros[(zeros.len() - 1) / 2], zeros[zeros.len() / 2]);
        low.midpoint(high).saturating_sub(own)
    }

    /// Whether a peer has said what its clock says.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.peers.values().any(|peer| peer.reading.is_some())
    }

    /// How long a question to a peer and its answer took, and how many milliseconds its wall
    /// clock is ahead of this node's, which says `own` now.
    #[must_use]
    pub fn reading(&self, peer: P, own: UnixMillis, at: Duration) -> Option<(Duration, i64)> {
        let reading = self.peers.get(&peer)?.reading?;
        let own = millis(own).saturating_sub(elapsed(at));
        Some((reading.round_trip, reading.zero.saturating_sub(own)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Asks each of these clocks, which are so far ahead, over round trips of so long.
    fn asked(clocks: &[(i64, u64)]) -> ClusterClock<usize> {
        let mut clock = ClusterClock::default();
        for (peer, (ahead, round_trip)) in clocks.iter().enumerate() {
            clock.on_joined(peer, ms(0));
            let theirs = UnixMillis((NOW + round_trip / 2).saturating_add_signed(*ahead));
            clock.on_answer(peer, ms(0), theirs, ms(*round_trip));
        }
        clock
    }

    #[test]
    fn one_wrong_clock_of_three_says_nothing_and_two_meet_in_the_middle() {
        let own = UnixMillis(NOW);
        assert_eq!(ClusterClock::<usize>::default().correction(own, ms(0)), 0);
        assert_eq!(asked(&[(600_000, 2)]).correction(own, ms(0)), 300_000);
        assert_eq!(asked(&[(600_000, 2), (0, 2)]).correction(own, ms(0)), 0);
        let wrong = UnixMillis(NOW - 600_000);
        assert_eq!(asked(&[(0, 2), (4, 2)]).correction(wrong, ms(0)), 600_000);
        assert_eq!(asked(&[(250, 8)]).reading(0, own, ms(0)), Some((ms(8), 250)));
    }

    #[test]
    fn a_peer_is_asked_until_it_answers_then_every_ten_seconds_and_a_slow_answer_counts_little() {
        let mut clock = ClusterClock::default();
        clock.on_joined(0, ms(0));
        assert_eq!(clock.due(ms(0)), [0]);
        assert_eq!(clock.due(ms(999)), [0; 0]);
        assert_eq!(clock.due(ms(1_000)), [0]);
        clock.on_answer(0, ms(1_000), UnixMillis(NOW + 1_001), ms(1_002));
        assert_eq!(clock.due(ms(11_001)), [0; 0]);
        assert_eq!(clock.due(ms(11_002)), [0]);
        let mut clock = asked(&[(0, 2)]);
        let offset =
            |clock: &ClusterClock<usize>| clock.reading(0, UnixMillis(NOW), ms(0)).unwrap().1;
        // 300 ms, all of it on the way there: the answer seems to be of 150 ms before.
        clock.on_answer(0, ms(10_000), UnixMillis(NOW + 10_300), ms(10_300));
        assert_eq!(offset(&clock), 0);
        clock.on_answer(0, ms(10_000), UnixMillis(NOW + 99_000), ms(12_001));
        assert_eq!(offset(&clock), 0, "it took too long");
        clock.on_answer(0, ms(20_000), UnixMillis(NOW + 80_000), ms(20_010));
        assert_eq!(offset(&clock), 59_995, "its clock was set");
        assert_eq!(clock.correction(UnixMillis(NOW + 20_000), ms(20_000)), 29_997);
    }

    #[test]
    fn who_hears_nobody_keeps_the_time_for_a_while_and_not_once_it_hears_somebody() {
        let mut clock = asked(&[(600_000, 2), (600_004, 2), (600_002, 2)]);
        let own = |at| UnixMillis(NOW + at);
        for left in 0..3 {
            assert!((600_000..=600_004).contains(&clock.correction(own(5_000), ms(5_000))));
            clock.on_left(left);
        }
        assert_eq!(clock.correction(own(3_599_000), ms(3_599_000)), 600_001);
        assert_eq!(clock.correction(own(3_601_000), ms(3_601_000)), 0);
        clock.on_joined(9, ms(6_000));
        clock.on_answer(9, ms(6_000), UnixMillis(NOW + 6_001), ms(6_002));
        assert_eq!(clock.correction(own(6_002), ms(6_002)), 0);
    }

    proptest! {
        #[test]
        fn fewer_than_half_wrong_clocks_move_it_by_no_more_than_the_right_ones_differ(
            right in prop::collection::vec((-50_i64..=50, 0_u64..100), 3..12),
            wrong in prop::collection::vec((-10_000_000_i64..10_000_000, 0_u64..100), 0..12),
        ) {
            let wrong = &wrong[..wrong.len().min(right.len() - 1)];
            // The first is our own.
            let (own, right) = right.split_first().unwrap();
            let clock = asked(&[right, wrong].concat());
            let own = UnixMillis(NOW.saturating_add_signed(own.0));
            let time = i64::try_from(own.0).unwrap() + clock.correction(own, ms(0));
            prop_assert!((time - NOW as i64).abs() <= 51, "{time}");
        }
    }
}
