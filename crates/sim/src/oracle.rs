//! Judges from outside: what was published, what came out.

mod false_gaps;
mod membership;
mod nak_rate;
mod recovery;
mod routes;
mod streams;
mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mailmesh_delivery::{Endpoint, Incarnation, Lane, Output, Settings, Time};

use crate::plan::{Action, Plan};
use crate::simulation::body;
use routes::Routes;
use streams::Published;
use window::Windows;

/// Within so much time of the end of a life everybody was told: the failure timeout by a
/// slow clock, and repair of its last words.
const MAX_END_REPORT_DELAY: Duration = Duration::from_millis(4_200);
/// The same where the network loses frames.
const MAX_END_REPORT_DELAY_LOSSY: Duration = Duration::from_secs(6);

/// A sender's lane.
type Stream = (Incarnation, Lane);

/// The promise was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What happened.
    pub message: String,
    /// The seed of the run.
    pub seed: u64,
    /// When, since the begin of the run.
    pub at: Duration,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "seed {}, after {:?}: {}", self.seed, self.at, self.message)
    }
}

impl std::error::Error for Violation {}

/// A life of a node.
#[derive(Debug, Clone)]
struct Lifespan {
    name: usize,
    began: Time,
    ended: Option<Time>,
}

/// Per receiver and stream: which event must come next. And what must hold besides.
#[derive(Debug, Clone, Default)]
pub struct Oracle {
    settings: Settings,
    /// Nothing happens that excuses a gap.
    no_gap_allowed: bool,
    /// A crashed node's receivers must end after the same events.
    survivors_agree: bool,
    /// Nothing happens that excuses that one of them was told that it missed more.
    survivors_agree_on_gaps: bool,
    /// Nothing happens that excuses that an end is noticed later.
    max_end_report_delay: Option<Duration>,
    /// Who is vouched for by another lived some seconds ago.
    no_node_freezes: bool,
    /// Nothing but cuts happens, so that what another passes on comes in time.
    relays_are_prompt: bool,
    /// Members lie: of who is out of reach more may be told missing than there was.
    has_liars: bool,
    /// Nothing happens that excuses that of one that has not ended.
    false_gaps_need_an_end: bool,
    /// Nothing happens that excuses that one that lives is taken for dead.
    no_false_failures: bool,
    /// What comes from a node is of that moment.
    no_forgeries: bool,
    now: Time,
    lifespans: BTreeMap<Incarnation, Lifespan>,
    published: BTreeMap<Stream, Published>,
    next_event: BTreeMap<(Incarnation, Stream), u64>,
    missing: BTreeMap<(Incarnation, Stream), u64>,
    /// When something last came.
    last_received: BTreeMap<(Incarnation, Stream), Time>,
    /// The last event there was when more was told missing.
    published_at_false_gap: BTreeMap<(Incarnation, Stream), u64>,
    members: BTreeMap<(Incarnation, Incarnation), bool>,
    /// When a node last took in another.
    admitted_at: BTreeMap<(Incarnation, Incarnation), Time>,
    /// Who was told that another said goodbye.
    said_goodbye: BTreeSet<(Incarnation, Incarnation)>,
    naks: nak_rate::NakHistory,
    routes: Routes,
    windows: Windows,
}

impl Oracle {
    /// The judge of a plan.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let lossless = plan.faults.loss == 0 && plan.faults.jitter.is_zero();
        let ends = |action: &Action| {
            matches!(
                action,
                Action::Crash { .. } | Action::Leave { .. } | Action::DuplicateName { .. }
            )
        };
        let leaves = |action: &Action| matches!(action, Action::Leave { .. });
        // Who lingers takes nothing with it.
        let loses_events = |action: &Action| {
            !matches!(action, Action::Leave { lingers: true, .. }) && ends(action)
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
        let link_events = |action: &Action| matches!(action, Action::LinkEvent { .. });
        let duplicate_names = |action: &Action| matches!(action, Action::DuplicateName { .. });
        let stalls = |action: &Action| {
            matches!(action, Action::Isolate { .. } | Action::Freeze { .. } | Action::Slow { .. })
        };
        let has_liars = plan.liars > 0;
        Self {
            settings: plan.settings(),
            has_liars,
            no_false_failures: lossless
                && plan.faults.drift == 0
                && !plan.has(impairs)
                && !plan.has(duplicate_names),
            false_gaps_need_an_end: lossless && !plan.has(impairs) && !plan.has(duplicate_names),
            max_end_report_delay: (!has_liars
                && !plan.has(impairs)
                && (lossless || !plan.faults.small_bounds))
                .then_some(if lossless {
                    MAX_END_REPORT_DELAY
                } else {
                    MAX_END_REPORT_DELAY_LOSSY
                }),
            no_node_freezes: !has_liars
                && !plan.has(|action| matches!(action, Action::Freeze { .. })),
            no_forgeries: !has_liars && !plan.has(|action| matches!(action, Action::Forge { .. })),
            relays_are_prompt: !has_liars
                && lossless
                && !plan.faults.small_bounds
                && !plan.has(ends)
                && !plan.has(stalls),
            no_gap_allowed: !plan.faults.small_bounds
                && !plan.has(loses_events)
                && !plan.has(impairs)
                && (lossless || !plan.has(link_events) && !plan.has(leaves)),
            survivors_agree: !has_liars
                && lossless
                && !plan.faults.small_bounds
                && !plan.has(duplicate_names),
            survivors_agree_on_gaps: !plan.has(impairs),
            ..Self::default()
        }
    }

    /// It is that late.
    pub fn set_time(&mut self, now: Time) {
        self.now = now;
    }

    /// What a node gave out, but what it puts on the bus.
    ///
    /// # Errors
    /// If it breaks the promise.
    pub fn judge(&mut self, observer: Incarnation, output: &Output) -> Result<(), String> {
        if self.has_liars && subject(output).is_some_and(|id| !self.lifespans.contains_key(&id)) {
            // Of a liar, or of who never was.
            return Ok(());
        }
        match output {
            Output::Joined(peer) => self.joined(observer, peer.incarnation, peer.promised_after),
            Output::Left { peer, reason } => self.left(observer, peer.incarnation, *reason),
            Output::Deliver { from, lane, first, count, body: content } => {
                if *content != body(*from, *lane, *first, *count) {
                    return Err(format!(
                        "{observer:?} got other content for {first} of {from:?} {lane}"
                    ));
                }
                self.resume_after_false_gap(observer, *from, *lane, *first);
                self.received(observer, *from, *lane, *first, (*count).into())
            }
            Output::Gap(gap) => {
                self.gap_reported(observer, gap)?;
                self.count_missing(observer, gap.from, gap.lane, gap.missed)
            }
            Output::NameConflict(conflict) => {
                self.name_conflict(observer, conflict.winner, conflict.loser)
            }
            Output::Reach { peer, reach } => self.reach_changed(observer, *peer, *reach),
            _ => Ok(()),
        }
    }

    /// Who there was: its name, and whether it lives.
    pub(crate) fn incarnations(&self) -> impl Iterator<Item = (Incarnation, usize, bool)> {
        self.lifespans.iter().map(|(id, lifespan)| (*id, lifespan.name, lifespan.ended.is_none()))
    }

    /// A life begins.
    pub fn incarnation_started(&mut self, incarnation: Incarnation, name: usize) {
        self.lifespans.insert(incarnation, Lifespan { name, began: self.now, ended: None });
    }

    /// A life ends.
    pub fn incarnation_ended(&mut self, incarnation: Incarnation) {
        if let Some(lifespan) = self.lifespans.get_mut(&incarnation) {
            lifespan.ended = Some(self.now);
        }
    }

    /// One place does not hear another until then.
    pub(crate) fn link_cut(&mut self, from: usize, to: usize, until: Time) {
        self.routes.link_cut(from, to, until);
    }

    /// A packet comes from a node to another: of its own, or one that it passes on.
    pub fn packet_arrived(&mut self, observer: Incarnation, from: Incarnation) {
        self.routes.heard(self.now, observer, from);
    }

    /// What a node keeps is within its bounds, and no honest node breaks the protocol before it.
    ///
    /// # Errors
    /// If it is not.
    pub fn check_bounds(&self, endpoint: &Endpoint) -> Result<(), String> {
        let (replay, relay) = (endpoint.replay_bytes(), endpoint.relay_bytes());
        let reorder = endpoint.reorder_bytes();
        if reorder > self.settings.reorder_bytes
            || endpoint.unknown_sender_bytes() > self.settings.unknown_sender_bytes
        {
            let (id, unknown) = (endpoint.identity().incarnation, endpoint.unknown_sender_bytes());
            return Err(format!(
                "{id:?} holds {reorder} bytes behind a hole, {unknown} of strangers"
            ));
        }
        if replay > 2 * self.settings.replay_bytes || relay > self.settings.relay_bytes {
            let id = endpoint.identity().incarnation;
            return Err(format!("{id:?} keeps {replay} bytes it sent and {relay} it received"));
        }
        let malformed = endpoint.counters().malformed;
        if malformed > 0 && self.no_forgeries {
            let id = endpoint.identity().incarnation;
            return Err(format!("{id:?} was given {malformed} frames that break the protocol"));
        }
        Ok(())
    }
}

/// Whom an output tells of.
fn subject(output: &Output) -> Option<Incarnation> {
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
    fn the_oracle_detects_each_kind_of_violation() {
        let lane = Lane::Events;
        let mut oracle = Oracle::default();
        oracle.published(A, lane, 10, 100).unwrap();
        assert!(oracle.received(B, A, lane, 3, 1).unwrap_err().contains("does not take part"));
        assert!(oracle.joined(B, A, [0, 11]).is_err(), "more than was published");
        oracle.joined(B, A, [0, 2]).unwrap();
        assert!(oracle.joined(B, A, [0, 2]).is_err());
        assert!(oracle.received(B, A, lane, 5, 1).is_err(), "skipped from the start");
        oracle.received(B, A, lane, 3, 2).unwrap();
        assert!(
            oracle.received(B, A, lane, 4, 1).unwrap_err().contains("5 is next"),
            "delivered twice"
        );
        assert!(oracle.received(B, A, lane, 6, 1).unwrap_err().contains("5 is next"), "skipped");
        assert!(oracle.received(B, A, lane, 5, 7).unwrap_err().contains("not published"));
        assert!(oracle.check_complete(B, A, lane, 10).is_err(), "a lost tail");
        oracle.received(B, A, lane, 5, 6).unwrap();
        oracle.check_complete(B, A, lane, 10).unwrap();
        oracle.left(B, A, LeaveReason::Failed).unwrap();
        assert!(oracle.left(B, A, LeaveReason::Failed).is_err());
        oracle.published(A, lane, 5, 50).unwrap();
        assert!(oracle.joined(B, A, [0, 15]).is_err(), "message it missed meanwhile is left out");
    }
}
