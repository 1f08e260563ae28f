//! The bounded queue between the bus and the driver.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use mailmesh_delivery::{Incarnation, Link};
use parking_lot::Mutex;

use crate::bundle;

/// Maximum number of queued frames.
const MAX_FRAMES: usize = 16 * 1024;
/// Maximum number of queued bytes.
const MAX_BYTES: usize = 64 << 20;

/// One item that the bus hands over.
#[derive(Debug)]
pub(crate) enum Arrival {
    Frame(Bytes),
    Link(Incarnation, Link),
}

/// Handles queued arrivals as far as it can without waiting.
pub(crate) trait ArrivalHandler: Send + Sync {
    fn handle_arrivals(&self);
}

/// The bounded queue between the bus and the driver: 16 Ki frames, 64 MiB. A frame that does not
/// fit is dropped and counted. Its stream then has a hole at this node, which is repaired or
/// reported as a gap.
pub struct IngressQueue {
    shared: Arc<SharedQueue>,
}

/// The bus's end of an [`IngressQueue`]. It is cheap to clone and never waits. The thread that
/// hands a frame over may handle this frame and a bounded number of others before the call returns.
#[derive(Clone)]
pub struct IngressSender {
    shared: Arc<SharedQueue>,
}

#[derive(Default)]
struct SharedQueue {
    waiting: Mutex<Arrivals>,
    dropped: AtomicU64,
    /// Set when the driver starts. Weak, so that the bus does not keep the driver alive.
    arrival_handler: OnceLock<Weak<dyn ArrivalHandler>>,
}

#[derive(Default)]
struct Arrivals {
    arrivals: VecDeque<Arrival>,
    bytes: usize,
}

impl IngressQueue {
    /// An empty queue and its sending end.
    #[must_use]
    pub fn new() -> (IngressSender, Self) {
        let shared = Arc::<SharedQueue>::default();
        (IngressSender { shared: shared.clone() }, Self { shared })
    }

    /// From now on each thread that hands over an arrival calls `arrival_handler`.
    pub(crate) fn attach(&self, arrival_handler: Weak<dyn ArrivalHandler>) {
        let _first_and_only = self.shared.arrival_handler.set(arrival_handler);
    }

    pub(crate) fn pop(&self) -> Option<Arrival> {
        let mut waiting = self.shared.waiting.lock();
        let arrival = waiting.arrivals.pop_front();
        if let Some(Arrival::Frame(frame)) = &arrival {
            waiting.bytes -= frame.len();
        }
        arrival
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.shared.waiting.lock().arrivals.is_empty()
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }
}

impl IngressSender {
    /// A message arrived: a frame, or a bundle of frames.
    pub fn frame(&self, message: Bytes) {
        self.hand_over(bundle::frames(message).map(Arrival::Frame));
    }

    /// The path to a peer opened or closed. This is a hint and may be dropped.
    pub fn link(&self, peer: Incarnation, link: Link) {
        self.hand_over([Arrival::Link(peer, link)]);
    }

    fn hand_over(&self, arrivals: impl IntoIterator<Item = Arrival>) {
        let mut dropped = 0;
        let mut waiting = self.shared.waiting.lock();
        for arrival in arrivals {
            let len = match &arrival {
                Arrival::Frame(frame) => frame.len(),
                Arrival::Link(..) => 0,
            };
            if waiting.arrivals.len() >= MAX_FRAMES || waiting.bytes.saturating_add(len) > MAX_BYTES
            {
                dropped += 1;
            } else {
                waiting.bytes += len;
                waiting.arrivals.push_back(arrival);
            }
        }
        drop(waiting);
        self.shared.dropped.fetch_add(dropped, Ordering::Relaxed);
        if let Some(arrival_handler) = self.shared.arrival_handler.get().and_then(Weak::upgrade) {
            arrival_handler.handle_arrivals();
        }
    }
}

impl std::fmt::Debug for IngressQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IngressQueue({} waiting)", self.shared.waiting.lock().arrivals.len())
    }
}

impl std::fmt::Debug for IngressSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IngressSender")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_past_either_bound_are_dropped_and_counted() {
        let (sender, ingress) = IngressQueue::new();
        for _ in 0..MAX_FRAMES + 5 {
            sender.frame(Bytes::from_static(b"x"));
        }
        assert_eq!(ingress.dropped(), 5);
        while ingress.pop().is_some() {}
        let large = Bytes::from(vec![0; MAX_BYTES / 2]);
        for _ in 0..3 {
            sender.frame(large.clone());
        }
        assert_eq!(ingress.dropped(), 6);
        while ingress.pop().is_some() {}
        assert_eq!(ingress.shared.waiting.lock().bytes, 0);
    }
}
