//! Retransmissions need few bus messages, and do not replace normal sending.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

#[path = "common/plain.rs"]
mod plain;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use bytes::Bytes;
use mailmesh_delivery::*;
use mailmesh_transport::*;
use plain::Plain;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

const TIMEOUT: Duration = Duration::from_secs(30);
const EVENTS: u64 = 1_000;

/// A bus that drops the events to all nodes while `loses` is set, and counts the messages to one
/// node.
struct Lossy {
    inner: MemoryBus,
    loses: AtomicBool,
    to_one: AtomicUsize,
}

impl Bus for Lossy {
    fn put(&self, to: Address, channel: Channel, frame: Bytes) -> Result<(), TransportError> {
        match (to, channel) {
            (Address::All, Channel::Lane(_)) if self.loses.load(Ordering::SeqCst) => return Ok(()),
            (Address::One(_), _) => _ = self.to_one.fetch_add(1, Ordering::SeqCst),
            _ => {}
        }
        self.inner.put(to, channel, frame)
    }

    fn peer_joined(&self, _peer: Incarnation) {}

    fn peer_left(&self, _peer: Incarnation, _for_good: bool) {}

    fn close(&self) -> BusFuture<'_> {
        self.inner.close()
    }
}

/// A bus with a short queue, like that of a link, for messages to all nodes. Messages are dropped
/// when the queue is full.
struct Narrow {
    inner: Arc<MemoryBus>,
    queue: SyncSender<(Channel, Bytes)>,
}

/// Frames in the queue.
const QUEUE: usize = 8;
/// Transmission time of a frame.
const PACE: Duration = Duration::from_micros(100);

impl Narrow {
    fn new(inner: MemoryBus) -> Self {
        let (inner, (queue, waiting)) = (Arc::new(inner), sync_channel(QUEUE));
        let bus = inner.clone();
        std::thread::spawn(move || Self::carry(&bus, &waiting));
        Self { inner, queue }
    }

    /// Carries frames until the queue is closed.
    fn carry(bus: &MemoryBus, waiting: &Receiver<(Channel, Bytes)>) {
        for (channel, frame) in waiting {
            std::thread::sleep(PACE);
            bus.put(Address::All, channel, frame).unwrap();
        }
    }
}

impl Bus for Narrow {
    fn put(&self, to: Address, channel: Channel, frame: Bytes) -> Result<(), TransportError> {
        if to == Address::All {
            let _dropped_when_full = self.queue.try_send((channel, frame));
            return Ok(());
        }
        self.inner.put(to, channel, frame)
    }

    fn peer_joined(&self, _peer: Incarnation) {}

    fn peer_left(&self, _peer: Incarnation, _for_good: bool) {}

    fn close(&self) -> BusFuture<'_> {
        self.inner.close()
    }
}

#[derive(Clone)]
struct OutputSender(mpsc::UnboundedSender<Output>);

impl Sink for OutputSender {
    fn take(&mut self, output: Output) {
        let _receiver_may_be_gone = self.0.send(output);
    }
}

impl DirectSink for OutputSender {
    fn take_direct(&mut self, from: Incarnation, body: Bytes) {
        self.take(Output::Direct { from, body });
    }
}

fn start<B: Bus + 'static>(
    hub: &MemoryHub,
    n: u8,
    bus: impl FnOnce(MemoryBus) -> B,
) -> (Driver, Arc<B>, mpsc::UnboundedReceiver<Output>) {
    let incarnation = Incarnation([n; 16]);
    let (sender, ingress) = IngressQueue::new();
    let bus = Arc::new(bus(hub.join(incarnation, sender)));
    let identity = Identity::new(format!("n{n}").parse().unwrap(), incarnation, 1);
    let node = Endpoint::new(identity, Settings::default(), Time::default());
    let codec =
        (Arc::new(Plain) as Arc<dyn FrameEncoder>, Box::new(Plain) as Box<dyn FrameDecoder>);
    let (outputs_sender, outputs) = mpsc::unbounded_channel();
    let (settings, now, sink) = (Settings::default(), Instant::now(), OutputSender(outputs_sender));
    let sinks = |_| (sink.clone(), sink);
    let driver = Driver::start(node, settings, now, bus.clone(), ingress, codec, sinks);
    (driver.unwrap(), bus, outputs)
}

fn lossy(inner: MemoryBus) -> Lossy {
    Lossy { inner, loses: AtomicBool::new(false), to_one: AtomicUsize::new(0) }
}

async fn joined(outputs: &mut mpsc::UnboundedReceiver<Output>) {
    let joined = async { while !matches!(outputs.recv().await.unwrap(), Output::Joined(_)) {} };
    timeout(TIMEOUT, joined).await.unwrap();
}

/// Waits for `events` events, in order and without a gap.
async fn all_events(outputs: &mut mpsc::UnboundedReceiver<Output>, events: u64) {
    let mut next = 1;
    while next <= events {
        match outputs.recv().await.unwrap() {
            Output::Deliver { first, count, .. } => {
                assert_eq!(first, next);
                next += u64::from(count);
            }
            Output::Gap(gap) => panic!("{gap:?}"),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_retransmitted_frames_share_a_few_messages() {
    let hub = MemoryHub::new();
    let (a, a_bus, mut a_outputs) = start(&hub, 1, lossy);
    let (b, _, mut b_outputs) = start(&hub, 2, lossy);
    joined(&mut a_outputs).await;
    joined(&mut b_outputs).await;

    a_bus.loses.store(true, Ordering::SeqCst);
    for number in 1..=EVENTS {
        let encode = |body: &mut Vec<u8>| {
            body.extend(number.to_be_bytes());
            Ok::<(), ()>(())
        };
        // One frame per event: the lane is idle again before the next.
        a.publish(Lane::Events, encode).await.unwrap();
        while a.positions().into_iter().max() != Some(number) {
            tokio::task::yield_now().await;
        }
    }
    a_bus.loses.store(false, Ordering::SeqCst);
    let before = a_bus.to_one.load(Ordering::SeqCst);

    timeout(TIMEOUT, all_events(&mut b_outputs, EVENTS)).await.unwrap();
    let messages = a_bus.to_one.load(Ordering::SeqCst) - before;
    assert!(messages < 100, "{messages} messages for {EVENTS} frames");

    a.shutdown().await;
    b.shutdown().await;
}

/// A path drops the frames that exceed its capacity, and retransmission must not carry the stream:
/// the sender has to find the path's rate.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_not_sent_faster_than_the_path_can_carry() {
    const FRAMES: u64 = 1_000;
    let hub = MemoryHub::new();
    let (a, _, mut a_outputs) = start(&hub, 1, Narrow::new);
    let (b, _, mut b_outputs) = start(&hub, 2, lossy);
    joined(&mut a_outputs).await;
    joined(&mut b_outputs).await;

    let publish = async {
        for _ in 0..FRAMES {
            let encode = |body: &mut Vec<u8>| {
                body.extend([7; 60_000]);
                Ok::<(), ()>(())
            };
            a.publish(Lane::Events, encode).await.unwrap();
        }
    };
    let all = async { tokio::join!(publish, all_events(&mut b_outputs, FRAMES)) };
    timeout(TIMEOUT, all).await.unwrap();
    let retransmitted = a.counters().delivery.retransmitted_frames;
    assert!(retransmitted < FRAMES / 10, "{retransmitted} of {FRAMES} frames were retransmitted");

    a.shutdown().await;
    b.shutdown().await;
}
