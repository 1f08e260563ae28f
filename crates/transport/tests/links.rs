//! Which nodes get a link if links prove a key. Frames are unsealed here, so each linked node is a
//! member.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

#[path = "common/plain.rs"]
mod plain;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mailmesh_delivery::*;
use mailmesh_transport::*;
use plain::Plain;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use zeroize::Zeroizing;

const TIMEOUT: Duration = Duration::from_secs(20);

struct Ignore;

impl Sink for Ignore {
    fn take(&mut self, _output: Output) {}
}

impl DirectSink for Ignore {
    fn take_direct(&mut self, _from: Incarnation, _body: Bytes) {}
}

/// The common settings of the nodes of a test.
struct TestCluster {
    cluster: String,
    scouting: u16,
    links: &'static str,
}

impl TestCluster {
    fn new(cluster: &str, links: &'static str) -> Self {
        let cluster = format!("{cluster}-{links}-{}", std::process::id());
        Self {
            cluster,
            scouting: UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port(),
            links,
        }
    }

    /// A node, and the sender that changes its keys.
    async fn node(&self, n: u8, port: u16, keys: &[u8]) -> (Driver, watch::Sender<LinkKeys>) {
        let config = serde_json::json!({
            "@type": "Zenoh",
            "config": format!(
                "{{ listen: {{ endpoints: ['tcp/127.0.0.1:{port}'] }}, \
                 scouting: {{ multicast: {{ address: '224.0.0.224:{}', interface: 'lo' }} }} }}",
                self.scouting
            ),
            "mesh": { "links": self.links },
        });
        let coordinator = Coordinator::parse(&config.to_string()).unwrap();
        let Backend::Zenoh(settings) = coordinator.backend() else { panic!() };
        let links = watch::Sender::new(link_keys(keys));
        let (sender, ingress) = IngressQueue::new();
        let space = KeySpace::new(&self.cluster).unwrap();
        // Low ids have a short step delay: a key change takes less than 1.5 s per step.
        let incarnation = Incarnation([n; 16]);
        let bus = ZenohBus::open(settings, space, incarnation, sender, Some(links.subscribe()));
        let bus = bus.await.unwrap();
        let (settings, start) = (Settings::default(), Instant::now());
        let identity = Identity::new(format!("n{n}").parse().unwrap(), incarnation, n.into());
        let node = Endpoint::new(identity, settings.clone(), Time::default());
        let codec =
            (Arc::new(Plain) as Arc<dyn FrameEncoder>, Box::new(Plain) as Box<dyn FrameDecoder>);
        let (bus, sinks) = (Arc::new(bus), |_| (Ignore, Ignore));
        let driver = Driver::start(node, settings, start, bus, ingress, codec, sinks);
        (driver.unwrap(), links)
    }
}

fn link_keys(keys: &[u8]) -> LinkKeys {
    let mut secrets = keys.iter().map(|n| Zeroizing::new([*n; 32]));
    LinkKeys::new(secrets.next().unwrap(), secrets)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until each node has the expected number of members.
async fn members(expected: &[(&Driver, usize)]) {
    let all = || expected.iter().all(|(driver, count)| driver.peers().len() == *count);
    let waited = timeout(TIMEOUT, async {
        while !all() {
            sleep(Duration::from_millis(5)).await;
        }
    });
    let waited = waited.await;
    let counts = expected.iter().map(|(driver, count)| (driver.peers().len(), *count));
    assert!(waited.is_ok(), "members: {:?}", counts.collect::<Vec<_>>());
}

async fn links_of_one_key_and_none_of_another(links: &'static str) {
    let cluster = TestCluster::new("keys", links);
    let (a, _a) = cluster.node(1, 0, &[1]).await;
    let (stranger, _s) = cluster.node(2, 0, &[2]).await;
    let (b, _b) = cluster.node(3, 0, &[1]).await;
    let (c, _c) = cluster.node(4, 0, &[1, 3]).await;
    members(&[(&a, 2), (&b, 2), (&c, 2)]).await;
    assert_eq!(stranger.peers().len(), 0);
    for node in [&a, &b, &c, &stranger] {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_links_nodes_of_one_key_and_no_others() {
    links_of_one_key_and_none_of_another("gate").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sealed_links_connect_nodes_of_one_key_and_no_others() {
    links_of_one_key_and_none_of_another("sealed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_links_nodes_of_one_key_and_no_others() {
    links_of_one_key_and_none_of_another("challenge").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_link_nodes_of_one_key_and_no_others() {
    links_of_one_key_and_none_of_another("tls").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retired_key_opens_no_link_and_its_links_end() {
    for links in ["gate", "sealed", "challenge"] {
        a_retired_key_is_of_no_use(links).await;
    }
}

async fn a_retired_key_is_of_no_use(links: &'static str) {
    let cluster = TestCluster::new("retired", links);
    let (a, a_keys) = cluster.node(1, free_port(), &[1]).await;
    let (b, b_keys) = cluster.node(2, free_port(), &[1]).await;
    let (left_behind, _) = cluster.node(3, 0, &[1]).await;
    members(&[(&a, 2), (&b, 2), (&left_behind, 2)]).await;
    for keys in [&a_keys, &b_keys] {
        keys.send_replace(link_keys(&[2]));
    }
    members(&[(&a, 1), (&b, 1), (&left_behind, 0)]).await;
    let (with_the_old, _) = cluster.node(4, 0, &[1]).await;
    let (with_the_new, _) = cluster.node(5, 0, &[2]).await;
    members(&[(&a, 2), (&b, 2), (&with_the_new, 2), (&with_the_old, 1), (&left_behind, 1)]).await;
    for node in [&a, &b, &left_behind, &with_the_old, &with_the_new] {
        node.shutdown().await;
    }
}

/// The only answer to an unproven link is its end.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_proves_nothing_is_closed_at_its_first_message() {
    for links in ["gate", "sealed", "challenge", "tls"] {
        let cluster = TestCluster::new("stranger", links);
        let port = free_port();
        let (node, _keys) = cluster.node(1, port, &[1]).await;
        // The first message of Zenoh's handshake, protocol version 9, of a peer without a login.
        let init = [&[0x81, 0x09, 0xf1][..], &[7; 16], &[0x01]].concat();
        let init = [&(init.len() as u16).to_le_bytes()[..], &init].concat();
        for sent in [init, vec![0xff; 300], b"GET / HTTP/1.1\r\n\r\n".to_vec(), Vec::new()] {
            let received = tokio::task::spawn_blocking(move || {
                let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
                stream.set_read_timeout(Some(TIMEOUT)).unwrap();
                stream.write_all(&sent).unwrap();
                let mut received = Vec::new();
                // Reset or closed: an end either way.
                let _reset = stream.read_to_end(&mut received);
                received
            });
            let received = received.await.unwrap();
            // Zenoh's `Close` (0x03), or an alert of TLS (21): neither continues a handshake.
            let is_end = received.is_empty() || received.get(2) == Some(&0x03) || received[0] == 21;
            assert!(is_end, "{links}: {received:02x?}");
        }
        assert!(node.is_running());
        node.shutdown().await;
    }
}
