//! The queue of direct messages from the receiving side to the layer above.
//!
//! A direct message may cause much work, so a callback of the bus only queues it, and the driver's
//! task delivers it. **Policy**: a message is dropped and counted if the queue is full. Direct
//! messages arrive at most once, so the layer above asks again for what is missing. One peer may
//! fill at most half of the queue, so that its flood leaves room for the other peers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use mailmesh_delivery::Incarnation;
use parking_lot::Mutex;

/// Maximum number of queued messages.
const MAX_MESSAGES: usize = 4 * 1024;
/// Maximum number of queued bytes.
const MAX_BYTES: usize = 32 << 20;

#[derive(Debug, Default)]
pub(super) struct DirectQueue {
    waiting: Mutex<MessageQueue>,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct MessageQueue {
    messages: VecDeque<(Incarnation, Bytes)>,
    bytes: usize,
    /// The share of each peer with a queued message.
    shares: BTreeMap<Incarnation, Share>,
}

#[derive(Debug, Default)]
struct Share {
    messages: usize,
    bytes: usize,
}

impl DirectQueue {
    pub(super) fn push(&self, from: Incarnation, body: Bytes) {
        let mut waiting = self.waiting.lock();
        if !waiting.has_room(from, body.len()) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.bytes += body.len();
        let share = waiting.shares.entry(from).or_default();
        share.messages += 1;
        share.bytes += body.len();
        waiting.messages.push_back((from, body));
    }

    pub(super) fn pop(&self) -> Option<(Incarnation, Bytes)> {
        let mut waiting = self.waiting.lock();
        let (from, body) = waiting.messages.pop_front()?;
        waiting.bytes -= body.len();
        if let Some(share) = waiting.shares.get_mut(&from) {
            share.messages -= 1;
            share.bytes -= body.len();
            if share.messages == 0 {
                waiting.shares.remove(&from);
            }
        }
        Some((from, body))
    }

    /// Drops the messages of a peer that left.
    pub(super) fn forget(&self, peer: Incarnation) {
        let mut waiting = self.waiting.lock();
        if let Some(share) = waiting.shares.remove(&peer) {
            waiting.messages.retain(|(from, _)| *from != peer);
            waiting.bytes -= share.bytes;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.lock().messages.is_empty()
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl MessageQueue {
    fn has_room(&self, from: Incarnation, len: usize) -> bool {
        let share = self.shares.get(&from);
        let (messages, bytes) = share.map_or((0, 0), |share| (share.messages, share.bytes));
        let fits = |bytes: usize, max| bytes.saturating_add(len) <= max;
        self.messages.len() < MAX_MESSAGES
            && fits(self.bytes, MAX_BYTES)
            && messages < MAX_MESSAGES / 2
            && fits(bytes, MAX_BYTES / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Incarnation = Incarnation([1; 16]);
    const B: Incarnation = Incarnation([2; 16]);
    const C: Incarnation = Incarnation([3; 16]);

    fn queued(directs: &DirectQueue) -> (usize, usize, usize) {
        let waiting = directs.waiting.lock();
        (waiting.messages.len(), waiting.bytes, waiting.shares.len())
    }

    #[test]
    fn messages_past_a_bound_are_dropped_and_one_peer_gets_half() {
        let directs = DirectQueue::default();
        for _ in 0..MAX_MESSAGES {
            directs.push(A, Bytes::from_static(b"flood"));
        }
        assert_eq!(directs.dropped(), MAX_MESSAGES as u64 / 2);
        for peer in [B, C] {
            for _ in 0..MAX_MESSAGES / 4 {
                directs.push(peer, Bytes::from_static(b"one"));
            }
        }
        assert_eq!(directs.dropped(), MAX_MESSAGES as u64 / 2, "the others have room");
        directs.push(C, Bytes::new());
        assert_eq!(directs.dropped(), MAX_MESSAGES as u64 / 2 + 1, "all is full");
        directs.forget(A);
        assert_eq!(queued(&directs), (MAX_MESSAGES / 2, MAX_MESSAGES / 2 * 3, 2));
        while directs.pop().is_some() {}
        assert!(directs.is_empty());
        assert_eq!(queued(&directs), (0, 0, 0));
    }

    #[test]
    fn the_queue_of_direct_messages_is_bounded_in_bytes() {
        let directs = DirectQueue::default();
        let large = Bytes::from(vec![0; MAX_BYTES / 4]);
        for peer in [A, A, A, B, B, C] {
            directs.push(peer, large.clone());
        }
        assert_eq!((queued(&directs), directs.dropped()), ((4, MAX_BYTES, 2), 2));
        let from = std::iter::from_fn(|| directs.pop().map(|(from, _)| from));
        assert_eq!(from.collect::<Vec<_>>(), [A, A, B, B]);
    }
}
