//! Judges from outside: what was published, what came out.

mod ways;
mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mailmesh_delivery::{Incarnation, Lane, LeaveReason, Node, Output, Reach, Settings, Time};

use crate::plan::{Action, Plan};
use crate::seat::Seat;
use crate::simulation::body;
use ways::Ways;
use window::Windows;

/// Within so much time of the end of a life everybody was told: the failure timeout by a
/// slow clock, and repair of its last words.
const MOURNING: Duration = Duration::from_millis(4_200);
/// The same where the network loses frames.
const LONG_MOURNING: Duration = Duration::from_secs(6);

/// A sender's lane.
type Stream = (Incarnation, Lane);

/// The promise was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What happened.
    pub what: String,
    /// The seed of the run.
    pub seed: u64,
    /// When, since the begin of the run.
    pub at: Duration,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "seed {}, after {:?}: {}", self.seed, self.at, self.what)
    }
}

impl std::error::Error for Violation {}

/// A life of a node.
#[derive(Debug, Clone)]
struct Life {
    name: usize,
    began: Time,
    ended: Option<Time>,
}

/// What was published in a stream: per frame its last event, the bytes up to its end,
/// and when.
#[derive(Debug, Clone, Default)]
struct Published {
    last: u64,
    frames: Vec<(u64, u64, Time)>,
}

impl Published {
    fn bytes_up_to(&self, event: u64) -> u64 {
        let index = self.frames.partition_point(|(last, ..)| *last <= event);
        index.checked_sub(1).map_or(0, |index| self.frames[index].1)
    }

    fn time_of(&self, event: u64) -> Option<Time> {
        let index = self.frames.partition_point(|(last, ..)| *last < event);
        self.frames.get(index).map(|(.., at)| *at)
    }
}

/// Per receiver and stream: which event must come next. And what must hold besides.
#[derive(Debug, Clone, Default)]
pub struct Oracle {
    settings: Settings,
    /// Nothing happens that excuses a gap.
    nothing_excuses: bool,
    /// A crashed node's receivers must end with the same events.
    same_last_words: bool,
    /// Nothing happens that excuses that an end is noticed later.
    mourning: Option<Duration>,
    /// Nothing but cuts happens, so that what another passes on comes in time.
    detours_are_short: bool,
    /// What comes from a node is of that moment.
    nothing_is_forged: bool,
    now: Time,
    lives: BTreeMap<Incarnation, Life>,
    published: BTreeMap<Stream, Published>,
    next: BTreeMap<(Incarnation, Stream), u64>,
    gaps: BTreeMap<(Incarnation, Stream), u64>,
    /// When something last came.
    came: BTreeMap<(Incarnation, Stream), Time>,
    joined: BTreeMap<(Incarnation, Incarnation), bool>,
    /// When a node last took in another.
    taken_in: BTreeMap<(Incarnation, Incarnation), Time>,
    /// Who was told that another said goodbye.
    parted: BTreeSet<(Incarnation, Incarnation)>,
    ways: Ways,
    windows: Windows,
}

impl Oracle {
    /// The judge of a plan.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let lossless = plan.faults.loss == 0 && plan.faults.jitter.is_zero();
        let parts = |action: &Action| {
            matches!(action, Action::Crash { .. } | Action::Leave { .. } | Action::Twin { .. })
        };
        let impairs = |action: &Action| {
            matches!(
                action,
                Action::Cut { .. }
                    | Action::Isolate { .. }
                    | Action::Freeze { .. }
                    | Action::Slow { .. }
            )
        };
        let hints = |action: &Action| matches!(action, Action::Hint { .. });
        let twins = |action: &Action| matches!(action, Action::Twin { .. });
        let blocks = |action: &Action| {
            matches!(action, Action::Isolate { .. } | Action::Freeze { .. } | Action::Slow { .. })
        };
        Self {
            settings: plan.settings(),
            mourning: (!plan.has(impairs) && (lossless || !plan.faults.small_bounds))
                .then_some(if lossless { MOURNING } else { LONG_MOURNING }),
            nothing_is_forged: !plan.has(|action| matches!(action, Action::Forge { .. })),
            detours_are_short: lossless
                && !plan.faults.small_bounds
                && !plan.has(parts)
                && !plan.has(blocks),
            nothing_excuses: !plan.faults.small_bounds
                && !plan.has(parts)
                && !plan.has(impairs)
                && (lossless || !plan.has(hints)),
            same_last_words: lossless
                && !plan.faults.small_bounds
                && !plan.has(impairs)
                && !plan.has(twins),
            ..Self::default()
        }
    }

    /// It is that late.
    pub fn time(&mut self, now: Time) {
        self.now = now;
    }

    /// What a node gave out, but what it puts on the bus.
    ///
    /// # Errors
    /// If it breaks the promise.
    pub fn judge(&mut self, at: Incarnation, output: &Output) -> Result<(), String> {
        match output {
            Output::Joined(peer) => self.joined(at, peer.incarnation, peer.awaited_after),
            Output::Left { peer, reason } => self.left(at, peer.incarnation, *reason),
            Output::Deliver { from, lane, first, count, body: content } => {
                if *content != body(*from, *lane, *first, *count) {
                    return Err(format!("{at:?} got other content for {first} of {from:?} {lane}"));
                }
                self.came(at, *from, *lane, *first, (*count).into())
            }
            Output::Gap(gap) => {
                self.came(at, gap.from, gap.lane, gap.first, gap.missed)?;
                self.missed(at, gap.from, gap.lane, gap.missed)
            }
            Output::Conflict(conflict) => self.conflict(at, conflict.elder, conflict.younger),
            Output::Reach { peer, reach } => self.reach(at, *peer, *reach),
            _ => Ok(()),
        }
    }

    /// The number after the last event that a receiver got or was told missing, and how
    /// many it was told missing.
    pub(crate) fn got(&self, at: Incarnation, from: Incarnation, lane: Lane) -> Option<(u64, u64)> {
        let stream = (at, (from, lane));
        let missed = self.gaps.get(&stream).copied().unwrap_or(0);
        self.next.get(&stream).map(|next| (*next, missed))
    }

    /// A life begins.
    pub fn begins(&mut self, life: Incarnation, name: usize) {
        self.lives.insert(life, Life { name, began: self.now, ended: None });
    }

    /// A life ends.
    pub fn ends(&mut self, life: Incarnation) {
        if let Some(life) = self.lives.get_mut(&life) {
            life.ended = Some(self.now);
        }
    }

    /// One place does not hear another until then.
    pub(crate) fn cut(&mut self, from: usize, to: usize, until: Time) {
        self.ways.cut(from, to, until);
    }

    /// A packet comes from a node to another: of its own, or one that it passes on.
    pub fn heard(&mut self, at: Incarnation, from: Incarnation) {
        self.ways.heard(self.now, at, from);
    }

    /// A node says by which way it hears another.
    ///
    /// # Errors
    /// If it does not hear it directly, and the way through another is open.
    pub fn reach(&mut self, at: Incarnation, of: Incarnation, reach: Reach) -> Result<(), String> {
        match self.ways.reach(self.now, (at, of), reach) {
            Some(via)
                if self.nothing_is_forged
                    && self.lives.get(&via).is_some_and(|life| life.ended.is_none()) =>
            {
                Err(format!(
                    "{at:?} says that it hears {of:?} itself, which it heard through {via:?}"
                ))
            }
            _ => Ok(()),
        }
    }

    /// A receiver was told that so many events are missing.
    ///
    /// # Errors
    /// If nothing excuses that.
    pub fn missed(
        &mut self,
        at: Incarnation,
        from: Incarnation,
        lane: Lane,
        count: u64,
    ) -> Result<(), String> {
        *self.gaps.entry((at, (from, lane))).or_default() += count;
        if self.nothing_excuses {
            return Err(format!("{at:?} misses events of {from:?}, though nothing excuses that"));
        }
        Ok(())
    }

    /// A node was told that two live nodes have one name.
    ///
    /// # Errors
    /// If that was never so.
    pub fn conflict(
        &self,
        at: Incarnation,
        one: Incarnation,
        other: Incarnation,
    ) -> Result<(), String> {
        let shown = format!("{at:?} was told that {one:?} and {other:?} have one name");
        let (Some(one), Some(other)) = (self.lives.get(&one), self.lives.get(&other)) else {
            return Err(format!("{shown}; one of them never was"));
        };
        let before = |a: &Life, b: &Life| a.ended.is_some_and(|ended| ended <= b.began);
        if one.name != other.name || before(one, other) || before(other, one) {
            return Err(format!("{shown}, which they never had at one time"));
        }
        Ok(())
    }

    /// What a node keeps is within its bounds.
    ///
    /// # Errors
    /// If it is not.
    pub fn check_bounds(&self, node: &Node) -> Result<(), String> {
        let (sent, received) = (node.replay_bytes(), node.relay_bytes());
        let held = node.reorder_bytes();
        if held > self.settings.reorder_bytes || node.lobby_bytes() > self.settings.lobby_bytes {
            let (at, lobby) = (node.identity().incarnation, node.lobby_bytes());
            return Err(format!("{at:?} holds {held} bytes behind a hole, {lobby} of strangers"));
        }
        if sent > 2 * self.settings.replay_bytes || received > self.settings.relay_bytes {
            let at = node.identity().incarnation;
            return Err(format!("{at:?} keeps {sent} bytes it sent and {received} it received"));
        }
        Ok(())
    }

    /// After calm: everybody knows everybody and all they published, each name is borne
    /// once, and of who crashed all have the same.
    pub(crate) fn check_calm(&self, seats: &[Seat]) -> Result<(), String> {
        let nodes: Vec<&Node> = seats.iter().filter_map(|seat| seat.node.as_ref()).collect();
        let mut names = BTreeMap::new();
        for node in &nodes {
            let at = node.identity().incarnation;
            if let Some(other) = names.insert(node.identity().name.clone(), at) {
                return Err(format!("{at:?} and {other:?} both live on with one name"));
            }
            for other in nodes.iter().filter(|other| other.identity().incarnation != at) {
                let from = other.identity().incarnation;
                for lane in Lane::ALL {
                    let position = node.peer_position(from, lane);
                    let position =
                        position.ok_or_else(|| format!("{at:?} does not know {from:?}"))?;
                    self.quiet(at, from, lane, position)?;
                }
            }
            if node.peer_count() != nodes.len() - 1 {
                return Err(format!("{at:?} knows {} peers", node.peer_count()));
            }
        }
        if self.same_last_words { self.check_last_words(&nodes) } else { Ok(()) }
    }

    /// All that were there when a node ended, and still are, got the same of it.
    fn check_last_words(&self, nodes: &[&Node]) -> Result<(), String> {
        for (dead, life) in self.lives.iter().filter(|(_, life)| life.ended.is_some()) {
            for lane in Lane::ALL {
                let mut ends = nodes.iter().filter_map(|node| {
                    let at = node.identity().incarnation;
                    // Who began when it ended may have met it or not.
                    let was_there = self.lives.get(&at)?.began < life.began.max(life.ended?);
                    let got = self.got(at, *dead, lane)?;
                    was_there.then_some((at, got))
                });
                let Some((one, end)) = ends.next() else { continue };
                if let Some((other, other_end)) = ends.find(|(_, other)| *other != end) {
                    return Err(format!(
                        "of {dead:?}, which ended, {one:?} knows (next, missed) {lane} {end:?}, {other:?} {other_end:?}"
                    ));
                }
            }
        }
        Ok(())
    }

    /// A sender published its next `count` events of a lane, of so many bytes.
    ///
    /// # Errors
    /// If it left a receiver a window behind, which it did not wait for.
    pub fn published(
        &mut self,
        from: Incarnation,
        lane: Lane,
        count: u64,
        bytes: u64,
    ) -> Result<(), String> {
        let published = self.published.entry((from, lane)).or_default();
        let last = published.last;
        let sent = published.frames.last().map_or(0, |(_, sent, _)| *sent);
        published.last += count;
        published.frames.push((last + count, sent + bytes, self.now));
        for (receiver, had) in self.windows.on_sending(self.now, from, lane, last) {
            let next = self.next.get(&(receiver, (from, lane))).copied().unwrap_or(0);
            let behind =
                sent - self.published[&(from, lane)].bytes_up_to(had.max(next.saturating_sub(1)));
            if behind >= self.settings.window as u64 && self.takes_part(from, receiver) {
                return Err(format!(
                    "{from:?} sends {lane} though {receiver:?} is {behind} bytes behind"
                ));
            }
        }
        Ok(())
    }

    /// Whether two know each other, and the one must take the other for alive.
    fn takes_part(&self, at: Incarnation, other: Incarnation) -> bool {
        let knows = |a, b| self.joined.get(&(a, b)) == Some(&true);
        let Some(life) = self.lives.get(&other) else { return false };
        let namesakes = self.lives.values().filter(|one| one.name == life.name).count();
        knows(at, other)
            && knows(other, at)
            && life.ended.is_none()
            && namesakes == 1
            && self.nothing_is_forged
            && self.ways.heard_lately(self.now, at, other)
    }

    /// The number of the last event published in a stream.
    #[must_use]
    pub fn last_published(&self, from: Incarnation, lane: Lane) -> u64 {
        self.published.get(&(from, lane)).map_or(0, |published| published.last)
    }

    /// A receiver was told that a peer takes part, its events awaited after these
    /// numbers.
    ///
    /// # Errors
    /// If it takes part already, if so much was never published, or if the peer was
    /// there before and events between then and now are left out.
    pub fn joined(
        &mut self,
        at: Incarnation,
        peer: Incarnation,
        awaited_after: [u64; 2],
    ) -> Result<(), String> {
        for (lane, position) in Lane::ALL.into_iter().zip(awaited_after) {
            let last = self.last_published(peer, lane);
            if position > last {
                return Err(format!("{at:?} awaits {peer:?} {lane} after {position} of {last}"));
            }
            let next = self.next.entry((at, (peer, lane))).or_insert(position + 1);
            if *next != position + 1 {
                return Err(format!("{at:?} awaits {peer:?} {lane} after {position}, had {next}"));
            }
        }
        if self.parted.contains(&(at, peer)) {
            return Err(format!("{at:?} takes {peer:?} in again, which said goodbye"));
        }
        self.ways.forget(at, peer);
        self.windows.joined(at, peer);
        self.taken_in.insert((at, peer), self.now);
        match self.joined.insert((at, peer), true) {
            Some(true) => Err(format!("{at:?} was told twice that {peer:?} joined")),
            _ => Ok(()),
        }
    }

    /// A receiver was told that a peer no longer takes part.
    ///
    /// # Errors
    /// If it did not take part, or that is told late.
    pub fn left(
        &mut self,
        at: Incarnation,
        peer: Incarnation,
        reason: LeaveReason,
    ) -> Result<(), String> {
        self.ways.forget(at, peer);
        if reason == LeaveReason::Bye {
            self.parted.insert((at, peer));
        }
        let ended = self.lives.get(&peer).and_then(|life| life.ended);
        // An old frame may introduce who ended before.
        let since = self.taken_in.get(&(at, peer)).copied().unwrap_or_default();
        let late = ended.map_or(Duration::ZERO, |ended| self.now.since(ended.max(since)));
        if self.mourning.is_some_and(|most| late > most) {
            return Err(format!("{at:?} is told that {peer:?} left {late:?} after it ended"));
        }
        let places: BTreeMap<_, _> =
            self.lives.iter().map(|(who, life)| (*who, life.name)).collect();
        if self.detours_are_short
            && reason == LeaveReason::Failed
            && let Some(other) = self.ways.between(self.now, (at, peer), &places)
        {
            return Err(format!("{at:?} takes {peer:?} for dead, of which {other:?} could tell"));
        }
        match self.joined.insert((at, peer), false) {
            Some(true) => Ok(()),
            _ => Err(format!("{at:?} was told that {peer:?} left, which was not there")),
        }
    }

    /// A receiver got events, or was told that they are missing.
    ///
    /// # Errors
    /// If they are not the next, were never published, or come from a peer that
    /// does not take part.
    pub fn came(
        &mut self,
        at: Incarnation,
        from: Incarnation,
        lane: Lane,
        first: u64,
        count: u64,
    ) -> Result<(), String> {
        let shown = format!("{at:?} got {first}..{} of {from:?} {lane}", first + count);
        if self.joined.get(&(at, from)) != Some(&true) {
            return Err(format!("{shown}, which does not take part"));
        }
        let last = first + count - 1;
        if count == 0 || last > self.last_published(from, lane) {
            return Err(format!("{shown}, which was not published"));
        }
        let Some(next) = self.next.get_mut(&(at, (from, lane))) else {
            return Err(format!("{shown}, of which nothing is awaited"));
        };
        if *next != first {
            return Err(format!("{shown}, but {next} is next"));
        }
        *next = first + count;
        if self.detours_are_short {
            let published = self.published.get(&(from, lane)).and_then(|p| p.time_of(first));
            let place = |life| self.lives.get(&life).map(|life| life.name);
            // Held up by nothing before it.
            let before = self.came.insert((at, (from, lane)), self.now).unwrap_or_default();
            let published = published.filter(|then| before <= *then);
            if published.is_some_and(|then| self.ways.is_late(self.now, (at, from), then, place)) {
                return Err(format!("{shown}, which another passes on, late"));
            }
        }
        Ok(())
    }

    /// All is quiet: a receiver of a peer that takes part must know of all that
    /// it published, up to `position` by its own account.
    ///
    /// # Errors
    /// If it does not.
    pub fn quiet(
        &self,
        at: Incarnation,
        from: Incarnation,
        lane: Lane,
        position: u64,
    ) -> Result<(), String> {
        let last = self.last_published(from, lane);
        let came = self.next.get(&(at, (from, lane))).map_or(position, |next| next - 1);
        if position != last || came != last {
            return Err(format!(
                "{at:?} knows of {from:?} {lane} up to {position}, got up to {came}; {last} were published"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Incarnation = Incarnation([1; 16]);
    const B: Incarnation = Incarnation([2; 16]);

    #[test]
    fn every_sort_of_breach_is_seen() {
        let lane = Lane::Events;
        let mut oracle = Oracle::default();
        oracle.published(A, lane, 10, 100).unwrap();
        assert!(oracle.came(B, A, lane, 3, 1).unwrap_err().contains("does not take part"));
        assert!(oracle.joined(B, A, [0, 11]).is_err(), "more than was published");
        oracle.joined(B, A, [0, 2]).unwrap();
        assert!(oracle.joined(B, A, [0, 2]).is_err());
        assert!(oracle.came(B, A, lane, 5, 1).is_err(), "skipped from the start");
        oracle.came(B, A, lane, 3, 2).unwrap();
        assert!(
            oracle.came(B, A, lane, 4, 1).unwrap_err().contains("5 is next"),
            "delivered twice"
        );
        assert!(oracle.came(B, A, lane, 6, 1).unwrap_err().contains("5 is next"), "skipped");
        assert!(oracle.came(B, A, lane, 5, 7).unwrap_err().contains("not published"));
        assert!(oracle.quiet(B, A, lane, 10).is_err(), "a lost tail");
        oracle.came(B, A, lane, 5, 6).unwrap();
        oracle.quiet(B, A, lane, 10).unwrap();
        oracle.left(B, A, LeaveReason::Failed).unwrap();
        assert!(oracle.left(B, A, LeaveReason::Failed).is_err());
        oracle.published(A, lane, 5, 50).unwrap();
        assert!(oracle.joined(B, A, [0, 15]).is_err(), "what it missed meanwhile is left out");
    }
}
