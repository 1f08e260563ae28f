//! Judges from outside: what was published, what came out.

use std::collections::BTreeMap;

use std::time::Duration;

use mailmesh_delivery::{Incarnation, Lane, Node, Settings, Time};

use crate::plan::{Action, Plan};
use crate::seat::Seat;

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
#[derive(Debug)]
struct Life {
    name: usize,
    began: Time,
    ended: Option<Time>,
}

/// Per receiver and stream: which event must come next. And what must hold besides.
#[derive(Debug, Default)]
pub struct Oracle {
    settings: Settings,
    /// Nothing happens that excuses a gap.
    nothing_excuses: bool,
    /// A crashed node's receivers must end with the same events.
    same_last_words: bool,
    lives: BTreeMap<Incarnation, Life>,
    published: BTreeMap<Stream, u64>,
    next: BTreeMap<(Incarnation, Stream), u64>,
    joined: BTreeMap<(Incarnation, Incarnation), bool>,
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
        Self {
            settings: plan.settings(),
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

    /// A life begins.
    pub fn begins(&mut self, life: Incarnation, name: usize, now: Time) {
        self.lives.insert(life, Life { name, began: now, ended: None });
    }

    /// A life ends.
    pub fn ends(&mut self, life: Incarnation, now: Time) {
        if let Some(life) = self.lives.get_mut(&life) {
            life.ended = Some(now);
        }
    }

    /// A receiver was told that events are missing.
    ///
    /// # Errors
    /// If nothing excuses that.
    pub fn missed(&self, at: Incarnation, from: Incarnation) -> Result<(), String> {
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
                    let next = self.next.get(&(at, (*dead, lane)))?;
                    was_there.then_some((at, *next))
                });
                let Some((one, end)) = ends.next() else { continue };
                if let Some((other, other_end)) = ends.find(|(_, other)| *other != end) {
                    return Err(format!(
                        "of {dead:?}, which ended, {one:?} has {lane} before {end}, {other:?} before {other_end}"
                    ));
                }
            }
        }
        Ok(())
    }

    /// A sender published its next `count` events of a lane.
    pub fn published(&mut self, from: Incarnation, lane: Lane, count: u64) {
        *self.published.entry((from, lane)).or_default() += count;
    }

    /// The number of the last event published in a stream.
    #[must_use]
    pub fn last_published(&self, from: Incarnation, lane: Lane) -> u64 {
        self.published.get(&(from, lane)).copied().unwrap_or(0)
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
        match self.joined.insert((at, peer), true) {
            Some(true) => Err(format!("{at:?} was told twice that {peer:?} joined")),
            _ => Ok(()),
        }
    }

    /// A receiver was told that a peer no longer takes part.
    ///
    /// # Errors
    /// If it did not take part.
    pub fn left(&mut self, at: Incarnation, peer: Incarnation) -> Result<(), String> {
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
        oracle.published(A, lane, 10);
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
        oracle.left(B, A).unwrap();
        assert!(oracle.left(B, A).is_err());
        oracle.published(A, lane, 5);
        assert!(oracle.joined(B, A, [0, 15]).is_err(), "what it missed meanwhile is left out");
    }
}
