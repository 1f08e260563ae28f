use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use mailmesh_delivery::{Incarnation, Link};
use tokio::sync::mpsc;

/// Most frames waiting.
const FRAMES: usize = 16 * 1024;
/// Most bytes waiting.
const BYTES: usize = 64 << 20;

/// What a bus hands over.
#[derive(Debug)]
pub(crate) enum Arrival {
    Frame(Bytes),
    Link(Incarnation, Link),
}

/// The bounded queue between the bus and the driver: 16 Ki frames, 64 MiB. A
/// frame that does not fit is dropped and counted; its receiver-side stream then
/// has a hole, which is told as a gap.
#[derive(Debug)]
pub struct Intake {
    receiver: mpsc::Receiver<Arrival>,
    shared: Arc<Shared>,
}

/// The bus's end of an [`Intake`]. Cheap to clone; never waits.
#[derive(Debug, Clone)]
pub struct IntakeSender {
    sender: mpsc::Sender<Arrival>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    bytes: AtomicUsize,
    dropped: AtomicU64,
}

impl Intake {
    /// An empty queue and its sending end.
    #[must_use]
    pub fn new() -> (IntakeSender, Self) {
        let (sender, receiver) = mpsc::channel(FRAMES);
        let shared = Arc::<Shared>::default();
        (IntakeSender { sender, shared: shared.clone() }, Self { receiver, shared })
    }

    pub(crate) async fn recv(&mut self) -> Option<Arrival> {
        let arrival = self.receiver.recv().await;
        self.account(arrival.as_ref());
        arrival
    }

    pub(crate) fn try_recv(&mut self) -> Option<Arrival> {
        let arrival = self.receiver.try_recv().ok();
        self.account(arrival.as_ref());
        arrival
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    fn account(&self, arrival: Option<&Arrival>) {
        if let Some(Arrival::Frame(frame)) = arrival {
            self.shared.bytes.fetch_sub(frame.len(), Ordering::Relaxed);
        }
    }
}

impl IntakeSender {
    /// A frame came.
    pub fn frame(&self, frame: Bytes) {
        let len = frame.len();
        let before = self.shared.bytes.fetch_add(len, Ordering::Relaxed);
        let fits = before.saturating_add(len) <= BYTES;
        if !fits || self.sender.try_send(Arrival::Frame(frame)).is_err() {
            self.shared.bytes.fetch_sub(len, Ordering::Relaxed);
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The way to a peer opened or closed. A hint: it may be dropped.
    pub fn link(&self, peer: Incarnation, link: Link) {
        if self.sender.try_send(Arrival::Link(peer, link)).is_err() {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_past_either_bound_are_dropped_and_counted() {
        let (sender, mut intake) = Intake::new();
        for _ in 0..FRAMES + 5 {
            sender.frame(Bytes::from_static(b"x"));
        }
        assert_eq!(intake.dropped(), 5);
        while intake.try_recv().is_some() {}
        let large = Bytes::from(vec![0; BYTES / 2]);
        for _ in 0..3 {
            sender.frame(large.clone());
        }
        assert_eq!(intake.dropped(), 6);
        while intake.try_recv().is_some() {}
        assert_eq!(intake.shared.bytes.load(Ordering::Relaxed), 0);
    }
}
