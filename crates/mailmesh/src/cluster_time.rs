//! The cluster time as this node knows it, and the alarms about wrong clocks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use mailmesh_delivery::{Incarnation, NodeName, PeerInfo};
use mailmesh_events::UnixMillis;
use mailmesh_state::{ClockEstimate, ClockReading, ClusterClock, PeerClockOffset};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::alarm::{Alarm, AlarmChange};
use crate::clock::{Stopwatch, WallClock};

/// A clock that differs by more than this raises an alarm. The alarm ends below half of this, so
/// that a clock at the threshold does not alternate.
const ALARM_THRESHOLD_MS: u64 = 5_000;
/// A larger step of the cluster time may be a mistake that is corrected soon.
const STEP_THRESHOLD: Duration = Duration::from_secs(10);
/// After such a step, expired entries are kept this long, so that a correction can revive them.
const SWEEP_PAUSE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct ClusterTime {
    wall: WallClock,
    stopwatch: Stopwatch,
    /// Start of the node.
    start: Instant,
    /// Milliseconds to add to the wall clock to get cluster time.
    correction: AtomicI64,
    is_agreed: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    clocks: ClusterClock<Incarnation>,
    alarms: Alarms,
    /// The cluster time at the last adjustment, and the stopwatch reading of that moment.
    last: (UnixMillis, Duration),
    sweep_after: Duration,
}

#[derive(Debug, Default)]
struct Alarms {
    own: Alarm,
    no_majority: Alarm,
    /// Alarms about the clocks of members.
    peers: BTreeMap<Incarnation, Alarm>,
}

impl ClusterTime {
    pub(crate) fn new(wall: WallClock) -> Self {
        let stopwatch = wall.stopwatch();
        let (correction, is_agreed) = (AtomicI64::new(0), AtomicBool::new(true));
        let state = Mutex::new(State {
            clocks: ClusterClock::default(),
            alarms: Alarms::default(),
            last: (wall.now(), stopwatch.elapsed()),
            sweep_after: Duration::ZERO,
        });
        Self { wall, stopwatch, start: Instant::now(), correction, is_agreed, state }
    }

    /// Cluster time, used for stamps and expiry.
    pub(crate) fn now(&self) -> UnixMillis {
        UnixMillis(self.wall.now().0.saturating_add_signed(self.correction()))
    }

    /// Time since the node started, without the time in which the machine slept.
    pub(crate) fn uptime(&self) -> Duration {
        self.start.elapsed()
    }

    /// Converts an uptime to an instant.
    pub(crate) fn instant(&self, uptime: Duration) -> Instant {
        self.start + uptime
    }

    /// Cluster time at which this node started.
    pub(crate) fn started(&self) -> UnixMillis {
        UnixMillis(self.now().0.saturating_sub(millis(self.uptime())))
    }

    /// Whether a member has answered a clock query, and most clocks agree on the time.
    pub(crate) fn is_known(&self) -> bool {
        self.has_an_answer() && self.is_agreed()
    }

    /// Whether some peer started earlier than this node by more than `by`. Each peer reports its
    /// start by its own clock, so the measured clock difference is subtracted.
    pub(crate) fn has_older(&self, peers: &[(PeerInfo, Duration)], by: Duration) -> bool {
        let started = self.wall().0.saturating_sub(millis(self.uptime()));
        peers.iter().any(|(peer, _)| {
            let ahead = self.reading(peer.incarnation).map_or(0, |reading| reading.ahead_ms);
            let theirs = peer.started_ms.saturating_add_signed(ahead.saturating_neg());
            UnixMillis(theirs).plus(by).0 < started
        })
    }

    /// Time since the node started, including the time in which the machine slept.
    pub(crate) fn elapsed(&self) -> Duration {
        self.stopwatch.elapsed()
    }

    /// Reading of this node's own clock, without correction.
    pub(crate) fn wall(&self) -> UnixMillis {
        self.wall.now()
    }

    pub(crate) fn correction(&self) -> i64 {
        self.correction.load(Ordering::Relaxed)
    }

    /// Whether more than half of the clocks agree with the cluster time.
    pub(crate) fn is_agreed(&self) -> bool {
        self.is_agreed.load(Ordering::Relaxed)
    }

    pub(crate) fn on_joined(&self, peer: Incarnation, name: &NodeName) {
        self.state.lock().clocks.on_joined(peer, name.as_str(), self.stopwatch.elapsed());
    }

    pub(crate) fn on_left(&self, peer: Incarnation) {
        let mut state = self.state.lock();
        state.clocks.on_left(peer);
        state.alarms.peers.remove(&peer);
    }

    /// The peers to query now, and the mark that each answer returns.
    pub(crate) fn due_queries(&self) -> (Vec<Incarnation>, u64) {
        let at = self.stopwatch.elapsed();
        (
            self.state.lock().clocks.due_queries(at),
            u64::try_from(at.as_micros()).unwrap_or(u64::MAX),
        )
    }

    pub(crate) fn on_answer(&self, peer: Incarnation, mark: u64, theirs: UnixMillis) {
        let (asked, at) = (Duration::from_micros(mark), self.stopwatch.elapsed());
        self.state.lock().clocks.on_answer(peer, asked, theirs, at);
    }

    /// Whether a member has answered a clock query, which shows that it can open this node's
    /// frames.
    pub(crate) fn has_an_answer(&self) -> bool {
        self.state.lock().clocks.has_reading()
    }

    /// The reading of a peer's clock; `None` if the peer has not answered.
    pub(crate) fn reading(&self, peer: Incarnation) -> Option<ClockReading> {
        self.state.lock().clocks.reading(peer, self.wall.now(), self.stopwatch.elapsed())
    }

    /// Recomputes the cluster time from the known clocks. `members` gives names for the alarms.
    pub(crate) fn adjust(&self, members: impl FnOnce() -> BTreeMap<Incarnation, NodeName>) {
        let mut state = self.state.lock();
        let at = self.stopwatch.elapsed();
        let estimate = state.clocks.estimate(self.wall.now(), at);
        self.correction.store(estimate.correction_ms, Ordering::Relaxed);
        self.is_agreed.store(estimate.has_majority, Ordering::Relaxed);
        let now = self.now();
        let (before, then) = std::mem::replace(&mut state.last, (now, at));
        if now > before.plus(at.saturating_sub(then) + STEP_THRESHOLD) {
            state.sweep_after = at + SWEEP_PAUSE;
        }
        state.alarms.update(&estimate, at, members);
    }

    /// Whether expired entries may be dropped: not within a minute after a step of the time.
    pub(crate) fn may_sweep(&self) -> bool {
        self.stopwatch.elapsed() >= self.state.lock().sweep_after
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Alarms {
    fn update(
        &mut self,
        estimate: &ClockEstimate<Incarnation>,
        at: Duration,
        members: impl FnOnce() -> BTreeMap<Incarnation, NodeName>,
    ) {
        let is_wrong = |alarm: &Alarm, ahead: i64| {
            ahead.unsigned_abs()
                > if alarm.is_raised() { ALARM_THRESHOLD_MS / 2 } else { ALARM_THRESHOLD_MS }
        };
        let own = estimate.has_majority && is_wrong(&self.own, estimate.correction_ms);
        match self.own.update(own, at) {
            Some(AlarmChange::Raised) => tracing::error!(
                "this node's clock is {} the clocks of the other nodes, whose time is used; set it \
                 with NTP",
                describe_offset(-estimate.correction_ms, "ahead of", "behind")
            ),
            Some(AlarmChange::Ended) => tracing::info!(
                "this node's clock no longer differs from the other clocks, as far as known"
            ),
            None => {}
        }
        let mut members = Some(members);
        let mut names = None;
        let mut name = |peer: &Incarnation| {
            let names =
                names.get_or_insert_with(|| members.take().map(|m| m()).unwrap_or_default());
            names.get(peer).map_or("?".to_owned(), ToString::to_string)
        };
        match self.no_majority.update(!estimate.has_majority, at) {
            Some(AlarmChange::Raised) => {
                let apart = estimate
                    .peers
                    .iter()
                    .filter(|offset| offset.ahead_ms.unsigned_abs() > ALARM_THRESHOLD_MS);
                let apart = apart.take(8).map(|offset| (name(&offset.peer), offset.ahead_ms));
                tracing::error!(
                    "clocks differ, and no majority shows which clock is right: compared with this \
                     node, {}. \
                     Each node uses its own clock until then; set the wrong clock with NTP",
                    describe_differences(apart)
                );
            }
            Some(AlarmChange::Ended) => tracing::info!("more than half of the clocks agree again"),
            None => {}
        }
        // Without a majority it is unknown whose clock is wrong.
        for PeerClockOffset { peer, ahead_ms: ms, .. } in
            estimate.peers.iter().filter(|_| estimate.has_majority)
        {
            let alarm = self.peers.entry(*peer).or_default();
            match alarm.update(is_wrong(alarm, *ms), at) {
                Some(AlarmChange::Raised) => tracing::warn!(
                    name = name(peer),
                    "the clock of a node is {} cluster time; set it with NTP",
                    describe_offset(*ms, "ahead of", "behind")
                ),
                Some(AlarmChange::Ended) => {
                    tracing::info!(name = name(peer), "the clock of a node is right again");
                }
                None => {}
            }
        }
    }
}

/// Names the nodes whose clocks differ. A reading outlives its member for a while, so the list may
/// be empty.
fn describe_differences(clocks: impl Iterator<Item = (String, i64)>) -> String {
    let words = |(name, ms)| format!("{name} is {}", describe_offset(ms, "ahead", "behind"));
    let words: Vec<String> = clocks.map(words).collect();
    if words.is_empty() { "that of a node that left".to_owned() } else { words.join(", ") }
}

/// Formats an offset with a suitable unit and its direction.
fn describe_offset(ms: i64, ahead: &str, behind: &str) -> String {
    let seconds = ms.unsigned_abs() as f64 / 1_000.0;
    let (amount, unit) = match seconds {
        s if s < 120.0 => (s, "s"),
        s if s < 7_200.0 => (s / 60.0, "min"),
        s if s < 172_800.0 => (s / 3_600.0, "h"),
        s => (s / 86_400.0, "days"),
    };
    format!("{amount:.1} {unit} {}", if ms < 0 { behind } else { ahead })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_formatted_with_a_suitable_unit() {
        let text = |ms| describe_offset(ms, "ahead", "behind");
        assert_eq!(text(6_040), "6.0 s ahead");
        assert_eq!(text(-600_000), "10.0 min behind");
        assert_eq!(text(86_400_000), "24.0 h ahead");
        assert_eq!(text(-315_576_000_000), "3652.5 days behind");
        assert_eq!(text(i64::MIN), "106751991167.3 days behind");
    }

    #[test]
    fn differing_clocks_are_named_and_a_missing_name_means_a_node_that_left() {
        let named = [("mx2".to_owned(), 6_040), ("mx3".to_owned(), -7_000)];
        assert_eq!(
            describe_differences(named.into_iter()),
            "mx2 is 6.0 s ahead, mx3 is 7.0 s behind"
        );
        assert_eq!(describe_differences(std::iter::empty()), "that of a node that left");
    }
}
