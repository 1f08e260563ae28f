//! Cluster time: the median of the nodes' wall clocks, if a majority of them agrees.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use mailmesh_events::UnixMillis;

use crate::planted::{Fault, planted};

/// Interval between queries to a peer for its time.
const QUERY_INTERVAL: Duration = Duration::from_secs(10);
/// A query without an answer is repeated after this time.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// An answer with a longer round trip is ignored as too imprecise.
const MAX_ROUND_TRIP: Duration = Duration::from_secs(2);
/// After this time a reading is replaced even by a less precise one: clocks drift.
const READING_TTL: Duration = Duration::from_secs(60);

/// How long the reading of a departed peer counts: clocks drift.
const DEPARTED_TTL: Duration = Duration::from_secs(3_600);
/// Maximum number of readings of departed peers.
const MAX_DEPARTED: usize = 64;

/// Two clocks agree if they differ by at most this.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

/// Cluster time: the median of the wall clocks of all nodes, or for an even number of clocks the
/// mean of the two in the middle. All nodes agree on it to within a few milliseconds, as long as
/// fewer than half of the clocks are wrong.
///
/// The median is used only if more than half of all clocks agree with it, within
/// [`CLOCK_TOLERANCE`]. Without such a majority, as between two clocks of which one is a day ahead,
/// no node can know which clock is right. A node then uses its own clock and those that agree with
/// it, so that a wrong clock does not expire the entries of a node whose clock is right.
///
/// Each peer is queried for its time ([Cristian's algorithm][1]). The answer is taken as the peer's
/// time in the middle of the round trip, so the error is at most half the round trip. A node's own
/// clock counts like the others; a step of it does not change what is known of the others. Of
/// several incarnations with the same name, only one clock counts; otherwise a restarted node would
/// count twice. A node without peers continues with the last readings of departed peers.
///
/// [1]: https://doi.org/10.1007/BF01784024
#[derive(Debug, Clone)]
pub struct ClusterClock<P> {
    peers: BTreeMap<P, PeerClock>,
    /// Number of peers that have joined so far.
    joined_count: u64,
    /// The last readings of departed peers, one per name, the latest departure last. They count
    /// until a present peer answers.
    departed: VecDeque<(Box<str>, Reading)>,
}

/// The result of comparing the clocks of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClockEstimate<P> {
    /// Milliseconds to add to this node's wall clock to get cluster time.
    pub correction_ms: i64,
    /// Whether more than half of the clocks, this node's included, agree with cluster time.
    pub has_majority: bool,
    /// The clock of each peer that has answered.
    pub peers: Vec<PeerClockOffset<P>>,
}

/// The clock of a peer compared with cluster time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct PeerClockOffset<P> {
    /// The peer.
    pub peer: P,
    /// By how many milliseconds its wall clock is ahead of cluster time; negative if it is behind.
    pub ahead_ms: i64,
}

/// The last answer of a peer, compared with this node's wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ClockReading {
    /// The round trip of query and answer. The reading is off by at most half of it.
    pub round_trip: Duration,
    /// By how many milliseconds the peer's wall clock is ahead of this node's; negative if it is
    /// behind.
    pub ahead_ms: i64,
}

#[derive(Debug, Clone)]
struct PeerClock {
    name: Box<str>,
    /// Number of peers that had joined before this one; orders incarnations of one name.
    join_number: u64,
    reading: Option<Reading>,
    query_at: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    /// Milliseconds of Unix time on the peer's wall clock when this node's monotonic clock was 0.
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

/// The median of these times, or `default` if there are none.
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
    /// Adds a peer with this name. It is queried at once.
    pub fn on_joined(&mut self, peer: P, name: &str, at: Duration) {
        let (name, join_number) = (name.into(), self.joined_count);
        self.joined_count += 1;
        self.peers.insert(peer, PeerClock { name, join_number, reading: None, query_at: at });
    }

    /// Removes a peer. Its last reading counts only until a present peer answers.
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

    /// The peers to query now, at `at` on a monotonic clock.
    pub fn due_queries(&mut self, at: Duration) -> Vec<P> {
        let due = self.peers.iter_mut().filter(|(_, peer)| peer.query_at <= at);
        due.map(|(id, peer)| {
            peer.query_at = at + RETRY_AFTER;
            *id
        })
        .collect()
    }

    /// Handles an answer to the query sent at `queried_at`, received at `at`, both on this node's
    /// monotonic clock. The peer's wall clock showed `theirs`.
    pub fn on_answer(&mut self, peer: P, queried_at: Duration, theirs: UnixMillis, at: Duration) {
        let Some(peer) = self.peers.get_mut(&peer) else { return };
        let Some(round_trip) = at.checked_sub(queried_at).filter(|took| *took <= MAX_ROUND_TRIP)
        else {
            return;
        };
        peer.query_at = at + QUERY_INTERVAL;
        let middle = queried_at + round_trip / 2;
        let wall_at_zero = millis(theirs).saturating_sub(elapsed(middle));
        let is_better = peer.reading.is_none_or(|kept| {
            // A clock that was set is taken over at once.
            let differs = kept.wall_at_zero.abs_diff(wall_at_zero)
                > (kept.round_trip + round_trip).as_millis() as u64;
            differs
                || round_trip <= kept.round_trip * 2
                || at.saturating_sub(kept.at) >= READING_TTL
        });
        if is_better {
            peer.reading = Some(Reading { wall_at_zero, round_trip, at });
        }
        // The answering peer may be a departed node under a new name, whose clock must not count
        // twice.
        self.departed.clear();
    }

    /// Estimates cluster time, given that this node's wall clock shows `own` at `at`.
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
        let offset = |(peer, peer_wall): (P, i64)| PeerClockOffset {
            peer,
            ahead_ms: peer_wall.saturating_sub(wall_at_zero),
        };
        let peers = heard.map(offset).collect();
        let wall_at_zero = if planted(Fault::OwnClock) { own } else { wall_at_zero };
        ClockEstimate { correction_ms: wall_at_zero.saturating_sub(own), has_majority, peers }
    }

    /// Whether a present peer has answered a query, which proves that it receives from this node.
    #[must_use]
    pub fn has_reading(&self) -> bool {
        self.peers.values().any(|peer| peer.reading.is_some())
    }

    /// The reading of a peer's clock, given that this node's wall clock shows `own` at `at`; `None`
    /// if the peer has not answered.
    #[must_use]
    pub fn reading(&self, peer: P, own: UnixMillis, at: Duration) -> Option<ClockReading> {
        let reading = self.peers.get(&peer)?.reading?;
        let own = millis(own).saturating_sub(elapsed(at));
        let ahead_ms = reading.wall_at_zero.saturating_sub(own);
        Some(ClockReading { round_trip: reading.round_trip, ahead_ms })
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

    /// A cluster clock with an answer from each of these peers: (milliseconds ahead, round trip).
    fn clock_with_answers(clocks: &[(i64, u64)]) -> ClusterClock<usize> {
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
    fn one_wrong_clock_of_three_changes_nothing() {
        let own = UnixMillis(NOW);
        assert_eq!(correction(&ClusterClock::default(), own, ms(0)), 0);
        assert_eq!(correction(&clock_with_answers(&[(600_000, 2), (0, 2)]), own, ms(0)), 0);
        let wrong = UnixMillis(NOW - 600_000);
        assert_eq!(correction(&clock_with_answers(&[(0, 2), (4, 2)]), wrong, ms(0)), 600_000);
        assert_eq!(
            clock_with_answers(&[(250, 8)]).reading(0, own, ms(0)),
            Some(ClockReading { round_trip: ms(8), ahead_ms: 250 })
        );
    }

    /// Regression: the mean of two clocks was used, so one wrong clock expired the entries of both
    /// nodes.
    #[test]
    fn two_nodes_whose_clocks_differ_keep_their_own_time() {
        let own = UnixMillis(NOW);
        for ahead in [DAY, -DAY, 3_650 * DAY, -(NOW as i64), i64::MAX / 2] {
            let clock = clock_with_answers(&[(ahead, 2)]);
            let estimate = clock.estimate(own, ms(0));
            assert_eq!((estimate.correction_ms, estimate.has_majority), (0, false));
            assert_eq!(estimate.peers, [PeerClockOffset { peer: 0, ahead_ms: ahead }]);
            // Four clocks, two against two.
            let estimate =
                clock_with_answers(&[(ahead, 2), (ahead + 1, 2), (20, 2)]).estimate(own, ms(0));
            assert_eq!((estimate.correction_ms, estimate.has_majority), (10, false));
            // A third node makes a majority, whichever side it is on.
            assert!(clock_with_answers(&[(ahead, 2), (5, 2)]).estimate(own, ms(0)).has_majority);
            let estimate = clock_with_answers(&[(ahead, 2), (ahead, 2)]).estimate(own, ms(0));
            assert_eq!((estimate.correction_ms, estimate.has_majority), (ahead, true));
        }
        // Two clocks that hardly differ: the mean of both.
        let estimate = clock_with_answers(&[(8_000, 2)]).estimate(own, ms(0));
        assert_eq!((estimate.correction_ms, estimate.has_majority), (4_000, true));
    }

    #[test]
    fn a_peer_is_queried_until_it_answers_then_every_10_s() {
        let mut clock = ClusterClock::default();
        clock.on_joined(0, "a", ms(0));
        assert_eq!(clock.due_queries(ms(0)), [0]);
        assert_eq!(clock.due_queries(ms(999)), [0; 0]);
        assert_eq!(clock.due_queries(ms(1_000)), [0]);
        clock.on_answer(0, ms(1_000), UnixMillis(NOW + 1_001), ms(1_002));
        assert_eq!(clock.due_queries(ms(11_001)), [0; 0]);
        assert_eq!(clock.due_queries(ms(11_002)), [0]);
        let mut clock = clock_with_answers(&[(0, 2)]);
        let offset = |clock: &ClusterClock<usize>| {
            clock.reading(0, UnixMillis(NOW), ms(0)).unwrap().ahead_ms
        };
        // The whole 300 ms are spent on the way to the peer, so the reading is off by 150 ms.
        clock.on_answer(0, ms(10_000), UnixMillis(NOW + 10_300), ms(10_300));
        assert_eq!(offset(&clock), 0);
        clock.on_answer(0, ms(10_000), UnixMillis(NOW + 99_000), ms(12_001));
        assert_eq!(offset(&clock), 0, "the round trip was too long");
        clock.on_answer(0, ms(20_000), UnixMillis(NOW + 80_000), ms(20_010));
        assert_eq!(offset(&clock), 59_995, "the peer's clock was set");
        assert_eq!(correction(&clock, UnixMillis(NOW + 20_000), ms(20_000)), 29_997);
    }

    #[test]
    fn a_node_without_peers_keeps_cluster_time_for_an_hour() {
        let mut clock = clock_with_answers(&[(600_000, 2), (600_004, 2), (600_002, 2)]);
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
        fn a_minority_of_wrong_clocks_hardly_moves_cluster_time(
            right in prop::collection::vec((-50_i64..=50, 0_u64..100), 3..12),
            wrong in prop::collection::vec((-10_000_000_i64..10_000_000, 0_u64..100), 0..12),
        ) {
            let wrong = &wrong[..wrong.len().min(right.len() - 1)];
            // The first clock is this node's own.
            let (own, right) = right.split_first().unwrap();
            let clock = clock_with_answers(&[right, wrong].concat());
            let own = UnixMillis(NOW.saturating_add_signed(own.0));
            let time = i64::try_from(own.0).unwrap() + correction(&clock, own, ms(0));
            prop_assert!((time - NOW as i64).abs() <= 51, "{time}");
        }
    }

    #[test]
    fn two_incarnations_of_one_name_count_as_one_clock() {
        let (mut clock, own) = (ClusterClock::default(), UnixMillis(NOW));
        let wrong = UnixMillis(NOW + 5_000_000);
        clock.on_joined(1, "b", ms(0));
        clock.on_answer(1, ms(0), wrong, ms(0));
        assert!(!clock.estimate(own, ms(0)).has_majority);
        // The next incarnation joins before the previous one is known to have left.
        clock.on_joined(2, "b", ms(0));
        assert_eq!(
            clock.estimate(own, ms(0)).correction_ms,
            0,
            "the previous incarnation still counts"
        );
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
            (estimate.correction_ms, estimate.has_majority, estimate.peers.len()),
            (0, true, 1)
        );
    }
}
