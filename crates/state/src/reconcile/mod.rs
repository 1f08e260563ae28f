//! Notices that a peer's mirror differs from ours, and makes the two equal.
//!
//! - [`comparison`]: finds the difference by coded symbols, and exchanges it, both ways;
//! - [`full_transfer`]: takes over the whole content of a peer that has much more;
//! - [`responder`]: what is sent to a peer that compares or takes over.
//!
//! Timers are on a monotonic clock (`at`, time since any start); merging needs the
//! wall clock (`now`).

mod comparison;
mod full_transfer;
mod responder;

use std::collections::BTreeMap;
use std::time::Duration;

use mailmesh_events::{Change, MirrorDigest, SyncMessage, UnixMillis};

use crate::Mirror;
use crate::planted::{Fault, planted};
use comparison::{Comparison, ComparisonStep};
use full_transfer::{FullTransfer, PartOutcome};
use responder::{Responder, pack};

/// Timers and sizes of reconciliation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReconcileConfig {
    /// A question without an answer for this long is asked again; while all is taken over,
    /// after four times as long as a share takes, then twice that, and so on. 1 s.
    pub answer_timeout: Duration,
    /// Questions without any answer before the peer is given up for now. 10:
    /// a path that loses half of everything still gets one through.
    pub max_attempts: u32,
    /// Shortest time between two exchanges with one peer; doubles, up to
    /// `max_pause`, while they change nothing. 2 s.
    pub min_pause: Duration,
    /// Longest time between two exchanges with one peer that differs. 60 s.
    pub max_pause: Duration,
    /// Bytes of a part. 32 KiB: a few parts fill a link's queue, not its lane.
    pub part_bytes: usize,
    /// Up to how many shares of a few hundred entries on their way to a node that takes over
    /// all each that comes lets one more go; beyond, each window does, up to 64. 32.
    pub slow_start_threshold: usize,
    /// Digests in a row that differ before an exchange, however they change. 5: about
    /// as many seconds.
    pub max_differing_digests: u32,
    /// Most parts, or answers like them, sent in a second, to all peers. 4,096, which are
    /// a million entries; requests beyond wait for their retry.
    pub max_parts_per_second: u32,
}

impl ReconcileConfig {
    /// As stated.
    const DEFAULT: Self = Self {
        answer_timeout: Duration::from_secs(1),
        max_attempts: 10,
        min_pause: Duration::from_secs(2),
        max_pause: Duration::from_secs(60),
        part_bytes: 32 * 1024,
        slow_start_threshold: 32,
        max_differing_digests: 5,
        max_parts_per_second: 4_096,
    };
}

impl Default for ReconcileConfig {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Keeps a mirror equal to those of the peers `P`.
#[derive(Debug)]
pub struct Reconciler<P> {
    own: P,
    config: ReconcileConfig,
    peers: BTreeMap<P, PeerState>,
    exchange: Option<Exchange<P>>,
    round: u32,
    /// What was resumable with a peer that is gone, and when that was.
    resumable: Option<(FullTransfer, Duration)>,
    responder: Responder,
    outgoing: Vec<(P, SyncMessage)>,
}

#[derive(Debug)]
struct PeerState {
    /// What is asked for without waiting for a second look: it just joined, or
    /// changes of it were missed.
    is_urgent: bool,
    /// Our digest and its, when they last_difference last, and how often in a row.
    last_difference: Option<(MirrorDigest, MirrorDigest)>,
    differing_digests: u32,
    /// Digests that last_difference though a comparison found no difference. If they are still the
    /// same, two versions of an entry have the same item, and all is exchanged.
    undetected: Option<(MirrorDigest, MirrorDigest)>,
    next_exchange_at: Duration,
    pause: Duration,
    /// It answered no question for symbols: perhaps it knows none.
    ignores_symbols: bool,
    /// Its fingerprints are of another key than ours: nothing can be compared.
    has_other_key: bool,
    /// The name of that key, once it told a digest.
    key_id: Option<u32>,
}

/// Questions to one peer, one at a time.
#[derive(Debug)]
struct Exchange<P> {
    peer: P,
    round: u32,
    method: Method,
    /// Our digest and the peer's when it began.
    digests: (MirrorDigest, MirrorDigest),
    began: Duration,
    deadline: Duration,
    attempts: u32,
    answered: bool,
    changed: bool,
}

#[derive(Debug)]
enum Method {
    FullTransfer(FullTransfer),
    Comparison(Comparison),
}

/// How an exchange ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ExchangeEnd {
    Complete,
    TimedOut,
    /// Another peer has its turn.
    Interrupted,
}

/// How long another peer may go on with what was resumable with one.
const RESUMABLE_FOR: Duration = Duration::from_secs(60);
/// An exchange that lasts longer ends when another peer is to be compared with: one that is
/// slow, or lies, does not keep this node from the others.
const EXCLUSIVE_FOR: Duration = Duration::from_secs(30);
/// Digests in a row that differ before the node of the greater name compares: by then
/// the other has.
const YIELD_DIGESTS: u32 = 3;

impl<P: Copy + Ord> Reconciler<P> {
    /// That of the node `own`, without peers.
    #[must_use]
    pub fn new(own: P, config: ReconcileConfig) -> Self {
        Self {
            own,
            config,
            peers: BTreeMap::new(),
            exchange: None,
            round: 0,
            resumable: None,
            responder: Responder::new(config),
            outgoing: Vec::new(),
        }
    }

    /// A peer joined: its first digest that differs starts an exchange.
    pub fn on_joined(&mut self, peer: P) {
        let (next_exchange_at, pause) = (Duration::ZERO, self.config.min_pause);
        let (ignores_symbols, has_other_key, key_id) = (false, false, None);
        let (is_urgent, last_difference, differing_digests, undetected) = (true, None, 0, None);
        let state = PeerState {
            is_urgent,
            last_difference,
            differing_digests,
            undetected,
            next_exchange_at,
            pause,
            ignores_symbols,
            has_other_key,
            key_id,
        };
        self.peers.insert(peer, state);
    }

    /// A peer left.
    pub fn on_left(&mut self, peer: P, at: Duration) {
        self.peers.remove(&peer);
        let exchange = self.exchange.take_if(|exchange| exchange.peer == peer);
        self.keep_resumable(exchange.map(|exchange| exchange.method), at);
    }

    /// Another peer may go on with what was resumable.
    fn keep_resumable(&mut self, method: Option<Method>, at: Duration) {
        if let Some(Method::FullTransfer(transfer)) = method
            && transfer.has_progress()
        {
            self.resumable = Some((transfer, at));
        }
    }

    /// The mirror's fingerprints are of another key from now on: what was under way is not
    /// understood any more.
    pub fn on_rekeyed(&mut self) {
        (self.exchange, self.resumable) = (None, None);
        for peer in self.peers.values_mut() {
            // Until it tells its digest.
            (peer.last_difference, peer.differing_digests, peer.has_other_key) = (None, 0, true);
        }
    }

    /// The names of the keys of the peers' fingerprints, as their digests told.
    pub fn peer_key_ids(&self) -> impl Iterator<Item = (P, u32)> {
        self.peers.iter().filter_map(|(peer, state)| Some((*peer, state.key_id?)))
    }

    /// Changes of a peer were missed: its next digest that differs starts an exchange.
    pub fn on_gap(&mut self, peer: P) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.is_urgent = true;
        }
    }

    /// A peer told its digest. One that differs may only mean that a change is on
    /// its way. An exchange starts when two in a row are the same while ours is, too;
    /// or, while changes keep coming, after [`ReconcileConfig::max_differing_digests`] in a row.
    pub fn on_digest(&mut self, peer: P, theirs: MirrorDigest, ours: MirrorDigest, at: Duration) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        state.key_id = Some(theirs.key);
        state.has_other_key = theirs.key != ours.key;
        if state.has_other_key {
            (state.last_difference, state.differing_digests) = (None, 0);
            self.exchange.take_if(|exchange| exchange.peer == peer);
            return;
        }
        if theirs == ours || planted(Fault::NotCompared) {
            (state.is_urgent, state.last_difference, state.differing_digests) = (false, None, 0);
            state.pause = self.config.min_pause;
            return;
        }
        state.differing_digests += 1;
        let is_repeated = state.last_difference.replace((ours, theirs)) == Some((ours, theirs));
        let is_persistent = state.differing_digests >= self.config.max_differing_digests;
        let is_occupied = self.exchange.as_ref().is_some_and(|exchange| {
            let is_exclusive =
                at < exchange.began + EXCLUSIVE_FOR || planted(Fault::ExchangeWithoutEnd);
            exchange.peer == peer || is_exclusive
        });
        if is_occupied
            || at < state.next_exchange_at
            || !(is_repeated || is_persistent || state.is_urgent)
        {
            return;
        }
        self.resumable.take_if(|(resumable, since)| {
            at >= *since + RESUMABLE_FOR || !resumable.fits(theirs.entries)
        });
        let needs_full_transfer = theirs.entries / 2 > ours.entries || self.resumable.is_some();
        let initiates = needs_full_transfer || self.own < peer || state.is_urgent;
        // Who has much less takes over from us.
        let peer_is_far_behind = ours.entries / 2 > theirs.entries;
        if (peer_is_far_behind || !initiates) && state.differing_digests < YIELD_DIGESTS {
            return;
        }
        // Perhaps it was only a path that lost much.
        let ignores_symbols = std::mem::take(&mut state.ignores_symbols);
        let is_undetected = state.undetected.take() == Some((ours, theirs));
        self.finish(ExchangeEnd::Interrupted, at);
        // The peer of the interrupted exchange may have lied about how much it has.
        self.resumable.take_if(|(resumable, _)| !resumable.fits(theirs.entries));
        let method = if needs_full_transfer || ignores_symbols || is_undetected {
            let resumable = self.resumable.take();
            Method::FullTransfer(resumable.map_or_else(
                || FullTransfer::new(theirs.entries, &self.config),
                |(resumable, _)| resumable.resumed(&self.config),
            ))
        } else {
            Method::Comparison(Comparison::new())
        };
        self.begin(peer, method, (ours, theirs), at);
    }

    fn begin(
        &mut self,
        peer: P,
        method: Method,
        digests: (MirrorDigest, MirrorDigest),
        at: Duration,
    ) {
        // 0 is of no exchange.
        self.round = self.round.wrapping_add(1).max(1);
        let (round, deadline) = (self.round, at);
        let (answered, changed) = (false, false);
        let (began, attempts) = (at, 0);
        self.exchange = Some(Exchange {
            peer,
            round,
            method,
            digests,
            began,
            deadline,
            attempts,
            answered,
            changed,
        });
        self.send_queries(at);
    }

    /// Asks what is open.
    fn send_queries(&mut self, at: Duration) {
        if let Some(exchange) = &mut self.exchange {
            exchange.attempts += 1;
            let (peer, round) = (exchange.peer, exchange.round);
            let (queries, timeout) = match &mut exchange.method {
                Method::FullTransfer(transfer) => {
                    (transfer.requests(round, at), transfer.timeout(&self.config))
                }
                Method::Comparison(comparison) => {
                    (vec![comparison.request(round)], self.config.answer_timeout)
                }
            };
            exchange.deadline = at + timeout;
            self.outgoing.extend(queries.into_iter().map(|query| (peer, query)));
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
                    && let Method::FullTransfer(transfer) = &mut exchange.method
                {
                    exchange.changed |= !taken.is_empty();
                    exchange.answered = true;
                    match transfer.on_part(share, part, !more, at) {
                        PartOutcome::Unexpected => {}
                        PartOutcome::Progress => {
                            exchange.attempts = 0;
                            self.send_queries(at);
                        }
                        PartOutcome::Complete => self.finish(ExchangeEnd::Complete, at),
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
                    && let Method::Comparison(comparison) = &mut exchange.method
                {
                    exchange.changed |= !taken.is_empty();
                    let step = comparison.on_entries(more, mirror);
                    self.on_comparison_step(step, at);
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
                    && let Method::Comparison(comparison) = &mut exchange.method
                {
                    exchange.answered = true;
                    let step = comparison.on_symbols((first, from, count), &symbols, mirror);
                    self.on_comparison_step(step, at);
                }
                Vec::new()
            }
            question => {
                let answers = self.responder.answer(question, mirror, at);
                self.outgoing.extend(answers.into_iter().map(|message| (peer, message)));
                Vec::new()
            }
        }
    }

    /// Whether this node has asked the peer in this exchange.
    #[must_use]
    pub fn has_exchange(&self, peer: P, round: u32) -> bool {
        self.exchange.as_ref().is_some_and(|ours| ours.peer == peer && ours.round == round)
    }

    fn exchange_of(&mut self, peer: P, round: u32) -> Option<&mut Exchange<P>> {
        self.exchange.as_mut().filter(|exchange| exchange.peer == peer && exchange.round == round)
    }

    fn on_comparison_step(&mut self, step: ComparisonStep, at: Duration) {
        let Some(exchange) = &mut self.exchange else { return };
        let (peer, digests) = (exchange.peer, exchange.digests);
        match step {
            ComparisonStep::Wait => {}
            ComparisonStep::Ask { push } => {
                exchange.attempts = 0;
                self.send_queries(at);
                self.push(peer, push, at);
            }
            ComparisonStep::Complete { push, found_any } => {
                if !found_any && let Some(peer) = self.peers.get_mut(&peer) {
                    peer.undetected = Some(digests);
                }
                // Whether it helped shows in the next digest.
                self.push(peer, push, at);
                self.finish(ExchangeEnd::Complete, at);
            }
            ComparisonStep::TooDifferent => {
                let transfer = FullTransfer::new(digests.1.entries, &self.config);
                self.begin(peer, Method::FullTransfer(transfer), digests, at);
            }
        }
    }

    /// Sends entries that a peer lacks, as far as may be sent now; it is compared again.
    fn push(&mut self, peer: P, changes: Vec<Change>, at: Duration) {
        for message in comparison::messages(0, changes, &self.config) {
            if !self.responder.may_send(at) {
                return;
            }
            self.outgoing.push((peer, message));
        }
    }

    /// The exchange is over: the next with this peer may come after a pause, longer
    /// if nothing came of it.
    fn finish(&mut self, end: ExchangeEnd, at: Duration) {
        let Some(exchange) = self.exchange.take() else { return };
        if let Some(peer) = self.peers.get_mut(&exchange.peer) {
            peer.is_urgent &= end != ExchangeEnd::Complete;
            peer.ignores_symbols |= end == ExchangeEnd::TimedOut
                && !exchange.answered
                && matches!(exchange.method, Method::Comparison(_));
            peer.pause = if exchange.changed {
                self.config.min_pause
            } else {
                (peer.pause * 2).min(self.config.max_pause)
            };
            peer.next_exchange_at = at + peer.pause;
            (peer.last_difference, peer.differing_digests) = (None, 0);
        }
        if end != ExchangeEnd::Complete {
            self.keep_resumable(Some(exchange.method), at);
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
        if exchange.attempts >= self.config.max_attempts {
            return self.finish(ExchangeEnd::TimedOut, at);
        }
        if let Method::FullTransfer(transfer) = &mut exchange.method {
            transfer.on_timeout();
        }
        self.send_queries(at);
    }

    /// When to call [`on_deadline`](Self::on_deadline).
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.exchange.as_ref().map(|exchange| exchange.deadline)
    }

    /// Takes the messages to send.
    pub fn take_outgoing(&mut self) -> Vec<(P, SyncMessage)> {
        std::mem::take(&mut self.outgoing)
    }

    /// Whether an exchange that this node began is under way.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.exchange.is_some()
    }
}
