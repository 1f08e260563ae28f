//! The oracle judges a run from outside, by published events and outputs.

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

use crate::event_body::body;
use crate::plan::{Action, Plan};
use routes::Routes;
use streams::Published;
use window::Windows;

/// Longest time until all peers report the end of a node, on a network without loss: the failure
/// timeout by a slow clock, plus repair of the last events.
const MAX_END_REPORT_DELAY: Duration = Duration::from_millis(4_200);
/// The same on a network that loses frames.
const MAX_END_REPORT_DELAY_LOSSY: Duration = Duration::from_secs(6);

/// A lane of a sender.
type Stream = (Incarnation, Lane);

/// A violation of the delivery promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Description of the violation.
    pub message: String,
    /// Seed of the run.
    pub seed: u64,
    /// Time since the start of the run.
    pub at: Duration,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "seed {}, after {:?}: {}", self.seed, self.at, self.message)
    }
}

impl std::error::Error for Violation {}

/// The lifetime of an incarnation.
#[derive(Debug, Clone)]
struct Lifespan {
    name: usize,
    began: Time,
    ended: Option<Time>,
}

/// Judges a run: which event comes next for each receiver and stream, and further invariants, some
/// of which hold only for plans without certain faults.
#[derive(Debug, Clone, Default)]
pub struct Oracle {
    settings: Settings,
    /// No fault of the plan excuses a gap.
    no_gap_allowed: bool,
    /// All survivors must have received the same events of a node that ended.
    survivors_agree: bool,
    /// They must also have reported the same number of missing events.
    survivors_agree_on_gaps: bool,
    /// Longest time until all peers report the end of a node, if no fault delays the reports.
    max_end_report_delay: Option<Duration>,
    /// No node freezes, so no node passes on old reports that a peer is alive.
    no_node_freezes: bool,
    /// The plan has no faults but cuts, so relayed events arrive promptly.
    relays_are_prompt: bool,
    /// The plan has liars. More events of an unreachable node may be reported missing than exist.
    has_liars: bool,
    /// No fault excuses such a false gap while the sender is alive.
    false_gaps_need_an_end: bool,
    /// No fault excuses that a live node is reported as failed.
    no_false_failures: bool,
    /// Every frame is what its sender sent just before.
    no_forgeries: bool,
    now: Time,
    lifespans: BTreeMap<Incarnation, Lifespan>,
    published: BTreeMap<Stream, Published>,
    next_event: BTreeMap<(Incarnation, Stream), u64>,
    missing: BTreeMap<(Incarnation, Stream), u64>,
    /// When the receiver last received or missed events of the stream.
    last_received: BTreeMap<(Incarnation, Stream), Time>,
    /// The last published event when a false gap was reported.
    published_at_false_gap: BTreeMap<(Incarnation, Stream), u64>,
    members: BTreeMap<(Incarnation, Incarnation), bool>,
    /// When a node last admitted another.
    admitted_at: BTreeMap<(Incarnation, Incarnation), Time>,
    /// Pairs of a node and a peer whose goodbye the node reported.
    said_goodbye: BTreeSet<(Incarnation, Incarnation)>,
    naks: nak_rate::NakHistory,
    routes: Routes,
    windows: Windows,
}

impl Oracle {
    /// The oracle of a plan.
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
        // A node that lingers leaves no event behind.
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

    /// Sets the time of the following calls.
    pub fn set_time(&mut self, now: Time) {
        self.now = now;
    }

    /// Judges an output of the node `observer`. Frames to transmit are ignored.
    ///
    /// # Errors
    /// If the output violates the promise.
    pub fn judge(&mut self, observer: Incarnation, output: &Output) -> Result<(), String> {
        if self.has_liars && subject(output).is_some_and(|id| !self.lifespans.contains_key(&id)) {
            // The output is about a liar or an invented node.
            return Ok(());
        }
        match output {
            Output::Joined(peer) => self.joined(observer, peer.incarnation, peer.promised_after),
            Output::Left { peer, reason } => self.left(observer, peer.incarnation, *reason),
            Output::Deliver { from, lane, first, count, body: content } => {
                if *content != body(*from, *lane, *first, *count) {
                    return Err(format!(
                        "{observer:?} received wrong content for {first} of {from:?} {lane}"
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

    /// All incarnations: the number of their node, and whether they are alive.
    pub(crate) fn incarnations(&self) -> impl Iterator<Item = (Incarnation, usize, bool)> {
        self.lifespans.iter().map(|(id, lifespan)| (*id, lifespan.name, lifespan.ended.is_none()))
    }

    /// An incarnation of the node with number `name` starts.
    pub fn incarnation_started(&mut self, incarnation: Incarnation, name: usize) {
        self.lifespans.insert(incarnation, Lifespan { name, began: self.now, ended: None });
    }

    /// An incarnation ends.
    pub fn incarnation_ended(&mut self, incarnation: Incarnation) {
        if let Some(lifespan) = self.lifespans.get_mut(&incarnation) {
            lifespan.ended = Some(self.now);
        }
    }

    /// The link from one node to another is cut until then.
    pub(crate) fn link_cut(&mut self, from: usize, to: usize, until: Time) {
        self.routes.link_cut(from, to, until);
    }

    /// A packet from the node `from`, its sender or its relay, arrives at `observer`.
    pub fn packet_arrived(&mut self, observer: Incarnation, from: Incarnation) {
        self.routes.heard(self.now, observer, from);
    }

    /// Checks that the buffers of a node are within their bounds, and that it got no malformed
    /// frame if all its peers are honest.
    ///
    /// # Errors
    /// If not.
    pub fn check_bounds(&self, endpoint: &Endpoint) -> Result<(), String> {
        let (replay, relay) = (endpoint.replay_bytes(), endpoint.relay_bytes());
        let reorder = endpoint.reorder_bytes();
        if reorder > self.settings.reorder_bytes
            || endpoint.unknown_sender_bytes() > self.settings.unknown_sender_bytes
        {
            let (id, unknown) = (endpoint.identity().incarnation, endpoint.unknown_sender_bytes());
            return Err(format!(
                "{id:?} exceeds a bound: {reorder} bytes behind holes, \
                 {unknown} of unknown senders"
            ));
        }
        if replay > 2 * self.settings.replay_bytes || relay > self.settings.relay_bytes {
            let id = endpoint.identity().incarnation;
            return Err(format!(
                "{id:?} exceeds a bound: {replay} replay bytes, {relay} relay bytes"
            ));
        }
        let malformed = endpoint.counters().malformed;
        if malformed > 0 && self.no_forgeries {
            let id = endpoint.identity().incarnation;
            return Err(format!("{id:?} counted {malformed} malformed frames"));
        }
        Ok(())
    }
}

/// The node that an output is about.
fn subject(output: &Output) -> Option<Incarnation> {
    match output {
        Output::Joined(peer) | Output::Left { peer, .. } => Some(peer.incarnation),
        Output::Deliver { from, .. } => Some(*from),
        Output::Gap(gap) => Some(gap.from),
        // The loser may be a liar.
        Output::NameConflict(conflict) => Some(conflict.loser),
        Output::Reach { peer, .. } => Some(*peer),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use mailmesh_delivery::{LeaveReason, PerLane};

    use super::*;

    const A: Incarnation = Incarnation([1; 16]);
    const B: Incarnation = Incarnation([2; 16]);

    #[test]
    fn the_oracle_detects_each_kind_of_violation() {
        let lane = Lane::Events;
        let mut oracle = Oracle::default();
        oracle.published(A, lane, 10, 100).unwrap();
        assert!(oracle.received(B, A, lane, 3, 1).unwrap_err().contains("not a member"));
        assert!(
            oracle.joined(B, A, PerLane::new(0, 11)).is_err(),
            "events that were not published"
        );
        oracle.joined(B, A, PerLane::new(0, 2)).unwrap();
        assert!(oracle.joined(B, A, PerLane::new(0, 2)).is_err());
        assert!(oracle.received(B, A, lane, 5, 1).is_err(), "events skipped from the start");
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
        assert!(
            oracle.joined(B, A, PerLane::new(0, 15)).is_err(),
            "a return that skips missed events"
        );
    }
}
