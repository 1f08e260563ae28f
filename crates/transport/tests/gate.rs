//! Links through the gate: which nodes get a link, the effects of floods, replays and key changes,
//! and how nodes meet that know one common node.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

#[path = "common/plain.rs"]
mod plain;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use mailmesh_delivery::*;
use mailmesh_transport::*;
use parking_lot::Mutex;
use plain::Plain;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use zeroize::Zeroizing;

const TIMEOUT: Duration = Duration::from_secs(30);
/// Lengths of the handshake messages (`docs/reference/wire.md`).
const HELLO_LEN: usize = 158;
const ANSWER_LEN: usize = 88;
const PROOF_LEN: usize = 32;

/// Counts received events and gaps, and records how members left.
#[derive(Clone, Default)]
struct CountingSink(Arc<Mutex<(usize, usize)>>, Arc<Mutex<Vec<LeaveReason>>>);

impl Sink for CountingSink {
    fn take(&mut self, output: Output) {
        match output {
            Output::Deliver { count, .. } => self.0.lock().0 += usize::from(count),
            Output::Gap(_) => self.0.lock().1 += 1,
            Output::Left { reason, .. } => self.1.lock().push(reason),
            _ => {}
        }
    }
}

impl DirectSink for CountingSink {
    fn take_direct(&mut self, _from: Incarnation, _body: Bytes) {}
}

struct Node {
    driver: Driver,
    keys: watch::Sender<LinkKeys>,
    gate: GateCountsReader,
    port: u16,
    count: CountingSink,
}

impl Node {
    async fn shutdown(self) {
        self.driver.shutdown().await;
    }
}

/// The parameters of a node.
#[derive(Clone)]
struct Setup {
    n: u8,
    port: u16,
    links: &'static str,
    keys: &'static [u8],
    dials: Vec<u16>,
    gossips: bool,
    listens: bool,
    /// Zenoh's lease: how long it keeps a silent link open, in milliseconds.
    lease: u64,
}

/// A node that no node finds and that dials no node.
fn setup(n: u8) -> Setup {
    let (port, keys) = (free_port(), &[1][..]);
    let dials = Vec::new();
    Setup { n, port, links: "sealed", keys, dials, gossips: true, listens: true, lease: 3_000 }
}

impl Setup {
    fn dials(mut self, ports: &[u16]) -> Self {
        self.dials = ports.to_vec();
        self
    }

    async fn start(self, cluster: &str) -> Node {
        let (n, port) = (self.n, self.port);
        let (bus, ingress, keys) = self.open(cluster).await;
        let gate = bus.gate().unwrap();
        let (settings, start) = (Settings::default(), Instant::now());
        let incarnation = Incarnation([n; 16]);
        let identity = Identity::new(format!("n{n}").parse().unwrap(), incarnation, n.into());
        let node = mailmesh_delivery::Endpoint::new(identity, settings.clone(), Time::default());
        let codec =
            (Arc::new(Plain) as Arc<dyn FrameEncoder>, Box::new(Plain) as Box<dyn FrameDecoder>);
        let count = CountingSink::default();
        let sinks = |_| (count.clone(), count.clone());
        let driver = Driver::start(node, settings, start, Arc::new(bus), ingress, codec, sinks);
        let driver = driver.unwrap();
        Node { driver, keys, gate, port, count }
    }

    /// Opens the bus of a node, without a driver.
    async fn open(self, cluster: &str) -> (ZenohBus, IngressQueue, watch::Sender<LinkKeys>) {
        let Self { n, port, links, keys, dials, gossips, listens, lease } = self;
        let tcp = |port: &u16| format!("tcp/127.0.0.1:{port}");
        let config = json!({
            "listen": { "endpoints": if listens { vec![tcp(&port)] } else { Vec::new() } },
            "connect": { "endpoints": dials.iter().map(tcp).collect::<Vec<_>>() },
            "scouting": { "multicast": { "enabled": false }, "gossip": { "enabled": gossips } },
            "transport": { "link": { "tx": { "lease": lease } } },
        });
        let config =
            json!({ "@type": "Zenoh", "config": config.to_string(), "mesh": { "links": links } });
        let coordinator = Coordinator::parse(&config.to_string()).unwrap();
        let Backend::Zenoh(settings) = coordinator.backend() else { panic!() };
        let settings = settings.clone().with_first_slots(16);
        let keys = watch::Sender::new(link_keys(keys));
        let (sender, ingress) = IngressQueue::new();
        let space = KeySpace::new(&format!("{cluster}-{}", std::process::id())).unwrap();
        let incarnation = Incarnation([n; 16]);
        let bus = ZenohBus::open(&settings, space, incarnation, sender, Some(keys.subscribe()));
        (bus.await.unwrap(), ingress, keys)
    }
}

fn link_keys(keys: &[u8]) -> LinkKeys {
    let mut secrets = keys.iter().map(|n| Zeroizing::new([*n; 32]));
    LinkKeys::new(secrets.next().unwrap(), secrets)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn wait(what: &str, is: impl Fn() -> bool) {
    let waited = timeout(TIMEOUT, async {
        while !is() {
            sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "timed out waiting for {what}");
}

async fn members(expected: &[(&Node, usize)]) {
    for (node, count) in expected {
        let is = || node.driver.peers().len() == *count;
        wait(&format!("{count} members of the node at {}", node.port), is).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_know_one_node_meet_all_and_have_one_link_to_each() {
    for links in ["gate", "sealed"] {
        // The seed has an id in the middle, so it is dialed and dials.
        let seed = Setup { links, ..setup(3) }.start("seed").await;
        let mut nodes = Vec::new();
        for n in [1, 2, 4, 5] {
            nodes.push(Setup { links, ..setup(n) }.dials(&[seed.port]).start("seed").await);
        }
        nodes.push(seed);
        let expected: Vec<_> = nodes.iter().map(|node| (node, 4)).collect();
        members(&expected).await;
        // Not relayed: each node has its own links.
        for node in &nodes {
            wait("a link to each", || node.gate.now().links >= 4).await;
        }
        for node in nodes {
            node.shutdown().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_dial_each_other_keep_one_link_to_each() {
    let setups: Vec<Setup> = (1..=4).map(setup).collect();
    let ports: Vec<u16> = setups.iter().map(|setup| setup.port).collect();
    let started = setups.into_iter().map(|setup| setup.dials(&ports).start("all"));
    let mut nodes = Vec::new();
    for started in started.map(tokio::spawn).collect::<Vec<_>>() {
        nodes.push(started.await.unwrap());
    }
    let expected: Vec<_> = nodes.iter().map(|node| (node, 3)).collect();
    members(&expected).await;
    let links = || nodes.iter().map(|node| node.gate.now().links).collect::<Vec<_>>();
    // Of two links that cross one is closed, on a loaded machine also after the nodes have met.
    // Then the links stay.
    let settled = timeout(TIMEOUT, async {
        let mut before = links();
        loop {
            sleep(Duration::from_secs(3)).await;
            if links() == before {
                return;
            }
            before = links();
        }
    });
    assert!(settled.await.is_ok(), "links are reopened again and again: {:?}", links());
    for node in nodes {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_cannot_be_dialed_dials_regardless_of_its_id() {
    let seed = setup(4).start("hidden").await;
    let mut nodes = Vec::new();
    for n in [2, 6] {
        let hidden = Setup { listens: false, ..setup(n) };
        nodes.push(hidden.dials(&[seed.port]).start("hidden").await);
    }
    members(&[(&seed, 2)]).await;
    wait("links", || nodes.iter().all(|node| node.gate.now().links == 1)).await;
    assert_eq!(seed.gate.now().links, 2);
    nodes.push(seed);
    for node in nodes {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_dials_more_than_it_has_slots_gets_more() {
    let mut nodes = Vec::new();
    for n in 1..=14 {
        nodes.push(Setup { gossips: false, ..setup(n) }.start("slots").await);
    }
    let ports: Vec<u16> = nodes.iter().map(|node| node.port).collect();
    let hub = Setup { gossips: false, ..setup(200) }.dials(&ports).start("slots").await;
    // The thirteenth link requests twice as many slots, and all links are reopened.
    wait("more slots", || hub.gate.now().links >= 13 + 14).await;
    members(&[(&hub, 14)]).await;
    nodes.push(hub);
    for node in nodes {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_goodbye_of_a_node_arrives() {
    for links in ["gate", "sealed"] {
        let stays = Setup { links, ..setup(200) }.start("goodbye").await;
        let leaves = if links == "gate" { 1..=20 } else { 21..=40 };
        let count = leaves.clone().count();
        for n in leaves {
            let leaves = Setup { links, ..setup(n) }.dials(&[stays.port]).start("goodbye").await;
            members(&[(&stays, 1), (&leaves, 1)]).await;
            leaves.shutdown().await;
            members(&[(&stays, 0)]).await;
        }
        let left = stays.count.1.lock().clone();
        assert!(left.len() == count && left.iter().all(|l| *l == LeaveReason::Bye), "{left:?}");
        stays.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_rotation_under_load_ends_no_link() {
    for links in ["gate", "sealed"] {
        // Long enough that no link ends because this machine is busy.
        let setup = |n| Setup { links, lease: 60_000, ..setup(n) };
        let a = setup(1).start("rotate").await;
        let b = setup(2).dials(&[a.port]).start("rotate").await;
        members(&[(&a, 1), (&b, 1)]).await;
        let load = async {
            let mut sent = 0;
            // As operators do: accept one more key, prefer another, accept one less.
            for keys in [&[1, 2][..], &[2, 1], &[2]] {
                for node in [&a, &b] {
                    node.keys.send_replace(link_keys(keys));
                    let end = Instant::now() + Duration::from_secs(3);
                    while Instant::now() < end {
                        let encode = |body: &mut Vec<u8>| {
                            body.extend([7; 100]);
                            Ok::<(), String>(())
                        };
                        sent += usize::from(a.driver.try_publish(Lane::Events, encode).is_ok());
                        sleep(Duration::from_millis(1)).await;
                    }
                }
            }
            sent
        };
        let sent = load.await;
        wait("all events", || b.count.0.lock().0 == sent).await;
        assert_eq!(b.count.0.lock().1, 0, "a gap");
        for node in [&a, &b] {
            let counts = node.gate.now();
            assert_eq!((counts.links, counts.retired), (1, 0), "{links}: {counts:?}");
        }
        // The retired key opens no link any more.
        let late = setup(3).dials(&[a.port]).start("rotate").await;
        wait("a refusal", || a.gate.now().other_key > 0).await;
        assert_eq!(late.driver.peers().len(), 0);
        for node in [a, b, late] {
            node.shutdown().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_ends_when_one_node_retires_its_key() {
    let a = setup(1).start("behind").await;
    let b = setup(2).dials(&[a.port]).start("behind").await;
    members(&[(&a, 1), (&b, 1)]).await;
    a.keys.send_replace(link_keys(&[2]));
    members(&[(&a, 0)]).await;
    assert_eq!(a.gate.now().retired, 1);
    b.keys.send_replace(link_keys(&[2, 1]));
    members(&[(&a, 1), (&b, 1)]).await;
    for node in [a, b] {
        node.shutdown().await;
    }
}

/// Forwards between a dialer and the node at `port`, and records the dialer's first bytes.
fn recorder(port: u16) -> (u16, mpsc::Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().port();
    let (recorded, recordings) = mpsc::channel();
    std::thread::spawn(move || {
        for dialer in listener.incoming() {
            let (mut dialer, node) = (dialer.unwrap(), TcpStream::connect(("127.0.0.1", port)));
            let Ok(mut node) = node else { return };
            let mut back = (node.try_clone().unwrap(), dialer.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut back.0, &mut back.1));
            let recorded = recorded.clone();
            std::thread::spawn(move || {
                let mut sent = vec![0; HELLO_LEN + PROOF_LEN];
                for part in [0..HELLO_LEN, HELLO_LEN..HELLO_LEN + PROOF_LEN] {
                    if dialer.read_exact(&mut sent[part.clone()]).is_err() {
                        return;
                    }
                    node.write_all(&sent[part]).unwrap();
                }
                let _test_is_over = recorded.send(sent);
                let _ended = std::io::copy(&mut dialer, &mut node);
            });
        }
    });
    (at, recordings)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_handshake_opens_no_link_to_any_node() {
    let a = setup(1).start("recorded").await;
    let (proxy, recordings) = recorder(a.port);
    let b = setup(2).dials(&[proxy]).start("recorded").await;
    members(&[(&a, 1), (&b, 1)]).await;
    let sent = recordings.recv_timeout(TIMEOUT).unwrap();
    let other = setup(3).start("recorded").await;
    for node in [&a, &other] {
        let before = node.gate.now();
        let (port, sent) = (node.port, sent.clone());
        let received = tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.set_read_timeout(Some(TIMEOUT)).unwrap();
            stream.write_all(&sent[..HELLO_LEN]).unwrap();
            let mut answer = [0; ANSWER_LEN];
            stream.read_exact(&mut answer).unwrap();
            stream.write_all(&sent[HELLO_LEN..]).unwrap();
            let mut rest = Vec::new();
            let _reset = stream.read_to_end(&mut rest);
            rest
        });
        assert!(received.await.unwrap().is_empty());
        let after = node.gate.now();
        assert_eq!((after.links, after.not_proven), (before.links, before.not_proven + 1));
    }
    members(&[(&a, 1), (&b, 1)]).await;
    for node in [a, b, other] {
        node.shutdown().await;
    }
}

/// A flood from one address: connections that send a part of a hello, renewed until dropped.
struct Flood {
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Flood {
    fn from(address: Ipv4Addr, port: u16, sent: &'static [u8]) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let flood = move |stop: Arc<AtomicBool>| {
            let mut open = std::collections::VecDeque::new();
            while !stop.load(Ordering::Relaxed) {
                let socket =
                    socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)
                        .unwrap();
                socket.bind(&SocketAddr::from((address, 0)).into()).unwrap();
                if socket.connect(&SocketAddr::from(([127, 0, 0, 1], port)).into()).is_ok() {
                    let mut stream = TcpStream::from(socket);
                    let _closed = stream.write_all(sent);
                    open.push_back(stream);
                }
                if open.len() > 100 {
                    open.pop_front();
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        let threads = (0..2).map(|_| {
            let stop = stop.clone();
            std::thread::spawn(move || flood(stop))
        });
        Self { threads: threads.collect(), stop }
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_unproven_connections_blocks_no_honest_node() {
    let a = setup(1).start("flood").await;
    for (n, sent) in [(2, &b""[..]), (3, b"mmg1"), (4, &[0xff; 400])] {
        let floods: Vec<Flood> =
            (2..6).map(|n| Flood::from(Ipv4Addr::new(127, 0, 0, n), a.port, sent)).collect();
        let refused = || {
            let counts = a.gate.now();
            counts.crowded_out + counts.not_a_handshake
        };
        let before = refused();
        wait("the flood", || refused() > before + 100).await;
        let began = Instant::now();
        let b = setup(n).dials(&[a.port]).start("flood").await;
        members(&[(&a, 1), (&b, 1)]).await;
        println!("in after {:?}, flooded with {} bytes", began.elapsed(), sent.len());
        drop(floods);
        b.shutdown().await;
        members(&[(&a, 0)]).await;
    }
    a.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_with_a_slow_hello_is_closed() {
    let a = setup(1).start("slow").await;
    let port = a.port;
    let closed = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        for byte in b"mmg1".iter().chain(&[0; HELLO_LEN]) {
            if stream.write_all(&[*byte]).is_err() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    });
    assert!(closed.await.unwrap());
    assert_eq!(a.gate.now().late, 1);
    a.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_of_other_modes_or_clusters_get_no_link_and_are_counted() {
    let a = setup(1).start("modes").await;
    for (n, links) in [(2, "gate"), (3, "challenge"), (4, "tls")] {
        let before = a.gate.now().other_mode;
        let b = Setup { links, ..setup(n) }.dials(&[a.port]).open("modes").await;
        wait(links, || a.gate.now().other_mode > before).await;
        drop(b);
    }
    let other = setup(5).dials(&[a.port]).start("others").await;
    wait("the other cluster", || a.gate.now().other_cluster > 0).await;
    let counts = a.gate.now();
    assert_eq!((counts.links, counts.not_a_handshake, counts.late), (0, 0, 0));
    for node in [a, other] {
        node.shutdown().await;
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn the_socket_directories_are_private_and_removed_at_the_end() {
    use std::os::unix::fs::PermissionsExt;
    let dirs = || {
        let entries = std::fs::read_dir(std::env::temp_dir()).unwrap().flatten();
        let named =
            |e: &std::fs::DirEntry| e.file_name().to_string_lossy().contains("mailmesh-links-");
        entries.filter(named).map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let a = setup(1).start("private").await;
    for dir in dirs() {
        let mode = std::fs::metadata(dir).map(|metadata| metadata.permissions().mode() & 0o777);
        assert!(mode.is_err() || mode.unwrap() == 0o700);
    }
    assert!(!dirs().is_empty());
    a.shutdown().await;
}
