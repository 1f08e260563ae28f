//! Detects that the mirror of a peer differs from this node's, and makes the two equal.
//!
//! - [`comparison`]: finds the differences by coded symbols and exchanges them, both ways;
//! - [`full_transfer`]: takes over the whole content of a peer that has much more;
//! - [`responder`]: answers the queries of peers.
//!
//! Timers use a monotonic clock (`at`, the time since any start); merging needs the wall clock
//! (`now`).

mod comparison;
mod full_transfer;
mod packing;
mod responder;

use std::collections::BTreeMap;
use std::time::Duration;

use mailmesh_events::{Change, MirrorDigest, SyncMessage, UnixMillis};

use crate::Mirror;
use crate::planted::{Fault, planted};
use comparison::{Comparison, ComparisonStep};
use full_transfer::{FullTransfer, PartOutcome};
use responder::Responder;

/// Timeouts and sizes of reconciliation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReconcileConfig {
    /// A query without an answer is repeated after this time. In a full transfer this is the upper
    /// bound: the timeout is four times the smoothed round trip of a share, doubled with each
    /// timeout in a row. Default: 1 s.
    pub answer_timeout: Duration,
    /// Queries without any answer before the exchange is given up. Default: 10, so that one gets
    /// through a path that loses half of all messages.
    pub max_attempts: u32,
    /// Shortest time between two exchanges with one peer. Doubles up to `max_pause` while exchanges
    /// change nothing. Default: 2 s.
    pub min_pause: Duration,
    /// Longest time between two exchanges with a peer that differs. Default: 60 s.
    pub max_pause: Duration,
    /// Approximate size of a part, in bytes. Default: 32 KiB: a few parts fill the queue of a link,
    /// but not that of its lane.
    pub part_bytes: usize,
    /// Slow-start threshold of a full transfer: the number of shares (of some 256 entries) in
    /// flight beyond which the window grows by one for each window, up to 64. Default: 32.
    pub slow_start_threshold: usize,
    /// Differing digests in a row after which an exchange starts even if the digests keep changing.
    /// Default: 5, which takes about as many seconds.
    pub max_differing_digests: u32,
    /// Maximum number of parts, or answers of like cost, sent per second to all peers together.
    /// Requests beyond it get no answer and are repeated by the peer. Default: 4,096, which is a
    /// million entries.
    pub max_parts_per_second: u32,
}

impl ReconcileConfig {
    /// The documented defaults.
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

/// Keeps a mirror equal to the mirrors of the peers `P`.
#[derive(Debug)]
pub struct Reconciler<P> {
    own: P,
    config: ReconcileConfig,
    peers: BTreeMap<P, PeerState>,
    exchange: Option<Exchange<P>>,
    round: u32,
    /// A full transfer that was interrupted, which another peer may continue, and when it was
    /// interrupted.
    resumable: Option<(FullTransfer, Duration)>,
    responder: Responder,
    outgoing: Vec<(P, SyncMessage)>,
}

#[derive(Debug)]
struct PeerState {
    /// The next differing digest starts an exchange at once: the peer has just joined, or changes
    /// of it were missed.
    is_urgent: bool,
    /// This node's digest and the peer's at the last difference.
    last_difference: Option<(MirrorDigest, MirrorDigest)>,
    differing_digests: u32,
    /// Digests that differed although a comparison found no difference. If they are still the same
    /// at the next exchange, two versions of an entry have the same item, and a full transfer is
    /// needed.
    undetected: Option<(MirrorDigest, MirrorDigest)>,
    next_exchange_at: Duration,
    pause: Duration,
    /// The peer answered no query for symbols; it may not support them.
    ignores_symbols: bool,
    /// The peer's fingerprint key differs from this node's, so nothing can be compared.
    has_other_key: bool,
}

/// Queries to one peer, one at a time.
#[derive(Debug)]
struct Exchange<P> {
    peer: P,
    round: u32,
    method: Method,
    /// This node's digest and the peer's when the exchange began.
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

/// Why an exchange ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ExchangeEnd {
    Complete,
    TimedOut,
    /// An exchange with another peer replaces it.
    Interrupted,
}

/// How long another peer may continue an interrupted full transfer.
const RESUMABLE_FOR: Duration = Duration::from_secs(60);
/// How long an exchange excludes others. After that an exchange with another peer may interrupt it,
/// so that a slow or lying peer does not keep this node from the others.
const EXCLUSIVE_FOR: Duration = Duration::from_secs(30);
/// Differing digests in a row before the node that should not initiate does so anyway: by then the
/// other node should have.
const YIELD_DIGESTS: u32 = 3;

impl<P: Copy + Ord> Reconciler<P> {
    /// The reconciler of the node `own`, without peers.
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

    /// Adds a peer. Its first differing digest starts an exchange.
    pub fn on_joined(&mut self, peer: P) {
        let state = PeerState {
            is_urgent: true,
            last_difference: None,
            differing_digests: 0,
            undetected: None,
            next_exchange_at: Duration::ZERO,
            pause: self.config.min_pause,
            ignores_symbols: false,
            has_other_key: false,
        };
        self.peers.insert(peer, state);
    }

    /// Removes a peer. Another peer may continue a full transfer from it.
    pub fn on_left(&mut self, peer: P, at: Duration) {
        self.peers.remove(&peer);
        let exchange = self.exchange.take_if(|exchange| exchange.peer == peer);
        self.keep_resumable(exchange.map(|exchange| exchange.method), at);
    }

    /// Keeps a full transfer that has received shares, so that another peer can continue it.
    fn keep_resumable(&mut self, method: Option<Method>, at: Duration) {
        if let Some(Method::FullTransfer(transfer)) = method
            && transfer.has_progress()
        {
            self.resumable = Some((transfer, at));
        }
    }

    /// The mirror has a new fingerprint key. The running exchange ends: its shares and items are
    /// meaningless under the new key.
    pub fn on_rekeyed(&mut self) {
        (self.exchange, self.resumable) = (None, None);
        for peer in self.peers.values_mut() {
            // Assumed until the peer's next digest shows its key.
            (peer.last_difference, peer.differing_digests, peer.has_other_key) = (None, 0, true);
        }
    }

    /// Changes of a peer were missed: its next differing digest starts an exchange at once.
    pub fn on_gap(&mut self, peer: P) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.is_urgent = true;
        }
    }

    /// Handles the digest of a peer. A differing digest may only mean that a change is in flight.
    /// So an exchange starts when two differing digests in a row are equal while this node's is
    /// unchanged too, or, while changes keep coming, after
    /// [`ReconcileConfig::max_differing_digests`] in a row.
    pub fn on_digest(&mut self, peer: P, theirs: MirrorDigest, ours: MirrorDigest, at: Duration) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        state.has_other_key = theirs.key_id != ours.key_id;
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
        // A peer with much less content takes over this node's.
        let peer_is_far_behind = ours.entries / 2 > theirs.entries;
        if (peer_is_far_behind || !initiates) && state.differing_digests < YIELD_DIGESTS {
            return;
        }
        // Reset: the missing answers may have been lost on a bad path.
        let ignores_symbols = std::mem::take(&mut state.ignores_symbols);
        let is_undetected = state.undetected.take() == Some((ours, theirs));
        self.finish(ExchangeEnd::Interrupted, at);
        // The peer of the interrupted exchange may have lied about the number of its entries.
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
        // Round 0 marks entries that belong to no exchange.
        self.round = self.round.wrapping_add(1).max(1);
        self.exchange = Some(Exchange {
            peer,
            round: self.round,
            method,
            digests,
            began: at,
            deadline: at,
            attempts: 0,
            answered: false,
            changed: false,
        });
        self.send_queries(at);
    }

    /// Sends the pending queries, or repeats them.
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

    /// Handles a message of a peer. Returns the changes that were merged into the mirror.
    pub fn on_message(
        &mut self,
        peer: P,
        message: SyncMessage,
        mirror: &Mirror,
        now: UnixMillis,
        at: Duration,
    ) -> Vec<Change> {
        // Merging is harmless whichever exchange the changes belong to.
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
            query => {
                let answers = self.responder.answer(query, mirror, at);
                self.outgoing.extend(answers.into_iter().map(|message| (peer, message)));
                Vec::new()
            }
        }
    }

    /// Whether exchange `round` with `peer` is running, so that answers of it are expected.
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
                // The next digest shows whether the exchange helped.
                self.push(peer, push, at);
                self.finish(ExchangeEnd::Complete, at);
            }
            ComparisonStep::TooDifferent => {
                let transfer = FullTransfer::new(digests.1.entries, &self.config);
                self.begin(peer, Method::FullTransfer(transfer), digests, at);
            }
        }
    }

    /// Sends entries that a peer lacks, as far as the token bucket allows. The next exchange finds
    /// the rest.
    fn push(&mut self, peer: P, changes: Vec<Change>, at: Duration) {
        for message in comparison::messages(0, changes, &self.config) {
            if !self.responder.may_send(at) {
                return;
            }
            self.outgoing.push((peer, message));
        }
    }

    /// Ends the exchange. The next one with this peer waits for a pause, which doubles if the
    /// exchange changed nothing.
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

    /// Repeats queries or gives the exchange up once [`next_deadline`](Self::next_deadline) has
    /// passed.
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

    /// When to call [`on_deadline`](Self::on_deadline); `None` without an exchange.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.exchange.as_ref().map(|exchange| exchange.deadline)
    }

    /// Takes the messages to send, with their receivers.
    pub fn take_outgoing(&mut self) -> Vec<(P, SyncMessage)> {
        std::mem::take(&mut self.outgoing)
    }

    /// Whether an exchange that this node began is running.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.exchange.is_some()
    }
}
