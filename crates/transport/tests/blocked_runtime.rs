//! A node whose host blocks all workers of its tokio runtime stays a member, and sees the other
//! nodes.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

#[path = "common/plain.rs"]
mod plain;

use std::net::UdpSocket;
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::time::Duration;

use bytes::Bytes;
use mailmesh_delivery::*;
use mailmesh_transport::*;
use plain::Plain;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, sleep, timeout};

const TIMEOUT: Duration = Duration::from_secs(20);
/// Longer than a silent node stays a member.
const BLOCKED: Duration = Duration::from_secs(5);

/// A bus that is not synchronous, like those over a network.
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

#[derive(Clone)]
struct OutputSender(mpsc::Sender<String>);

impl Sink for OutputSender {
    fn take(&mut self, output: Output) {
        let text = match output {
            Output::Joined(_) => "joined".to_owned(),
            Output::Left { reason, .. } => format!("left: {reason:?}"),
            Output::Deliver { .. } => "event".to_owned(),
            _ => return,
        };
        let _receiver_may_be_gone = self.0.send(text);
    }

    fn process_stalled(&mut self, stall: Duration) {
        let _receiver_may_be_gone = self.0.send(format!("stalled for {stall:?}"));
    }
}

impl DirectSink for OutputSender {
    fn take_direct(&mut self, _from: Incarnation, body: Bytes) {
        let _receiver_may_be_gone = self.0.send(String::from_utf8(body.to_vec()).unwrap());
    }
}

struct Running {
    driver: Driver,
    outputs: mpsc::Receiver<String>,
}

impl Running {
    fn next(&self) -> String {
        self.outputs.recv_timeout(TIMEOUT).unwrap()
    }

    fn publish(&self) {
        let encode = |body: &mut Vec<u8>| {
            body.extend([7; 16]);
            Ok::<(), ()>(())
        };
        self.driver.try_publish(Lane::Events, encode).unwrap();
    }
}

fn incarnation(n: u8) -> Incarnation {
    let mut bytes = [n; 16];
    bytes[..4].copy_from_slice(&std::process::id().to_be_bytes());
    Incarnation(bytes)
}

fn drive(n: u8, bus: Arc<dyn Bus>, ingress: IngressQueue) -> Running {
    let identity = Identity::new(format!("n{n}").parse().unwrap(), incarnation(n), 1);
    let node = Endpoint::new(identity, Settings::default(), Time::default());
    let codec =
        (Arc::new(Plain) as Arc<dyn FrameEncoder>, Box::new(Plain) as Box<dyn FrameDecoder>);
    let (sender, outputs) = mpsc::channel();
    let (settings, now, sink) = (Settings::default(), Instant::now(), OutputSender(sender));
    let sinks = |_| (sink.clone(), sink);
    let driver = Driver::start(node, settings, now, bus, ingress, codec, sinks).unwrap();
    Running { driver, outputs }
}

fn over_memory(hub: &MemoryHub, n: u8) -> Running {
    let (sender, ingress) = IngressQueue::new();
    let bus = Networked(hub.join(incarnation(n), sender));
    drive(n, Arc::new(bus), ingress)
}

async fn over_zenoh(port: u16, n: u8) -> Running {
    let text = format!(
        "{{ mode: 'peer', listen: {{ endpoints: ['tcp/127.0.0.1:0'] }}, \
         scouting: {{ multicast: {{ address: '224.0.0.224:{port}', interface: 'lo' }} }} }}"
    );
    let coordinator = Coordinator::parse(&text).unwrap();
    let Backend::Zenoh(settings) = coordinator.backend() else { panic!() };
    let (sender, ingress) = IngressQueue::new();
    let keys = KeySpace::new("blocked").unwrap();
    let bus = ZenohBus::open(settings, keys, incarnation(n), sender, None).await.unwrap();
    drive(n, Arc::new(bus), ingress)
}

/// Two nodes that know each other; `block` blocks the runtime of the second.
fn both_stay(ours: &Runtime, free: &Running, held: &Running, block: impl FnOnce()) {
    assert_eq!([free.next(), held.next()], ["joined", "joined"]);
    block();
    ours.block_on(async { sleep(BLOCKED).await });
    free.publish();
    held.publish();
    let to_free = free.driver.peers().first().map(|(peer, _)| peer.incarnation);
    let to_held = held.driver.peers().first().map(|(peer, _)| peer.incarnation);
    free.driver.send_direct(to_free.expect("a member"), "for you".into()).unwrap();
    held.driver.send_direct(to_held.expect("a member"), "for you".into()).unwrap();
    for node in [free, held] {
        let mut outputs = [node.next(), node.next()];
        outputs.sort();
        assert_eq!(outputs, ["event", "for you"]);
    }
}

#[test]
fn a_node_on_a_runtime_that_nobody_polls_stays_a_member() {
    let (ours, hub) = (Runtime::new().unwrap(), MemoryHub::new());
    let theirs = Builder::new_current_thread().enable_all().build().unwrap();
    let free = ours.block_on(async { over_memory(&hub, 1) });
    let held = theirs.block_on(async { over_memory(&hub, 2) });
    theirs.block_on(async {
        let met = async {
            while held.driver.peers().is_empty() || free.driver.peers().is_empty() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(TIMEOUT, met).await.unwrap();
    });
    both_stay(&ours, &free, &held, || {});
    ours.block_on(free.driver.shutdown());
    theirs.block_on(held.driver.shutdown());
}

#[test]
fn a_node_whose_workers_are_blocked_stays_a_member_over_zenoh() {
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let two = || Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (ours, theirs) = (two(), two());
    let free = ours.block_on(over_zenoh(port, 1));
    let held = theirs.block_on(over_zenoh(port, 2));
    let (blocked, gate) = (Arc::new(Barrier::new(3)), Arc::<Mutex<()>>::default());
    let until_then = gate.lock().unwrap();
    both_stay(&ours, &free, &held, || {
        for _ in 0..2 {
            let (blocked, gate) = (blocked.clone(), gate.clone());
            theirs.spawn(async move {
                blocked.wait();
                drop(gate.lock());
            });
        }
        blocked.wait();
    });
    drop(until_then);
    ours.block_on(free.driver.shutdown());
    theirs.block_on(held.driver.shutdown());
}
