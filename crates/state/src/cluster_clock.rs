//! The time of the cluster: that of the middle one of its nodes' clocks, where most agree.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use mailmesh_events::UnixMillis;

use crate::planted::{Fault, planted};

/// How often a peer is asked for its time.
const QUERY_INTERVAL: Duration = Duration::from_secs(10);
/// A question without an answer is asked again after this long.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// An answer that takes longer says nothing.
const MAX_ROUND_TRIP: Duration = Duration::from_secs(2);
/// A reading is replaced by a worse one after this long: clocks drift.
const READING_TTL: Duration = Duration::from_secs(60);

/// How long a reading of a peer that left counts: clocks drift.
const DEPARTED_TTL: Duration = Duration::from_secs(3_600);
/// Most readings kept of peers that left.
const MAX_DEPARTED: usize = 64;

/// Clocks that differ from a time by more than this do not agree with it.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

/// Time that all nodes of a cluster agree on to within a few milliseconds, though the clocks
/// of fewer than half of them are wrong: the median of their wall clocks. Of any even join_number,
/// the mean of the two in the middle.
///
/// The median counts only if more than half of all clocks agree with it, within [`CLOCK_TOLERANCE`].
/// Otherwise, as between two clocks of which one is a day ahead, nobody can tell which is
/// right: a node keeps to its own clock and to those that agree with that, so that no wrong
/// clock ends what a right one keeps.
///
/// Each peer is asked for its time ([Cristian's algorithm][1]): the answer is taken to be of
/// the middle of the round trip, so it is wrong by at most half of that. A node's own clock
/// counts as one among the others, and what it steps does not change what is known of them.
/// Of several lives of one name one clock counts: a node that was just restarted would have two.
/// A node that hears nobody goes on with what those said that it heard last.
///
/// [1]: https://doi.org/10.1007/BF01784024
#[derive(Debug, Clone)]
pub struct ClusterClock<P> {
    peers: BTreeMap<P, PeerClock>,
    /// How many joined.
    joined_count: u64,
    /// Of those that left, one of each name, the latest last. They count while there is nobody else.
    departed: VecDeque<(Box<str>, Reading)>,
}

/// What the clocks of a cluster say together.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClockEstimate<P> {
    /// How many milliseconds to add to this node's wall clock to have the time of the cluster.
    pub correction_ms: i64,
    /// Whether more than half of the clocks, this node's included, agree with that time.
    pub has_majority: bool,
    /// By how many milliseconds the clock of each peer that was asked is ahead of that time.
    pub peers_ahead_ms: Vec<(P, i64)>,
}

#[derive(Debug, Clone)]
struct PeerClock {
    name: Box<str>,
    /// How many had joined before it.
    join_number: u64,
    reading: Option<Reading>,
    query_at: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    /// Milliseconds of its wall clock when our monotonic clock was 0.
    wall_at_zero: i64,
    round_trip: Duration,
    at: Duration,
}

fn millis(time: UnixMillis) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

fn is_within_tolerance(a: i64, b: i64) -> bool {
    u128::from(a.abs_diff(b)) <= CLOCK_TOLERANCE.as_millis()
}

/// The middle of these times; `none` of no times.
fn median(times: &mut [i64], default: i64) -> i64 {
    times.sort_unstable();
    match times {
        [] => default,
        _ => times[(times.len() - 1) / 2].midpoint(times[times.len() / 2]),
    }
}

fn elapsed(at: Duration) -> i64 {
    i64::try_from(at.as_millis()).unwrap_or(i64::MAX)
}

impl<P: Copy + Ord> Default for ClusterClock<P> {
    fn default() -> Self {
        Self { peers: BTreeMap::new(), joined_count: 0, departed: VecDeque::new() }
    }
}

impl<P: Copy + Ord> ClusterClock<P> {
    /// A peer of this name joined: it is asked at once.
    pub fn on_joined(&mut self, peer: P, name: &str, at: Duration) {
        let (name, join_number) = (name.into(), self.joined_count);
        self.joined_count += 1;
        self.peers.insert(peer, PeerClock { name, join_number, reading: None, query_at: at });
    }

    /// A peer left; its clock counts only while there is no other.
    pub fn on_left(&mut self, peer: P) {
        let Some(PeerClock { name, reading: Some(reading), .. }) = self.peers.remove(&peer) else {
            return;
        };
        self.departed.retain(|(left, _)| *left != name);
        self.departed.push_back((name, reading));
        if self.departed.len() > MAX_DEPARTED {
            self.departed.pop_front();
        }
    }

    /// Whom to ask for the time now, `at` on a monotonic clock.
    pub fn due_queries(&mut self, at: Duration) -> Vec<P> {
        let due = self.peers.iter_mut().filter(|(_, peer)| peer.query_at <= at);
        due.map(|(id, peer)| {
            peer.query_at = at + RETRY_AFTER;
            *id
        })
        .collect()
    }

    /// A peer, asked at `asked` on our monotonic clock, says at `at` what its wall clock
    /// says.
    pub fn on_answer(&mut self, peer: P, asked: Duration, theirs: UnixMillis, at: Duration) {
        let Some(peer) = self.peers.get_mut(&peer) else { return };
        let Some(round_trip) = at.checked_sub(asked).filter(|took| *took <= MAX_ROUND_TRIP) else {
            return;
        };
        peer.query_at = at + QUERY_INTERVAL;
        let middle = asked + round_trip / 2;
        let wall_at_zero = millis(theirs).saturating_sub(elapsed(middle));
        let is_better = peer.reading.is_none_or(|kept| {
            // A clock that was set is believed at once.
            let differs = kept.wall_at_zero.abs_diff(wall_at_zero)
                > (kept.round_trip + round_trip).as_millis() as u64;
            differs
                || round_trip <= kept.round_trip * 2
                || at.saturating_sub(kept.at) >= READING_TTL
        });
        if is_better {
            peer.reading = Some(Reading { wall_at_zero, round_trip, at });
        }
        // Whose clock that was, none can tell: it must not count twice.
        self.departed.clear();
    }

    /// What the clocks say together, where this node's wall clock says `own` now.
    #[must_use]
    pub fn estimate(&self, own: UnixMillis, at: Duration) -> ClockEstimate<P> {
        let own = millis(own).saturating_sub(elapsed(at));
        let mut heard: BTreeMap<&str, (u64, Reading)> = BTreeMap::new();
        for peer in self.peers.values() {
            let Some(reading) = peer.reading else { continue };
            let of_name = heard.entry(&peer.name).or_insert((peer.join_number, reading));
            if of_name.0 < peer.join_number {
                *of_name = (peer.join_number, reading);
            }
        }
        let departed = self.departed.iter().filter(|(name, reading)| {
            at.saturating_sub(reading.at) < DEPARTED_TTL && !heard.contains_key(&**name)
        });
        let departed = departed.map(|(_, reading)| *reading);
        let readings = heard.values().map(|(_, reading)| *reading).chain(departed);
        let mut walls_at_zero: Vec<i64> =
            readings.map(|reading| reading.wall_at_zero).chain([own]).collect();
        let agreeing = |walls_at_zero: &[i64], with: i64| -> Vec<i64> {
            walls_at_zero
                .iter()
                .copied()
                .filter(|wall_at_zero| is_within_tolerance(*wall_at_zero, with))
                .collect()
        };
        let all = median(&mut walls_at_zero, own);
        let has_majority = 2 * agreeing(&walls_at_zero, all).len() > walls_at_zero.len();
        let counts = has_majority || planted(Fault::MeanOfTwoClocks);
        let wall_at_zero =
            if counts { all } else { median(&mut agreeing(&walls_at_zero, own), own) };
        let heard =
            self.peers.iter().filter_map(|(id, peer)| Some((*id, peer.reading?.wall_at_zero)));
        let peers_ahead_ms =
            heard.map(|(id, its)| (id, its.saturating_sub(wall_at_zero))).collect();
        let wall_at_zero = if planted(Fault::OwnClock) { own } else { wall_at_zero };
        ClockEstimate {
            correction_ms: wall_at_zero.saturating_sub(own),
            has_majority,
            peers_ahead_ms,
        }
    }

    /// Whether a peer that is there has answered a question: so it hears this node.
    #[must_use]
    pub fn has_reading(&self) -> bool {
        self.peers.values().any(|peer| peer.reading.is_some())
    }

    /// How long a question to a peer and its answer took, and how many milliseconds its wall
    /// clock is ahead of this node's, which says `own` now.
    #[must_use]
    pub fn reading(&self, peer: P, own: UnixMillis, at: Duration) -> Option<(Duration, i64)> {
        let reading = self.peers.get(&peer)?.reading?;
        let own = millis(own).saturating_sub(elapsed(at));
        Some((reading.round_trip, reading.wall_at_zero.saturating_sub(own)))
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
            clock.on_joined(peer, &peer.to_string(), ms(0));
            let theirs = UnixMillis((NOW + round_trip / 2).saturating_add_signed(*ahead));
            clock.on_answer(peer, ms(0), theirs, ms(*round_trip));
        }
        clock
    }

    fn correction(clock: &ClusterClock<usize>, own: UnixMillis, at: Duration) -> i64 {
        clock.estimate(own, at).correction_ms
    }

    const DAY: i64 = 86_400_000;

    #[test]
    fn one_wrong_clock_of_three_says_nothing() {
        let own = UnixMillis(NOW);
        assert_eq!(correction(&ClusterClock::default(), own, ms(0)), 0);
        assert_eq!(correction(&asked(&[(600_000, 2), (0, 2)]), own, ms(0)), 0);
        let wrong = UnixMillis(NOW - 600_000);
        assert_eq!(correction(&asked(&[(0, 2), (4, 2)]), wrong, ms(0)), 600_000);
        assert_eq!(asked(&[(250, 8)]).reading(0, own, ms(0)), Some((ms(8), 250)));
    }

    /// The mean of two clocks counted, so that one wrong clock ended the entries of both.
    #[test]
    fn of_two_clocks_that_differ_each_keeps_its_own_and_neither_is_agreed_upon() {
        let own = UnixMillis(NOW);
        for ahead in [DAY, -DAY, 3_650 * DAY, -(NOW as i64), i64::MAX / 2] {
            let clock = asked(&[(ahead, 2)]);
            let estimate = clock.estimate(own, ms(0));
            assert_eq!((estimate.correction_ms, estimate.has_majority), (0, false));
            assert_eq!(estimate.peers_ahead_ms, [(0, ahead)]);
            // Of four, two and two.
            let estimate = asked(&[(ahead, 2), (ahead + 1, 2), (20, 2)]).estimate(own, ms(0));
            assert_eq!((estimate.correction_ms, estimate.has_majority), (10, false));
            // A third node makes a majority, whichever side it is on.
            assert!(asked(&[(ahead, 2), (5, 2)]).estimate(own, ms(0)).has_majority);
            let estimate = asked(&[(ahead, 2), (ahead, 2)]).estimate(own, ms(0));
            assert_eq!((estimate.correction_ms, estimate.has_majority), (ahead, true));
        }
        // Two that hardly differ meet in the middle.
        let estimate = asked(&[(8_000, 2)]).estimate(own, ms(0));
        assert_eq!((estimate.correction_ms, estimate.has_majority), (4_000, true));
    }

    #[test]
    fn a_peer_is_asked_until_it_answers_then_every_ten_seconds_and_a_slow_answer_counts_little() {
        let mut clock = ClusterClock::default();
        clock.on_joined(0, "a", ms(0));
        assert_eq!(clock.due_queries(ms(0)), [0]);
        assert_eq!(clock.due_queries(ms(999)), [0; 0]);
        assert_eq!(clock.due_queries(ms(1_000)), [0]);
        clock.on_answer(0, ms(1_000), UnixMillis(NOW + 1_001), ms(1_002));
        assert_eq!(clock.due_queries(ms(11_001)), [0; 0]);
        assert_eq!(clock.due_queries(ms(11_002)), [0]);
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
        assert_eq!(correction(&clock, UnixMillis(NOW + 20_000), ms(20_000)), 29_997);
    }

    #[test]
    fn who_hears_nobody_keeps_the_time_for_a_while_and_not_once_it_hears_somebody() {
        let mut clock = asked(&[(600_000, 2), (600_004, 2), (600_002, 2)]);
        let own = |at| UnixMillis(NOW + at);
        for left in 0..3 {
            assert!((600_000..=600_004).contains(&correction(&clock, own(5_000), ms(5_000))));
            clock.on_left(left);
        }
        assert_eq!(correction(&clock, own(3_599_000), ms(3_599_000)), 600_001);
        assert_eq!(correction(&clock, own(3_601_000), ms(3_601_000)), 0);
        clock.on_joined(9, "z", ms(6_000));
        clock.on_answer(9, ms(6_000), UnixMillis(NOW + 6_001), ms(6_002));
        assert_eq!(correction(&clock, own(6_002), ms(6_002)), 0);
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
            let time = i64::try_from(own.0).unwrap() + correction(&clock, own, ms(0));
            prop_assert!((time - NOW as i64).abs() <= 51, "{time}");
        }
    }

    #[test]
    fn two_lives_of_one_name_are_one_clock() {
        let (mut clock, own) = (ClusterClock::default(), UnixMillis(NOW));
        let wrong = UnixMillis(NOW + 5_000_000);
        clock.on_joined(1, "b", ms(0));
        clock.on_answer(1, ms(0), wrong, ms(0));
        assert!(!clock.estimate(own, ms(0)).has_majority);
        // Its next life, before the end of the last is known.
        clock.on_joined(2, "b", ms(0));
        assert_eq!(clock.estimate(own, ms(0)).correction_ms, 0, "the last life is its clock still");
        clock.on_answer(2, ms(0), wrong, ms(0));
        assert_eq!(clock.estimate(own, ms(0)).correction_ms, 0);
        clock.on_left(1);
        assert_eq!(clock.estimate(own, ms(0)).correction_ms, 0);
        clock.on_left(2);
        assert_eq!(clock.estimate(own, ms(0)).correction_ms, 0);
        clock.on_joined(3, "c", ms(0));
        clock.on_answer(3, ms(0), own, ms(0));
        let estimate = clock.estimate(own, ms(0));
        assert_eq!(
            (estimate.correction_ms, estimate.has_majority, estimate.peers_ahead_ms.len()),
            (0, true, 1)
        );
    }
}
