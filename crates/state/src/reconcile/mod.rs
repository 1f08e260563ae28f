//! Notices that a peer's mirror differs from ours, and makes the two equal.
//!
//! - [`comparison`]: finds the difference by coded symbols, and exchanges it, both ways;
//! - [`snapshot`]: takes over the whole content of a peer that has much more;
//! - [`answers`]: what is sent to a peer that compares or takes over.
//!
//! Timers are on a monotonic clock (`at`, time since any start); merging needs the
//! wall clock (`now`).

mod answers;
mod comparison;
mod snapshot;

use std::collections::BTreeMap;
use std::time::Duration;

use mailmesh_events::{Change, MirrorDigest, SyncMessage, UnixMillis};

use crate::Mirror;
use crate::planted::{Fault, planted};
use answers::{Answers, pack};
use comparison::Comparison;
use snapshot::Snapshot;

/// Timers and sizes of reconciliation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timing {
    /// A question without an answer for this long is asked again; while all is taken over,
    /// after four times as long as a share takes, then twice that, and so on. 1 s.
    pub retry: Duration,
    /// Questions without any answer before the peer is given up for now. 10:
    /// a path that loses half of everything still gets one through.
    pub attempts: u32,
    /// Shortest time between two exchanges with one peer; doubles, up to
    /// `longest_pause`, while they change nothing. 2 s.
    pub pause: Duration,
    /// Longest time between two exchanges with one peer that differs. 60 s.
    pub longest_pause: Duration,
    /// Bytes of a part. 32 KiB: a few parts fill a link's queue, not its lane.
    pub part: usize,
    /// Up to how many shares of a few hundred entries on their way to a node that takes over
    /// all each that comes lets one more go; beyond, each window does, up to 64. 32.
    pub window: usize,
    /// Digests in a row that differ before an exchange, however they change. 5: about
    /// as many seconds.
    pub patience: u32,
    /// Most parts, or answers like them, sent in a second, to all peers. 4,096, which are
    /// a million entries; requests beyond wait for their retry.
    pub parts_per_second: u32,
}

impl Timing {
    /// As stated.
    const DEFAULT: Self = Self {
        retry: Duration::from_secs(1),
        attempts: 10,
        pause: Duration::from_secs(2),
        longest_pause: Duration::from_secs(60),
        part: 32 * 1024,
        window: 32,
        patience: 5,
        parts_per_second: 4_096,
    };
}

impl Default for Timing {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Keeps a mirror equal to those of the peers `P`.
#[derive(Debug)]
pub struct Reconciler<P> {
    own: P,
    timing: Timing,
    peers: BTreeMap<P, Peer>,
    exchange: Option<Exchange<P>>,
    round: u32,
    /// What was begun with a peer that is gone, and when that was.
    begun: Option<(Snapshot, Duration)>,
    answers: Answers,
    to_send: Vec<(P, SyncMessage)>,
}

#[derive(Debug)]
struct Peer {
    /// What is asked for without waiting for a second look: it just joined, or
    /// changes of it were missed.
    urgent: bool,
    /// Our digest and its, when they differed last, and how often in a row.
    differed: Option<(MirrorDigest, MirrorDigest)>,
    streak: u32,
    /// Digests that differed though a comparison found no difference. If they are still the
    /// same, two versions of an entry have the same item, and all is exchanged.
    hidden: Option<(MirrorDigest, MirrorDigest)>,
    not_before: Duration,
    pause: Duration,
    /// It answered no question for symbols: perhaps it knows none.
    is_deaf: bool,
    /// Its fingerprints are of another key than ours: nothing can be compared.
    has_other_key: bool,
    /// The name of that key, once it told a digest.
    key: Option<u32>,
}

/// Questions to one peer, one at a time.
#[derive(Debug)]
struct Exchange<P> {
    peer: P,
    round: u32,
    work: Work,
    /// Our digest and the peer's when it began.
    digests: (MirrorDigest, MirrorDigest),
    began: Duration,
    deadline: Duration,
    attempts: u32,
    answered: bool,
    changed: bool,
}

#[derive(Debug)]
enum Work {
    Snapshot(Snapshot),
    Comparison(Comparison),
}

/// How an exchange ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Complete,
    GivenUp,
    /// Another peer has its turn.
    Interrupted,
}

/// How long another peer may go on with what was begun with one.
const KEPT: Duration = Duration::from_secs(60);
/// An exchange that lasts longer ends when another peer is to be compared with: one that is
/// slow, or lies, does not keep this node from the others.
const TURN: Duration = Duration::from_secs(30);
/// Digests in a row that differ before the node of the greater name compares: by then
/// the other has.
const SECOND: u32 = 3;

impl<P: Copy + Ord> Reconciler<P> {
    /// That of the node `own`, without peers.
    #[must_use]
    pub fn new(own: P, timing: Timing) -> Self {
        Self {
            own,
            timing,
            peers: BTreeMap::new(),
            exchange: None,
            round: 0,
            begun: None,
            answers: Answers::new(timing),
            to_send: Vec::new(),
        }
    }

    /// A peer joined: its first digest that differs starts an exchange.
    pub fn on_joined(&mut self, peer: P) {
        let (not_before, pause) = (Duration::ZERO, self.timing.pause);
        let (is_deaf, has_other_key, key) = (false, false, None);
        let (urgent, differed, streak, hidden) = (true, None, 0, None);
        let state = Peer {
            urgent,
            differed,
            streak,
            hidden,
            not_before,
            pause,
            is_deaf,
            has_other_key,
            key,
        };
        self.peers.insert(peer, state);
    }

    /// A peer left.
    pub fn on_left(&mut self, peer: P, at: Duration) {
        self.peers.remove(&peer);
        let exchange = self.exchange.take_if(|exchange| exchange.peer == peer);
        self.keep(exchange.map(|exchange| exchange.work), at);
    }

    /// Another peer may go on with what was begun.
    fn keep(&mut self, work: Option<Work>, at: Duration) {
        if let Some(Work::Snapshot(snapshot)) = work
            && snapshot.has_progressed()
        {
            self.begun = Some((snapshot, at));
        }
    }

    /// The mirror's fingerprints are of another key from now on: what was under way is not
    /// understood any more.
    pub fn on_rekeyed(&mut self) {
        (self.exchange, self.begun) = (None, None);
        for peer in self.peers.values_mut() {
            // Until it tells its digest.
            (peer.differed, peer.streak, peer.has_other_key) = (None, 0, true);
        }
    }

    /// The names of the keys of the peers' fingerprints, as their digests told.
    pub fn keys_of_peers(&self) -> impl Iterator<Item = (P, u32)> {
        self.peers.iter().filter_map(|(peer, state)| Some((*peer, state.key?)))
    }

    /// Changes of a peer were missed: its next digest that differs starts an exchange.
    pub fn on_gap(&mut self, peer: P) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.urgent = true;
        }
    }

    /// A peer told its digest. One that differs may only mean that a change is on
    /// its way. An exchange starts when two in a row are the same while ours is, too;
    /// or, while changes keep coming, after [`Timing::patience`] in a row.
    pub fn on_digest(&mut self, peer: P, theirs: MirrorDigest, ours: MirrorDigest, at: Duration) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        state.key = Some(theirs.key);
        state.has_other_key = theirs.key != ours.key;
        if state.has_other_key {
            (state.differed, state.streak) = (None, 0);
            self.exchange.take_if(|exchange| exchange.peer == peer);
            return;
        }
        if theirs == ours || planted(Fault::NotCompared) {
            (state.urgent, state.differed, state.streak) = (false, None, 0);
            state.pause = self.timing.pause;
            return;
        }
        state.streak += 1;
        let again = state.differed.replace((ours, theirs)) == Some((ours, theirs));
        let lasting = state.streak >= self.timing.patience;
        let is_taken = self.exchange.as_ref().is_some_and(|exchange| {
            let has_its_turn = at < exchange.began + TURN || planted(Fault::ExchangeWithoutEnd);
            exchange.peer == peer || has_its_turn
        });
        if is_taken || at < state.not_before || !(again || lasting || state.urgent) {
            return;
        }
        self.begun.take_if(|(begun, since)| at >= *since + KEPT || !begun.fits(theirs.entries));
        let takes_over = theirs.entries / 2 > ours.entries || self.begun.is_some();
        let is_first = takes_over || self.own < peer || state.urgent;
        // Who has much less takes over from us.
        let yields = ours.entries / 2 > theirs.entries;
        if (yields || !is_first) && state.streak < SECOND {
            return;
        }
        // Perhaps it was only a path that lost much.
        let is_deaf = std::mem::take(&mut state.is_deaf);
        let is_hidden = state.hidden.take() == Some((ours, theirs));
        self.finish(End::Interrupted, at);
        // The peer of the interrupted exchange may have lied about how much it has.
        self.begun.take_if(|(begun, _)| !begun.fits(theirs.entries));
        let work = if takes_over || is_deaf || is_hidden {
            let begun = self.begun.take();
            Work::Snapshot(begun.map_or_else(
                || Snapshot::new(theirs.entries, &self.timing),
                |(begun, _)| begun.resumed(&self.timing),
            ))
        } else {
            Work::Comparison(Comparison::new())
        };
        self.begin(peer, work, (ours, theirs), at);
    }

    fn begin(&mut self, peer: P, work: Work, digests: (MirrorDigest, MirrorDigest), at: Duration) {
        // 0 is of no exchange.
        self.round = self.round.wrapping_add(1).max(1);
        let (round, deadline) = (self.round, at);
        let (answered, changed) = (false, false);
        let (began, attempts) = (at, 0);
        self.exchange = Some(Exchange {
            peer,
            round,
            work,
            digests,
            began,
            deadline,
            attempts,
            answered,
            changed,
        });
        self.ask(at);
    }

    /// Asks what is open.
    fn ask(&mut self, at: Duration) {
        if let Some(exchange) = &mut self.exchange {
            exchange.attempts += 1;
            let (peer, round) = (exchange.peer, exchange.round);
            let (asks, patience) = match &mut exchange.work {
                Work::Snapshot(snapshot) => {
                    (snapshot.ask(round, at), snapshot.patience(&self.timing))
                }
                Work::Comparison(comparison) => {
                    (vec![comparison.request(round)], self.timing.retry)
                }
            };
            exchange.deadline = at + patience;
            self.to_send.extend(asks.into_iter().map(|ask| (peer, ask)));
        }
    }

    /// A message of a peer. Gives the changes that were taken into the mirror.
    pub fn on_message(
        &mut self,
        peer: P,
        message: SyncMessage,
        mirror: &Mirror,
        now: UnixMillis,
        at: Duration,
    ) -> Vec<Change> {
        // Merging is harmless whatever exchange the changes belong to.
        let merge = |changes| mirror.apply_all(changes, now);
        match message {
            SyncMessage::Part { round, share, part, changes, more } => {
                let taken = merge(changes);
                if let Some(exchange) = self.exchange_of(peer, round)
                    && let Work::Snapshot(snapshot) = &mut exchange.work
                {
                    exchange.changed |= !taken.is_empty();
                    exchange.answered = true;
                    match snapshot.on_part(share, part, !more, at) {
                        snapshot::Step::Nothing => {}
                        snapshot::Step::Progress => {
                            exchange.attempts = 0;
                            self.ask(at);
                        }
                        snapshot::Step::Complete => self.finish(End::Complete, at),
                    }
                }
                taken
            }
            SyncMessage::Entries { round, changes, more } => {
                let newer: Vec<Change> =
                    changes.iter().filter_map(|c| mirror.newer_than(c)).collect();
                let taken = merge(changes);
                if !newer.is_empty() {
                    self.push(peer, newer, at);
                }
                if let Some(exchange) = self.exchange_of(peer, round)
                    && let Work::Comparison(comparison) = &mut exchange.work
                {
                    exchange.changed |= !taken.is_empty();
                    let step = comparison.on_entries(more, mirror);
                    self.on_step(step, at);
                }
                taken
            }
            SyncMessage::Symbols { .. }
            | SyncMessage::Request { .. }
            | SyncMessage::AskSymbols { .. }
            | SyncMessage::AskEntries { .. }
                if self.peers.get(&peer).is_some_and(|peer| peer.has_other_key) =>
            {
                Vec::new()
            }
            SyncMessage::Symbols { round, first, from, count, symbols } => {
                if let Some(exchange) = self.exchange_of(peer, round)
                    && let Work::Comparison(comparison) = &mut exchange.work
                {
                    exchange.answered = true;
                    let step = comparison.on_symbols((first, from, count), &symbols, mirror);
                    self.on_step(step, at);
                }
                Vec::new()
            }
            question => {
                let answers = self.answers.to(question, mirror, at);
                self.to_send.extend(answers.into_iter().map(|message| (peer, message)));
                Vec::new()
            }
        }
    }

    /// Whether this node has asked the peer in this exchange.
    #[must_use]
    pub fn has_asked(&self, peer: P, round: u32) -> bool {
        self.exchange.as_ref().is_some_and(|ours| ours.peer == peer && ours.round == round)
    }

    fn exchange_of(&mut self, peer: P, round: u32) -> Option<&mut Exchange<P>> {
        self.exchange.as_mut().filter(|exchange| exchange.peer == peer && exchange.round == round)
    }

    fn on_step(&mut self, step: comparison::Step, at: Duration) {
        let Some(exchange) = &mut self.exchange else { return };
        let (peer, digests) = (exchange.peer, exchange.digests);
        match step {
            comparison::Step::Waits => {}
            comparison::Step::Ask { push } => {
                exchange.attempts = 0;
                self.ask(at);
                self.push(peer, push, at);
            }
            comparison::Step::Complete { push, found_any } => {
                if !found_any && let Some(peer) = self.peers.get_mut(&peer) {
                    peer.hidden = Some(digests);
                }
                // Whether it helped shows in the next digest.
                self.push(peer, push, at);
                self.finish(End::Complete, at);
            }
            comparison::Step::TooMuch => {
                let snapshot = Snapshot::new(digests.1.entries, &self.timing);
                self.begin(peer, Work::Snapshot(snapshot), digests, at);
            }
        }
    }

    /// Sends entries that a peer lacks, as far as may be sent now; it is compared again.
    fn push(&mut self, peer: P, changes: Vec<Change>, at: Duration) {
        for message in comparison::messages(0, changes, &self.timing) {
            if !self.answers.may_send(at) {
                return;
            }
            self.to_send.push((peer, message));
        }
    }

    /// The exchange is over: the next with this peer may come after a pause, longer
    /// if nothing came of it.
    fn finish(&mut self, end: End, at: Duration) {
        let Some(exchange) = self.exchange.take() else { return };
        if let Some(peer) = self.peers.get_mut(&exchange.peer) {
            peer.urgent &= end != End::Complete;
            peer.is_deaf |= end == End::GivenUp
                && !exchange.answered
                && matches!(exchange.work, Work::Comparison(_));
            peer.pause = if exchange.changed {
                self.timing.pause
            } else {
                (peer.pause * 2).min(self.timing.longest_pause)
            };
            peer.not_before = at + peer.pause;
            (peer.differed, peer.streak) = (None, 0);
        }
        if end != End::Complete {
            self.keep(Some(exchange.work), at);
        }
    }

    /// Time has come to [`next_deadline`](Self::next_deadline).
    pub fn on_deadline(&mut self, at: Duration) {
        let Some(exchange) = self.exchange.as_mut().filter(|exchange| exchange.deadline <= at)
        else {
            return;
        };
        if planted(Fault::QuestionNotRepeated) && exchange.attempts > 0 {
            return;
        }
        if exchange.attempts >= self.timing.attempts {
            return self.finish(End::GivenUp, at);
        }
        if let Work::Snapshot(snapshot) = &mut exchange.work {
            snapshot.on_silence();
        }
        self.ask(at);
    }

    /// When to call [`on_deadline`](Self::on_deadline).
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.exchange.as_ref().map(|exchange| exchange.deadline)
    }

    /// Takes the messages to send.
    pub fn take_to_send(&mut self) -> Vec<(P, SyncMessage)> {
        std::mem::take(&mut self.to_send)
    }

    /// Whether an exchange that this node began is under way.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.exchange.is_some()
    }
}
