//! Notices that a peer's mirror differs from ours, and fetches its content. Each
//! node fetches for itself; merging what is fetched makes the two equal.
//!
//! A fetch is a request for a window of parts, then the next window, until the
//! last part. Parts that get lost are asked for again.

use std::collections::BTreeMap;
use std::time::Duration;

use mailmesh_events::{Change, MirrorDigest, SyncMessage, UnixMillis};

use crate::Mirror;

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
}

#[derive(Debug)]
struct Peer {
    /// What is asked for without waiting for a second look: it just joined, or
    /// changes of it were missed.
    urgent: bool,
    /// Our digest and its, when they differed last.
    differed: Option<(MirrorDigest, MirrorDigest)>,
    not_before: UnixMillis,
    pause: Duration,
}

#[derive(Debug)]
struct Fetch<P> {
    peer: P,
    round: u32,
    next: u64,
    /// Parts asked for.
    window_left: u32,
    /// Parts that came ahead of `next`: first entry, number, whether the last.
    /// At most a window of them.
    ahead: BTreeMap<u64, (u64, bool)>,
    deadline: UnixMillis,
    attempts: u32,
    changed: bool,
}

impl<P: Copy + Ord> Reconciler<P> {
    /// One without peers.
    #[must_use]
    pub fn new(timing: Timing) -> Self {
        Self { timing, peers: BTreeMap::new(), fetch: None, round: 0, to_send: Vec::new() }
    }

    /// A peer joined: its first digest that differs starts a fetch.
    pub fn on_joined(&mut self, peer: P) {
        let pause = self.timing.pause;
        let state = Peer { urgent: true, differed: None, not_before: UnixMillis(0), pause };
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

    /// A peer told its digest. Two in a row that differ, with ours unchanged,
    /// start a fetch: one alone may only mean that a change is on its way.
    pub fn on_digest(
        &mut self,
        peer: P,
        theirs: MirrorDigest,
        ours: MirrorDigest,
        now: UnixMillis,
    ) {
        let Some(state) = self.peers.get_mut(&peer) else {
            return;
        };
        if theirs == ours {
            state.urgent = false;
            state.differed = None;
            state.pause = self.timing.pause;
            return;
        }
        let again = state.differed.replace((ours, theirs)) == Some((ours, theirs));
        if self.fetch.is_some() || now < state.not_before || !(again || state.urgent) {
            return;
        }
        state.urgent = false;
        self.round = self.round.wrapping_add(1);
        let mut fetch = Fetch {
            peer,
            round: self.round,
            next: 0,
            window_left: 0,
            ahead: BTreeMap::new(),
            deadline: now,
            attempts: 0,
            changed: false,
        };
        self.to_send.push(fetch.request(&self.timing, now));
        self.fetch = Some(fetch);
    }

    /// A message of a peer. Gives the changes that were taken into the mirror.
    pub fn on_message(
        &mut self,
        peer: P,
        message: SyncMessage,
        mirror: &Mirror,
        now: UnixMillis,
    ) -> Vec<Change> {
        match message {
            SyncMessage::Request { round, after } => {
                self.answer(peer, round, after, mirror);
                Vec::new()
            }
            SyncMessage::Part { round, first, changes, last } => {
                self.on_part(peer, (round, first, last), changes, mirror, now)
            }
            _ => Vec::new(),
        }
    }

    fn answer(&mut self, peer: P, round: u32, after: u64, mirror: &Mirror) {
        let mut first = after;
        for _ in 0..self.timing.window {
            let (changes, last) = mirror.page(first, self.timing.part);
            let len = changes.len() as u64;
            self.to_send.push((peer, SyncMessage::Part { round, first, changes, last }));
            first += len;
            if last {
                return;
            }
        }
    }

    fn on_part(
        &mut self,
        peer: P,
        (round, first, last): (u32, u64, bool),
        changes: Vec<Change>,
        mirror: &Mirror,
        now: UnixMillis,
    ) -> Vec<Change> {
        let len = changes.len() as u64;
        // Merging is harmless whatever the part belongs to.
        let taken: Vec<Change> = changes
            .into_iter()
            .filter(|change| mirror.apply(change, now) == crate::Applied::Changed)
            .collect();
        let Some(fetch) = self.fetch.as_mut().filter(|f| f.peer == peer && f.round == round) else {
            return taken;
        };
        fetch.changed |= !taken.is_empty();
        if first >= fetch.next && fetch.ahead.len() < self.timing.window as usize {
            fetch.ahead.insert(first, (len, last));
        }
        let before = fetch.next;
        let mut is_over = false;
        while let Some((len, last)) = fetch.ahead.remove(&fetch.next) {
            fetch.next += len;
            fetch.window_left = fetch.window_left.saturating_sub(1);
            is_over |= last;
            if len == 0 {
                break;
            }
        }
        if fetch.next > before {
            fetch.attempts = 0;
        }
        if is_over {
            self.finish(now);
        } else if fetch.window_left == 0 {
            let request = fetch.request(&self.timing, now);
            self.to_send.push(request);
        }
        taken
    }

    /// The fetch is over: the next from this peer may come after a pause, longer
    /// if nothing came of it.
    fn finish(&mut self, now: UnixMillis) {
        let Some(fetch) = self.fetch.take() else {
            return;
        };
        if let Some(peer) = self.peers.get_mut(&fetch.peer) {
            peer.pause = if fetch.changed {
                self.timing.pause
            } else {
                (peer.pause * 2).min(self.timing.longest_pause)
            };
            peer.not_before = now.plus(peer.pause);
            peer.differed = None;
        }
    }

    /// Time has come to [`next_deadline`](Self::next_deadline).
    pub fn on_deadline(&mut self, now: UnixMillis) {
        let Some(fetch) = self.fetch.as_mut().filter(|fetch| fetch.deadline <= now) else {
            return;
        };
        if fetch.attempts >= self.timing.attempts {
            self.finish(now);
        } else {
            let request = fetch.request(&self.timing, now);
            self.to_send.push(request);
        }
    }

    /// When to call [`on_deadline`](Self::on_deadline).
    #[must_use]
    pub fn next_deadline(&self) -> Option<UnixMillis> {
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
    fn request(&mut self, timing: &Timing, now: UnixMillis) -> (P, SyncMessage) {
        self.attempts += 1;
        self.window_left = timing.window;
        self.ahead.retain(|first, _| *first >= self.next);
        self.deadline = now.plus(timing.retry);
        (self.peer, SyncMessage::Request { round: self.round, after: self.next })
    }
}
