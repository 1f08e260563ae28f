//! What is sent again costs few messages of the bus.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

#[path = "common/plain.rs"]
mod plain;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use mailmesh_delivery::*;
use mailmesh_transport::*;
use plain::Plain;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

const PATIENCE: Duration = Duration::from_secs(30);
const EVENTS: u64 = 1_000;

/// A bus that loses the events to all while it is told to, and counts what goes to one.
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

    fn expect(&self, _peer: Incarnation) {}

    fn forget(&self, _peer: Incarnation, _for_good: bool) {}

    fn close(&self) -> BusFuture<'_> {
        self.inner.close()
    }
}

struct Tell(mpsc::UnboundedSender<Output>);

impl Sink for Tell {
    fn take(&mut self, output: Output) {
        let _nobody_listens_any_more = self.0.send(output);
    }
}

fn start(hub: &MemoryHub, n: u8) -> (Driver, Arc<Lossy>, mpsc::UnboundedReceiver<Output>) {
    let incarnation = Incarnation([n; 16]);
    let (sender, intake) = Intake::new();
    let inner = hub.join(incarnation, sender);
    let bus = Arc::new(Lossy { inner, loses: AtomicBool::new(false), to_one: AtomicUsize::new(0) });
    let identity = Identity::new(format!("n{n}").parse().unwrap(), incarnation, 1);
    let node = Node::new(identity, Settings::default(), Time::default());
    let codec = (Arc::new(Plain) as Arc<dyn Seal>, Box::new(Plain) as Box<dyn Open>);
    let (tell, told) = mpsc::unbounded_channel();
    let (settings, now) = (Settings::default(), Instant::now());
    let driver =
        Driver::start(node, settings, now, bus.clone(), intake, codec, |_| Tell(tell)).unwrap();
    (driver, bus, told)
}

async fn joined(told: &mut mpsc::UnboundedReceiver<Output>) {
    let joined = async { while !matches!(told.recv().await.unwrap(), Output::Joined(_)) {} };
    timeout(PATIENCE, joined).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_frames_sent_again_share_a_few_messages() {
    let hub = MemoryHub::new();
    let (a, a_bus, mut a_told) = start(&hub, 1);
    let (b, _, mut b_told) = start(&hub, 2);
    joined(&mut a_told).await;
    joined(&mut b_told).await;

    a_bus.loses.store(true, Ordering::SeqCst);
    for number in 1..=EVENTS {
        let encode = |body: &mut Vec<u8>| {
            body.extend(number.to_be_bytes());
            Ok::<(), ()>(())
        };
        // One frame each: the lane is idle again before the next.
        a.publish(Lane::Events, encode).await.unwrap();
        while a.positions().into_iter().max() != Some(number) {
            tokio::task::yield_now().await;
        }
    }
    a_bus.loses.store(false, Ordering::SeqCst);
    let before = a_bus.to_one.load(Ordering::SeqCst);

    let all = async {
        let mut next = 1;
        while next <= EVENTS {
            match b_told.recv().await.unwrap() {
                Output::Deliver { first, count, .. } => {
                    assert_eq!((first, count), (next, 1));
                    next += 1;
                }
                Output::Gap(gap) => panic!("{gap:?}"),
                _ => {}
            }
        }
    };
    timeout(PATIENCE, all).await.unwrap();
    let messages = a_bus.to_one.load(Ordering::SeqCst) - before;
    assert!(messages < 100, "{messages} messages for {EVENTS} frames");

    a.shutdown().await;
    b.shutdown().await;
}
