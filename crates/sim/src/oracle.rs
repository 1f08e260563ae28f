//! Judges from outside: what was published, what came out.

mod asks;
mod calm;
mod lies;
mod members;
mod streams;
mod ways;
mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mailmesh_delivery::{Endpoint, Incarnation, Lane, Output, Settings, Time};

use crate::plan::{Action, Plan};
use crate::simulation::body;
use streams::Published;
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

/// Per receiver and stream: which event must come next. And what must hold besides.
#[derive(Debug, Clone, Default)]
pub struct Oracle {
    settings: Settings,
    /// Nothing happens that excuses a gap.
    nothing_excuses: bool,
    /// A crashed node's receivers must end after the same events.
    same_last_words: bool,
    /// Nothing happens that excuses that one of them was told that it missed more.
    same_gaps: bool,
    /// Nothing happens that excuses that an end is noticed later.
    mourning: Option<Duration>,
    /// Who is vouched for by another lived some seconds ago.
    nobody_stands_still: bool,
    /// Nothing but cuts happens, so that what another passes on comes in time.
    detours_are_short: bool,
    /// Members lie: of who is out of reach more may be told missing than there was.
    some_lie: bool,
    /// Nothing happens that excuses that of one that has not ended.
    lies_need_an_end: bool,
    /// Nothing happens that excuses that one that lives is taken for dead.
    nobody_is_out_of_reach: bool,
    /// What comes from a node is of that moment.
    nothing_is_forged: bool,
    now: Time,
    lives: BTreeMap<Incarnation, Life>,
    published: BTreeMap<Stream, Published>,
    next: BTreeMap<(Incarnation, Stream), u64>,
    gaps: BTreeMap<(Incarnation, Stream), u64>,
    /// When something last came.
    came: BTreeMap<(Incarnation, Stream), Time>,
    /// The last event there was when more was told missing.
    told_beyond: BTreeMap<(Incarnation, Stream), u64>,
    joined: BTreeMap<(Incarnation, Incarnation), bool>,
    /// When a node last took in another.
    taken_in: BTreeMap<(Incarnation, Incarnation), Time>,
    /// Who was told that another said goodbye.
    parted: BTreeSet<(Incarnation, Incarnation)>,
    asked: asks::Asked,
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
        let leaves = |action: &Action| matches!(action, Action::Leave { .. });
        // Who lingers takes nothing with it.
        let takes = |action: &Action| {
            !matches!(action, Action::Leave { lingers: true, .. }) && parts(action)
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
        let some_lie = plan.liars > 0;
        Self {
            settings: plan.settings(),
            some_lie,
            nobody_is_out_of_reach: lossless
                && plan.faults.drift == 0
                && !plan.has(impairs)
                && !plan.has(twins),
            lies_need_an_end: lossless && !plan.has(impairs) && !plan.has(twins),
            mourning: (!some_lie && !plan.has(impairs) && (lossless || !plan.faults.small_bounds))
                .then_some(if lossless { MOURNING } else { LONG_MOURNING }),
            nobody_stands_still: !some_lie
                && !plan.has(|action| matches!(action, Action::Freeze { .. })),
            nothing_is_forged: !some_lie
                && !plan.has(|action| matches!(action, Action::Forge { .. })),
            detours_are_short: !some_lie
                && lossless
                && !plan.faults.small_bounds
                && !plan.has(parts)
                && !plan.has(blocks),
            nothing_excuses: !plan.faults.small_bounds
                && !plan.has(takes)
                && !plan.has(impairs)
                && (lossless || !plan.has(hints) && !plan.has(leaves)),
            same_last_words: !some_lie && lossless && !plan.faults.small_bounds && !plan.has(twins),
            same_gaps: !plan.has(impairs),
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
        if self.some_lie && about(output).is_some_and(|who| !self.lives.contains_key(&who)) {
            // Of a liar, or of who never was.
            return Ok(());
        }
        match output {
            Output::Joined(peer) => self.joined(at, peer.incarnation, peer.promised_after),
            Output::Left { peer, reason } => self.left(at, peer.incarnation, *reason),
            Output::Deliver { from, lane, first, count, body: content } => {
                if *content != body(*from, *lane, *first, *count) {
                    return Err(format!("{at:?} got other content for {first} of {from:?} {lane}"));
                }
                self.begins_anew(at, *from, *lane, *first);
                self.came(at, *from, *lane, *first, (*count).into())
            }
            Output::Gap(gap) => {
                self.missed_in_all(at, gap)?;
                self.missed(at, gap.from, gap.lane, gap.missed)
            }
            Output::NameConflict(conflict) => self.conflict(at, conflict.winner, conflict.loser),
            Output::Reach { peer, reach } => self.reach(at, *peer, *reach),
            _ => Ok(()),
        }
    }

    /// Who there was: its name, and whether it lives.
    pub(crate) fn lives(&self) -> impl Iterator<Item = (Incarnation, usize, bool)> {
        self.lives.iter().map(|(who, life)| (*who, life.name, life.ended.is_none()))
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

    /// What a node keeps is within its bounds, and no honest node breaks the protocol before it.
    ///
    /// # Errors
    /// If it is not.
    pub fn check_bounds(&self, node: &Endpoint) -> Result<(), String> {
        let (sent, received) = (node.replay_bytes(), node.relay_bytes());
        let held = node.reorder_bytes();
        if held > self.settings.reorder_bytes
            || node.unknown_sender_bytes() > self.settings.unknown_sender_bytes
        {
            let (at, lobby) = (node.identity().incarnation, node.unknown_sender_bytes());
            return Err(format!("{at:?} holds {held} bytes behind a hole, {lobby} of strangers"));
        }
        if sent > 2 * self.settings.replay_bytes || received > self.settings.relay_bytes {
            let at = node.identity().incarnation;
            return Err(format!("{at:?} keeps {sent} bytes it sent and {received} it received"));
        }
        let malformed = node.counters().malformed;
        if malformed > 0 && self.nothing_is_forged {
            let at = node.identity().incarnation;
            return Err(format!("{at:?} was given {malformed} frames that break the protocol"));
        }
        Ok(())
    }
}

/// Whom an output tells of.
fn about(output: &Output) -> Option<Incarnation> {
    match output {
        Output::Joined(peer) | Output::Left { peer, .. } => Some(peer.incarnation),
        Output::Deliver { from, .. } => Some(*from),
        Output::Gap(gap) => Some(gap.from),
        // What a liar says of itself.
        Output::NameConflict(conflict) => Some(conflict.loser),
        Output::Reach { peer, .. } => Some(*peer),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use mailmesh_delivery::LeaveReason;

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
