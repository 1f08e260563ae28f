//! Notices that a peer's mirror differs from ours, and fetches its content. Each
//! node fetches for itself; merging what is fetched makes the two equal.
//!
//! A fetch is a request for a window of parts, then the next window, until the
//! last part. Parts are in key order and each names the key it ends with, so what
//! changes meanwhile shifts nothing. Parts that get lost are asked for again.
//!
//! Timers are on a monotonic clock (`at`, time since any start); merging needs the
//! wall clock (`now`).

use std::collections::BTreeMap;
use std::time::Duration;

use mailmesh_events::{Change, ChangeKey, MirrorDigest, SyncMessage, UnixMillis};

use crate::{Applied, Mirror};

/// Timers and sizes of reconciliation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timing {
    /// A fetch without an answer for this long is asked again. 1 s.
    pub retry: Duration,
    /// Requests without any answer before the peer is given up for now. 10:
    /// a path that loses half of everything still gets one through.
    pub attempts: u32,
    /// Shortest time between two fetches from one peer; doubles, up to
    /// `longest_pause`, while fetching changes nothing. 2 s.
    pub pause: Duration,
    /// Longest time between two fetches from one peer that differs. 60 s.
    pub longest_pause: Duration,
    /// Bytes of a part. 32 KiB: a few parts fill a link's queue, not its lane.
    pub part: usize,
    /// Parts sent for one request. 8.
    pub window: u32,
    /// Digests in a row that differ before a fetch, however they change. 5: about
    /// as many seconds.
    pub patience: u32,
    /// Most parts sent in a second, to all peers. 512; requests beyond wait for
    /// their retry.
    pub parts_per_second: u32,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            retry: Duration::from_secs(1),
            attempts: 10,
            pause: Duration::from_secs(2),
            longest_pause: Duration::from_secs(60),
            part: 32 * 1024,
            window: 8,
            patience: 5,
            parts_per_second: 512,
        }
    }
}

/// Keeps a mirror equal to those of the peers `P`.
#[derive(Debug)]
pub struct Reconciler<P> {
    timing: Timing,
    peers: BTreeMap<P, Peer>,
    fetch: Option<Fetch<P>>,
    round: u32,
    to_send: Vec<(P, SyncMessage)>,
    /// Parts that may be sent now, a second's worth at most.
    budget: f64,
    refilled: Duration,
}

#[derive(Debug)]
struct Peer {
    /// What is asked for without waiting for a second look: it just joined, or
    /// changes of it were missed.
    urgent: bool,
    /// Our digest and its, when they differed last, and how often in a row.
    differed: Option<(MirrorDigest, MirrorDigest)>,
    streak: u32,
    not_before: Duration,
    pause: Duration,
}

#[derive(Debug)]
struct Fetch<P> {
    peer: P,
    round: u32,
    /// Number of the next part, and the key it begins after.
    next: u32,
    after: Option<ChangeKey>,
    /// Parts asked for.
    window_left: u32,
    /// Parts that came ahead of `next`, and the keys that what follows them begins
    /// after. At most a window of them.
    ahead: BTreeMap<u32, Option<ChangeKey>>,
    deadline: Duration,
    attempts: u32,
    changed: bool,
}

/// How a fetch ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Complete,
    GivenUp,
}

impl<P: Copy + Ord> Reconciler<P> {
    /// One without peers.
    #[must_use]
    pub fn new(timing: Timing) -> Self {
        Self {
            timing,
            peers: BTreeMap::new(),
            fetch: None,
            round: 0,
            to_send: Vec::new(),
            budget: timing.parts_per_second.into(),
            refilled: Duration::ZERO,
        }
    }

    /// A peer joined: its first digest that differs starts a fetch.
    pub fn on_joined(&mut self, peer: P) {
        let (not_before, pause) = (Duration::ZERO, self.timing.pause);
        let state = Peer { urgent: true, differed: None, streak: 0, not_before, pause };
        self.peers.insert(peer, state);
    }

    /// A peer left.
    pub fn on_left(&mut self, peer: P) {
        self.peers.remove(&peer);
        self.fetch.take_if(|fetch| fetch.peer == peer);
    }

    /// Changes of a peer were missed: its next digest that differs starts a fetch.
    pub fn on_gap(&mut self, peer: P) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.urgent = true;
        }
    }

    /// A peer told its digest. One that differs may only mean that a change is on
    /// its way. A fetch starts when two in a row are the same while ours is, too;
    /// or, while changes keep coming, after [`Timing::patience`] in a row.
    pub fn on_digest(&mut self, peer: P, theirs: MirrorDigest, ours: MirrorDigest, at: Duration) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        if theirs == ours {
            (state.urgent, state.differed, state.streak) = (false, None, 0);
            state.pause = self.timing.pause;
            return;
        }
        state.streak += 1;
        let again = state.differed.replace((ours, theirs)) == Some((ours, theirs));
        let lasting = state.streak >= self.timing.patience;
        if self.fetch.is_some() || at < state.not_before || !(again || lasting || state.urgent) {
            return;
        }
        self.round = self.round.wrapping_add(1);
        let mut fetch = Fetch {
            peer,
            round: self.round,
            next: 0,
            after: None,
            window_left: 0,
            ahead: BTreeMap::new(),
            deadline: at,
            attempts: 0,
            changed: false,
        };
        self.to_send.push(fetch.request(&self.timing, at));
        self.fetch = Some(fetch);
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
        match message {
            SyncMessage::Request { round, part, after } => {
                self.answer(peer, round, (part, after), mirror, at);
                Vec::new()
            }
            SyncMessage::Part { round, part, changes, more_after } => {
                let taken = changes.into_iter();
                // Merging is harmless whatever the part belongs to.
                let taken: Vec<Change> =
                    taken.filter(|change| mirror.apply(change, now) == Applied::Changed).collect();
                self.on_part(peer, round, (part, more_after), !taken.is_empty(), at);
                taken
            }
            _ => Vec::new(),
        }
    }

    fn answer(
        &mut self,
        peer: P,
        round: u32,
        (mut part, mut after): (u32, Option<ChangeKey>),
        mirror: &Mirror,
        at: Duration,
    ) {
        let rate = f64::from(self.timing.parts_per_second);
        let earned = at.saturating_sub(self.refilled).as_secs_f64() * rate;
        self.budget = (self.budget + earned).min(rate);
        self.refilled = at;
        for _ in 0..self.timing.window {
            if self.budget < 1.0 {
                return;
            }
            self.budget -= 1.0;
            let (changes, more_after) = mirror.page(after.as_ref(), self.timing.part);
            let message =
                SyncMessage::Part { round, part, changes, more_after: more_after.clone() };
            self.to_send.push((peer, message));
            if more_after.is_none() {
                return;
            }
            part = part.wrapping_add(1);
            after = more_after;
        }
    }

    fn on_part(
        &mut self,
        peer: P,
        round: u32,
        (part, more_after): (u32, Option<ChangeKey>),
        changed: bool,
        at: Duration,
    ) {
        let Some(fetch) = self.fetch.as_mut().filter(|f| f.peer == peer && f.round == round) else {
            return;
        };
        fetch.changed |= changed;
        if part >= fetch.next && fetch.ahead.len() < self.timing.window as usize {
            fetch.ahead.insert(part, more_after);
        }
        while let Some(more_after) = fetch.ahead.remove(&fetch.next) {
            fetch.next += 1;
            fetch.attempts = 0;
            fetch.window_left = fetch.window_left.saturating_sub(1);
            if more_after.is_none() {
                return self.finish(End::Complete, at);
            }
            fetch.after = more_after;
        }
        if fetch.window_left == 0 {
            let request = fetch.request(&self.timing, at);
            self.to_send.push(request);
        }
    }

    /// The fetch is over: the next from this peer may come after a pause, longer
    /// if nothing came of it.
    fn finish(&mut self, end: End, at: Duration) {
        let Some(fetch) = self.fetch.take() else { return };
        if let Some(peer) = self.peers.get_mut(&fetch.peer) {
            peer.urgent &= end == End::GivenUp;
            peer.pause = if fetch.changed {
                self.timing.pause
            } else {
                (peer.pause * 2).min(self.timing.longest_pause)
            };
            peer.not_before = at + peer.pause;
            (peer.differed, peer.streak) = (None, 0);
        }
    }

    /// Time has come to [`next_deadline`](Self::next_deadline).
    pub fn on_deadline(&mut self, at: Duration) {
        let Some(fetch) = self.fetch.as_mut().filter(|fetch| fetch.deadline <= at) else { return };
        if fetch.attempts >= self.timing.attempts {
            self.finish(End::GivenUp, at);
        } else {
            let request = fetch.request(&self.timing, at);
            self.to_send.push(request);
        }
    }

    /// When to call [`on_deadline`](Self::on_deadline).
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.fetch.as_ref().map(|fetch| fetch.deadline)
    }

    /// Takes the messages to send.
    pub fn take_to_send(&mut self) -> Vec<(P, SyncMessage)> {
        std::mem::take(&mut self.to_send)
    }

    /// Whether a fetch is under way.
    #[must_use]
    pub fn is_fetching(&self) -> bool {
        self.fetch.is_some()
    }
}

impl<P: Copy> Fetch<P> {
    /// Asks for the next window.
    fn request(&mut self, timing: &Timing, at: Duration) -> (P, SyncMessage) {
        self.attempts += 1;
        self.window_left = timing.window;
        self.deadline = at + timing.retry;
        let (round, part, after) = (self.round, self.next, self.after.clone());
        (self.peer, SyncMessage::Request { round, part, after })
    }
}
