//! Nodes driven over both buses, with unsealed frames.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

#[path = "common/plain.rs"]
mod plain;

use std::net::UdpSocket;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use mailmesh_delivery::*;
use mailmesh_transport::*;
use plain::Plain;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

const TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Clone)]
struct CollectingSink(mpsc::UnboundedSender<Output>);

impl Sink for CollectingSink {
    fn take(&mut self, output: Output) {
        if !matches!(output, Output::Tag { .. }) {
            let _receiver_may_be_gone = self.0.send(output);
        }
    }
}

impl DirectSink for CollectingSink {
    fn take_direct(&mut self, from: Incarnation, body: Bytes) {
        self.take(Output::Direct { from, body });
    }
}

/// Records the members that it is notified of.
struct MemberTrackingDecoder(Arc<Mutex<Vec<Incarnation>>>);

impl FrameDecoder for MemberTrackingDecoder {
    fn decode(&mut self, bytes: Bytes) -> Option<DecodedFrame> {
        Plain.decode(bytes)
    }

    fn peer_joined(&mut self, peer: Incarnation) {
        self.0.lock().unwrap().push(peer);
    }

    fn peer_left(&mut self, peer: Incarnation) {
        self.0.lock().unwrap().retain(|member| *member != peer);
    }
}

struct Running {
    /// The members that the decoder was notified of.
    members: Arc<Mutex<Vec<Incarnation>>>,
    driver: Driver,
    outputs: mpsc::UnboundedReceiver<Output>,
    incarnation: Incarnation,
}

impl Running {
    async fn next(&mut self) -> Output {
        timeout(TIMEOUT, self.outputs.recv()).await.expect("an output in time").unwrap()
    }

    async fn joined(&mut self) -> Incarnation {
        match self.next().await {
            Output::Joined(peer) => peer.incarnation,
            other => panic!("{other:?}"),
        }
    }

    fn publish(&self, lane: Lane, text: &str) {
        let encode = |body: &mut Vec<u8>| {
            body.extend(text.as_bytes());
            Ok::<(), String>(())
        };
        self.driver.try_publish(lane, encode).unwrap();
    }
}

fn incarnation(n: u8) -> Incarnation {
    let mut bytes = [n; 16];
    // Keeps the ids apart from Zenoh sessions of other test processes.
    bytes[..4].copy_from_slice(&std::process::id().to_be_bytes());
    Incarnation(bytes)
}

fn drive(n: u8, bus: Arc<dyn Bus>, ingress: IngressQueue) -> Running {
    let (settings, start) = (Settings::default(), Instant::now());
    let name = format!("n{n}").parse().unwrap();
    let incarnation = incarnation(n);
    let node = Endpoint::new(
        Identity::new(name, incarnation, n.into()),
        settings.clone(),
        Time::default(),
    );
    let (sender, outputs) = mpsc::unbounded_channel();
    let members = Arc::<Mutex<Vec<Incarnation>>>::default();
    let decoder = Box::new(MemberTrackingDecoder(members.clone()));
    let codec = (Arc::new(Plain) as Arc<dyn FrameEncoder>, decoder as Box<dyn FrameDecoder>);
    let sink = CollectingSink(sender);
    let sinks = |_| (sink.clone(), sink);
    let driver = Driver::start(node, settings, start, bus, ingress, codec, sinks).unwrap();
    Running { members, driver, outputs, incarnation }
}

fn over_memory(hub: &MemoryHub, n: u8) -> Running {
    let (sender, ingress) = IngressQueue::new();
    let bus = Arc::new(hub.join(incarnation(n), sender));
    drive(n, bus, ingress)
}

/// Multicast scouting on the loopback interface, on a port of this test.
fn loopback() -> ZenohSettings {
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = format!(
        "{{ mode: 'peer', listen: {{ endpoints: ['tcp/127.0.0.1:0'] }}, \
         scouting: {{ multicast: {{ address: '224.0.0.224:{port}', interface: 'lo' }} }} }}"
    );
    match Coordinator::parse(&text).unwrap().backend() {
        Backend::Zenoh(settings) => (**settings).clone(),
        other => panic!("{other:?}"),
    }
}

async fn over_zenoh(settings: &ZenohSettings, cluster: &str, n: u8) -> Running {
    let (sender, ingress) = IngressQueue::new();
    let keys = KeySpace::new(cluster).unwrap();
    let bus = ZenohBus::open(settings, keys, incarnation(n), sender, None).await.unwrap();
    drive(n, Arc::new(bus), ingress)
}

/// Two nodes that meet, publish in both lanes, send a direct message, and part.
async fn meet_and_part(mut a: Running, mut b: Running) {
    assert_eq!(a.joined().await, b.incarnation);
    assert_eq!(b.joined().await, a.incarnation);
    assert_eq!(*b.members.lock().unwrap(), [a.incarnation]);
    for i in 0..300 {
        a.publish(Lane::Events, &format!("e{i};"));
        a.publish(Lane::Urgent, &format!("u{i};"));
    }
    let mut delivered = PerLane::<String>::default();
    let mut next = PerLane::new(1, 1);
    while next != PerLane::new(301, 301) {
        match b.next().await {
            Output::Deliver { from, lane, first, count, body } => {
                assert_eq!((from, first), (a.incarnation, next[lane]));
                next[lane] += u64::from(count);
                delivered[lane] += std::str::from_utf8(&body).unwrap();
            }
            other => panic!("{other:?}"),
        }
    }
    let expected = |letter: char| (0..300).map(|i| format!("{letter}{i};")).collect::<String>();
    assert_eq!(delivered, PerLane::new(expected('u'), expected('e')));

    b.driver.send_direct(a.incarnation, "for you".into()).unwrap();
    let direct = Output::Direct { from: b.incarnation, body: "for you".into() };
    assert_eq!(a.next().await, direct);

    a.driver.shutdown().await;
    match b.next().await {
        Output::Left { peer, reason } => {
            assert_eq!((peer.incarnation, reason), (a.incarnation, LeaveReason::Bye));
        }
        other => panic!("{other:?}"),
    }
    assert!(b.driver.peers().is_empty() && b.members.lock().unwrap().is_empty());
    b.driver.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_meet_and_part_over_memory() {
    let hub = MemoryHub::new();
    meet_and_part(over_memory(&hub, 1), over_memory(&hub, 2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_meet_and_part_over_zenoh() {
    let settings = loopback();
    let (a, b) = (over_zenoh(&settings, "mail", 1).await, over_zenoh(&settings, "mail", 2).await);
    meet_and_part(a, b).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clusters_of_different_names_never_receive_each_others_frames() {
    let settings = loopback();
    let mut a = over_zenoh(&settings, "one", 3).await;
    let mut b = over_zenoh(&settings, "other", 4).await;
    let mut c = over_zenoh(&settings, "one", 5).await;
    // When a and c know each other and have exchanged an event, b had the same opportunity.
    assert_eq!((a.joined().await, c.joined().await), (c.incarnation, a.incarnation));
    b.publish(Lane::Events, "from b");
    a.publish(Lane::Events, "from a");
    match c.next().await {
        Output::Deliver { from, body, .. } => {
            assert_eq!((from, body), (a.incarnation, "from a".into()))
        }
        other => panic!("{other:?}"),
    }
    assert!(b.driver.peers().is_empty());
    assert!(b.outputs.try_recv().is_err() && c.outputs.try_recv().is_err());
    for node in [a, b, c] {
        node.driver.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_vanishes_from_zenoh_is_declared_failed() {
    let settings = loopback();
    let (mut a, b) =
        (over_zenoh(&settings, "mail", 6).await, over_zenoh(&settings, "mail", 7).await);
    assert_eq!(a.joined().await, b.incarnation);
    // No goodbye: the task is aborted and the session closed.
    drop(b.driver);
    match a.next().await {
        Output::Left { reason, .. } => assert_eq!(reason, LeaveReason::Failed),
        other => panic!("{other:?}"),
    }
    a.driver.shutdown().await;
}

#[tokio::test]
async fn a_current_thread_runtime_is_refused_with_a_remedy() {
    let (sender, _ingress) = IngressQueue::new();
    let keys = KeySpace::new("mail").unwrap();
    let error = ZenohBus::open(&loopback(), keys, incarnation(9), sender, None).await.unwrap_err();
    assert!(error.to_string().contains("worker_threads = 1"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_reported_before_zenoh_starts() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let text = format!("{{ listen: {{ endpoints: ['tcp/{}'] }} }}", taken.local_addr().unwrap());
    let coordinator = Coordinator::parse(&text).unwrap();
    let Backend::Zenoh(settings) = coordinator.backend() else { panic!() };
    let (sender, _ingress) = IngressQueue::new();
    let keys = KeySpace::new("mail").unwrap();
    let error = ZenohBus::open(settings, keys, incarnation(8), sender, None).await.unwrap_err();
    assert!(error.to_string().contains("another process listens there"), "{error}");
}
