//! Many publishers, hot lanes, and inputs from all sides at once: order holds, and no event waits
//! for another event before it is handled.
//!
//! `MAILMESH_ROUNDS` repeats each test, to find races under other load.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

#[path = "common/plain.rs"]
mod plain;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::time::Duration;

use bytes::Bytes;
use mailmesh_delivery::*;
use mailmesh_transport::*;
use plain::Plain;
use tokio::runtime::Runtime;
use tokio::time::Instant;

const TIMEOUT: Duration = Duration::from_secs(30);

fn rounds() -> usize {
    std::env::var("MAILMESH_ROUNDS").ok().map_or(3, |rounds| rounds.parse().unwrap())
}

/// The outputs of a node's sink, and a gate that blocks the sink.
#[derive(Default)]
struct Recorder {
    outputs: Mutex<Vec<Output>>,
    changed: Condvar,
    sink_gate: Mutex<()>,
    in_sink: AtomicBool,
}

#[derive(Clone)]
struct RecordingSink(Arc<Recorder>);

impl Sink for RecordingSink {
    fn take(&mut self, output: Output) {
        self.0.in_sink.store(true, Ordering::SeqCst);
        drop(self.0.sink_gate.lock().unwrap());
        self.0.in_sink.store(false, Ordering::SeqCst);
        self.0.outputs.lock().unwrap().push(output);
        self.0.changed.notify_all();
    }
}

impl DirectSink for RecordingSink {
    fn take_direct(&mut self, from: Incarnation, body: Bytes) {
        self.take(Output::Direct { from, body });
    }
}

impl Recorder {
    /// Waits until `done` returns a result for all outputs so far.
    fn until<R>(&self, what: &str, mut done: impl FnMut(&[Output]) -> Option<R>) -> R {
        let deadline = std::time::Instant::now() + TIMEOUT;
        let mut outputs = self.outputs.lock().unwrap();
        loop {
            if let Some(result) = done(&outputs) {
                return result;
            }
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            assert!(!left.is_zero(), "timed out waiting for {what}; {} outputs", outputs.len());
            outputs = self.changed.wait_timeout(outputs, left).unwrap().0;
        }
    }

    fn joined(&self) {
        self.until("a peer", |outputs| {
            outputs.iter().any(|o| matches!(o, Output::Joined(_))).then_some(())
        });
    }

    /// Waits for `count` events of a lane. Returns their concatenated bodies.
    fn events(&self, lane: Lane, count: u64) -> Vec<u8> {
        self.until(&format!("{count} events"), |outputs| {
            let (mut next, mut all) = (1, Vec::new());
            for output in outputs {
                match output {
                    Output::Deliver { lane: l, first, count, body, .. } if *l == lane => {
                        assert_eq!(*first, next, "in order");
                        next += u64::from(*count);
                        all.extend_from_slice(body);
                    }
                    Output::Gap(gap) => panic!("{gap:?}"),
                    _ => {}
                }
            }
            (next > count).then_some(all)
        })
    }
}

fn start(hub: &MemoryHub, n: u8) -> (Driver, Arc<Recorder>) {
    let incarnation = Incarnation([n; 16]);
    let name = format!("n{n}").parse().unwrap();
    let (sender, ingress) = IngressQueue::new();
    let bus = Networked(hub.join(incarnation, sender));
    start_over(Arc::new(bus), ingress, incarnation, name)
}

/// A bus for which events are batched, as over a network.
struct Networked(MemoryBus);

impl Bus for Networked {
    fn put(&self, to: Address, channel: Channel, frame: Bytes) -> Result<(), TransportError> {
        self.0.put(to, channel, frame)
    }

    fn peer_joined(&self, _peer: Incarnation) {}

    fn peer_left(&self, _peer: Incarnation, _for_good: bool) {}

    fn close(&self) -> BusFuture<'_> {
        self.0.close()
    }
}

fn start_over(
    bus: Arc<dyn Bus>,
    ingress: IngressQueue,
    incarnation: Incarnation,
    name: NodeName,
) -> (Driver, Arc<Recorder>) {
    let recorder = Arc::<Recorder>::default();
    let identity = Identity::new(name, incarnation, 1);
    let node = Endpoint::new(identity, Settings::default(), Time::default());
    let codec =
        (Arc::new(Plain) as Arc<dyn FrameEncoder>, Box::new(Plain) as Box<dyn FrameDecoder>);
    let (settings, sink) = (Settings::default(), RecordingSink(recorder.clone()));
    let sinks = |_| (sink.clone(), sink);
    let driver = Driver::start(node, settings, Instant::now(), bus, ingress, codec, sinks);
    (driver.unwrap(), recorder)
}

fn publish(runtime: &Runtime, driver: &Driver, lane: Lane, event: [u8; 8]) {
    let encode = |body: &mut Vec<u8>| {
        body.extend(event);
        Ok::<(), ()>(())
    };
    match driver.try_publish(lane, encode) {
        Err(PublishError::Full) => runtime.block_on(driver.publish(lane, encode)).unwrap(),
        other => other.unwrap(),
    }
}

/// An event: the thread that published it, and its number in that thread.
fn event(thread: u32, number: u32) -> [u8; 8] {
    (u64::from(thread) << 32 | u64::from(number)).to_be_bytes()
}

#[test]
fn many_publishers_on_hot_lanes_keep_their_order_and_lose_nothing() {
    const THREADS: u32 = 4;
    const EACH: u32 = 3_000;
    let runtime = Runtime::new().unwrap();
    let _guard = runtime.enter();
    for _ in 0..rounds() {
        let hub = MemoryHub::new();
        let nodes: Vec<_> = (1..=3).map(|n| start(&hub, n)).collect();
        nodes.iter().for_each(|(_, recorder)| recorder.joined());
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                for (driver, _) in &nodes[..2] {
                    let runtime = &runtime;
                    scope.spawn(move || {
                        for number in 0..EACH {
                            let lane = Lane::ALL[usize::from(number % 16 == 0)];
                            publish(runtime, driver, lane, event(thread, number));
                        }
                    });
                }
            }
        });
        let recorder = &nodes[2].1;
        recorder.until("all events", |outputs| {
            let mut last = std::collections::BTreeMap::new();
            let mut count = 0;
            for output in outputs {
                if let Output::Gap(gap) = output {
                    panic!("{gap:?}");
                }
                let Output::Deliver { from, lane, body, .. } = output else { continue };
                for event in body.chunks(8) {
                    let event = u64::from_be_bytes(event.try_into().unwrap());
                    let (thread, number) = (event >> 32, event as u32);
                    let before = last.insert((*from, *lane, thread), number);
                    assert!(before.is_none_or(|before| before < number), "{before:?}, {number}");
                    count += 1;
                }
            }
            (count == 2 * THREADS * EACH).then_some(())
        });
        runtime.block_on(async {
            for (driver, _) in &nodes {
                driver.shutdown().await;
            }
        });
    }
}

#[test]
fn the_last_event_of_a_burst_arrives_without_another() {
    let runtime = Runtime::new().unwrap();
    let _guard = runtime.enter();
    for _ in 0..rounds() {
        let hub = MemoryHub::new();
        let ((a, a_recorder), (b, b_recorder)) = (start(&hub, 1), start(&hub, 2));
        a_recorder.joined();
        b_recorder.joined();
        let mut sent = PerLane::default();
        for burst in 0..48 {
            // From one event, which its publisher sends, to enough for a hot lane.
            let lane = Lane::ALL[burst % 2];
            for _ in 0..1 << (burst % 8) {
                sent[lane] += 1;
                publish(&runtime, &a, lane, event(0, sent[lane]));
            }
            // Publish nothing more until it has arrived.
            b_recorder.events(lane, sent[lane].into());
        }
        runtime.block_on(async {
            a.shutdown().await;
            b.shutdown().await;
        });
    }
}

#[test]
fn arrivals_during_a_blocked_sink_are_handled_by_its_holder() {
    let runtime = Runtime::new().unwrap();
    let _guard = runtime.enter();
    for _ in 0..rounds() {
        let hub = MemoryHub::new();
        let ((a, a_recorder), (b, b_recorder), (c, c_recorder)) =
            (start(&hub, 1), start(&hub, 2), start(&hub, 3));
        for recorder in [&a_recorder, &b_recorder, &c_recorder] {
            recorder.joined();
        }
        c_recorder.until("two peers", |outputs| {
            let joined = outputs.iter().filter(|o| matches!(o, Output::Joined(_))).count();
            (joined == 2).then_some(())
        });
        std::thread::scope(|scope| {
            let sink_gate = c_recorder.sink_gate.lock().unwrap();
            // One of a's threads, or c's task, is now blocked in c's sink ...
            scope.spawn(|| publish(&runtime, &a, Lane::Urgent, event(1, 1)));
            while !c_recorder.in_sink.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            // ... and b, which puts many events, is not blocked.
            for number in 1..=500 {
                publish(&runtime, &b, Lane::Events, event(2, number));
            }
            b_recorder.events(Lane::Urgent, 1);
            a_recorder.events(Lane::Events, 500);
            drop(sink_gate);
        });
        let events = c_recorder.events(Lane::Events, 500);
        assert_eq!(events.len(), 500 * 8);
        c_recorder.events(Lane::Urgent, 1);
        runtime.block_on(async {
            for driver in [a, b, c] {
                driver.shutdown().await;
            }
        });
    }
}

/// A bus that accepts an event frame only with a permit.
struct Slow {
    inner: MemoryBus,
    permits: Mutex<mpsc::Receiver<()>>,
}

impl Bus for Slow {
    fn put(&self, to: Address, channel: Channel, frame: Bytes) -> Result<(), TransportError> {
        if let Channel::Lane(_) = channel {
            let _closed_means_unlimited = self.permits.lock().unwrap().recv();
        }
        self.inner.put(to, channel, frame)
    }

    fn peer_joined(&self, _peer: Incarnation) {}

    fn peer_left(&self, _peer: Incarnation, _for_good: bool) {}

    fn close(&self) -> BusFuture<'_> {
        self.inner.close()
    }
}

#[test]
fn a_full_lane_refuses_events_and_publishers_wait_for_room() {
    let runtime = Runtime::new().unwrap();
    let _guard = runtime.enter();
    let hub = MemoryHub::new();
    let (b, b_recorder) = start(&hub, 2);
    let (sender, ingress) = IngressQueue::new();
    let incarnation = Incarnation([1; 16]);
    let (permit, permits) = mpsc::channel();
    let bus = Slow { inner: hub.join(incarnation, sender), permits: Mutex::new(permits) };
    let (a, a_recorder) = start_over(Arc::new(bus), ingress, incarnation, "n1".parse().unwrap());
    a_recorder.joined();
    b_recorder.joined();
    let large = |body: &mut Vec<u8>| {
        body.extend([7; 8 * 1024]);
        Ok::<(), ()>(())
    };
    std::thread::scope(|scope| {
        // Blocked in its put, like the sending thread of a slow link.
        scope.spawn(|| a.try_publish(Lane::Events, large).unwrap());
        while a.positions()[Lane::Events] == 0 {
            std::thread::yield_now();
        }
        let mut taken = 1;
        while a.try_publish(Lane::Events, large).is_ok() {
            taken += 1;
        }
        assert_eq!(a.try_publish(Lane::Events, large), Err(PublishError::Full));
        assert!((1 << 20..2 << 20).contains(&a.counters().waiting_bytes));
        // The other lane is not affected, and no waiting publisher is lost.
        let waiting: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| runtime.block_on(a.publish(Lane::Events, large))))
            .collect();
        drop(permit);
        for waiting in waiting {
            waiting.join().unwrap().unwrap();
            taken += 1;
        }
        let body = b_recorder.events(Lane::Events, taken);
        assert_eq!(body.len() as u64, taken * 8 * 1024);
    });
    runtime.block_on(async {
        a.shutdown().await;
        b.shutdown().await;
    });
}

/// A bus whose next put of events panics.
struct Faulty {
    inner: MemoryBus,
    panics: Arc<AtomicBool>,
}

impl Bus for Faulty {
    fn put(&self, to: Address, channel: Channel, frame: Bytes) -> Result<(), TransportError> {
        if matches!(channel, Channel::Lane(_)) && self.panics.swap(false, Ordering::SeqCst) {
            panic!("a bug of the bus");
        }
        self.inner.put(to, channel, frame)
    }

    fn peer_joined(&self, _peer: Incarnation) {}

    fn peer_left(&self, _peer: Incarnation, _for_good: bool) {}

    fn close(&self) -> BusFuture<'_> {
        self.inner.close()
    }
}

#[test]
fn a_lane_continues_after_a_publisher_panics_in_its_put() {
    let runtime = Runtime::new().unwrap();
    let _guard = runtime.enter();
    let hub = MemoryHub::new();
    let (b, b_recorder) = start(&hub, 2);
    let (sender, ingress) = IngressQueue::new();
    let (incarnation, panics) = (Incarnation([1; 16]), Arc::<AtomicBool>::default());
    let bus = Faulty { inner: hub.join(incarnation, sender), panics: panics.clone() };
    let (a, a_recorder) = start_over(Arc::new(bus), ingress, incarnation, "n1".parse().unwrap());
    a_recorder.joined();
    b_recorder.joined();
    for (round, lane) in Lane::ALL.into_iter().enumerate() {
        panics.store(true, Ordering::SeqCst);
        let publish_one = || publish(&runtime, &a, lane, event(0, 1));
        let publishing = catch_unwind(AssertUnwindSafe(publish_one));
        assert!(publishing.is_err(), "the publisher panics, round {round}");
        publish(&runtime, &a, lane, event(0, 2));
        // The first event is repaired: its frame was numbered before the panic.
        assert_eq!(b_recorder.events(lane, 2), [event(0, 1), event(0, 2)].concat());
    }
    assert!(a.is_running());
    runtime.block_on(async {
        a.shutdown().await;
        b.shutdown().await;
    });
}
