//! Events do not wait for direct messages, which may cause much work.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

#[path = "common/plain.rs"]
mod plain;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use mailmesh_delivery::*;
use mailmesh_transport::*;
use plain::Plain;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

const TIMEOUT: Duration = Duration::from_secs(20);
/// First byte of a direct message of [`Plain`].
const DIRECT: u8 = 3;

/// A bus that records whether it has put a direct message.
struct RecordingBus {
    inner: MemoryBus,
    has_put_direct: Arc<AtomicBool>,
}

impl Bus for RecordingBus {
    fn put(&self, to: Address, channel: Channel, frame: Bytes) -> Result<(), TransportError> {
        let is_direct = frame[0] == DIRECT;
        let put = self.inner.put(to, channel, frame);
        self.has_put_direct.fetch_or(is_direct, Ordering::SeqCst);
        put
    }

    fn is_synchronous(&self) -> bool {
        true
    }

    fn peer_joined(&self, _peer: Incarnation) {}

    fn peer_left(&self, _peer: Incarnation, _for_good: bool) {}

    fn close(&self) -> BusFuture<'_> {
        self.inner.close()
    }
}

struct OutputSender(mpsc::UnboundedSender<Output>);

impl Sink for OutputSender {
    fn take(&mut self, output: Output) {
        let _receiver_may_be_gone = self.0.send(output);
    }
}

/// Receives a direct message, and does not return before its gate opens.
struct Work {
    began: mpsc::UnboundedSender<Output>,
    gate: Arc<Mutex<()>>,
}

impl DirectSink for Work {
    fn take_direct(&mut self, from: Incarnation, body: Bytes) {
        let _receiver_may_be_gone = self.began.send(Output::Direct { from, body });
        drop(self.gate.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

struct Running {
    driver: Driver,
    outputs: mpsc::UnboundedReceiver<Output>,
    /// Blocks the sink of direct messages.
    gate: Arc<Mutex<()>>,
    has_put_direct: Arc<AtomicBool>,
}

impl Running {
    async fn until(&mut self, what: &str, mut is_it: impl FnMut(&Output) -> bool) {
        let found = async { while !is_it(&self.outputs.recv().await.unwrap()) {} };
        timeout(TIMEOUT, found).await.unwrap_or_else(|_| panic!("timed out waiting for {what}"));
    }

    async fn joined(&mut self) {
        self.until("a peer", |output| matches!(output, Output::Joined(_))).await;
    }

    async fn event(&mut self) {
        self.until("an event", |output| matches!(output, Output::Deliver { .. })).await;
    }
}

fn start(hub: &MemoryHub, n: u8) -> Running {
    let incarnation = Incarnation([n; 16]);
    let (sender, ingress) = IngressQueue::new();
    let has_put_direct = Arc::<AtomicBool>::default();
    let inner = hub.join(incarnation, sender);
    let bus = Arc::new(RecordingBus { inner, has_put_direct: has_put_direct.clone() });
    let identity = Identity::new(format!("n{n}").parse().unwrap(), incarnation, 1);
    let node = Endpoint::new(identity, Settings::default(), Time::default());
    let codec =
        (Arc::new(Plain) as Arc<dyn FrameEncoder>, Box::new(Plain) as Box<dyn FrameDecoder>);
    let (output_sender, outputs) = mpsc::unbounded_channel();
    let (settings, now) = (Settings::default(), Instant::now());
    let gate = Arc::<Mutex<()>>::default();
    let work = Work { began: output_sender.clone(), gate: gate.clone() };
    let sinks = |_| (OutputSender(output_sender), work);
    let driver = Driver::start(node, settings, now, bus, ingress, codec, sinks).unwrap();
    Running { driver, outputs, gate, has_put_direct }
}

/// Publishes an event of `a` after the bus has put a direct message from `a` to `b`.
async fn a_direct_then_an_event(a: &Running, b: Incarnation) {
    a.driver.send_direct(b, "much work".into()).unwrap();
    let put = async {
        while !a.has_put_direct.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
    };
    timeout(TIMEOUT, put).await.unwrap();
    let encode = |body: &mut Vec<u8>| {
        body.extend([7; 16]);
        Ok::<(), ()>(())
    };
    a.driver.publish(Lane::Events, encode).await.unwrap();
}

#[test]
fn events_are_handled_while_a_direct_message_waits_for_a_busy_runtime() {
    let (ours, busy) = (Runtime::new().unwrap(), Builder::new_current_thread());
    let busy = { busy }.enable_all().build().unwrap();
    let hub = MemoryHub::new();
    let mut a = ours.block_on(async { start(&hub, 1) });
    let mut b = busy.block_on(async { start(&hub, 2) });
    busy.block_on(b.joined());
    ours.block_on(async {
        a.joined().await;
        // From now on b's runtime runs no task.
        a_direct_then_an_event(&a, Incarnation([2; 16])).await;
        b.event().await;
        drop(a);
    });
    busy.block_on(async { drop(b) });
}

#[test]
fn events_are_handled_while_a_direct_message_is_processed() {
    let runtime = Runtime::new().unwrap();
    let hub = MemoryHub::new();
    let (mut a, mut b) = runtime.block_on(async { (start(&hub, 1), start(&hub, 2)) });
    runtime.block_on(async {
        a.joined().await;
        b.joined().await;
    });
    let gate = b.gate.clone();
    let held = gate.lock().unwrap();
    runtime.block_on(async {
        a_direct_then_an_event(&a, Incarnation([2; 16])).await;
        let (mut began, mut came) = (false, false);
        b.until("the message and the event", |output| {
            began |= matches!(output, Output::Direct { .. });
            came |= matches!(output, Output::Deliver { .. });
            began && came
        })
        .await;
    });
    drop(held);
    runtime.block_on(async {
        a.driver.shutdown().await;
        b.driver.shutdown().await;
    });
}
