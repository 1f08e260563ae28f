//! The mirror on disk: what a node has after a restart.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mailmesh::*;
use tokio::time::timeout;

/// A wall clock that the test sets.
#[derive(Clone)]
struct WallClock(Arc<AtomicU64>);

impl WallClock {
    fn new() -> Self {
        Self(Arc::new(AtomicU64::new(1_800_000_000_000)))
    }

    fn add(&self, hours: f64) {
        let millis = (hours * 3_600_000.0) as i64;
        self.0.fetch_add(millis as u64, Ordering::Relaxed);
    }

    fn builder(&self, name: &str, hub: &MemoryHub) -> NodeBuilder {
        let millis = self.0.clone();
        let read = move || UnixMillis(millis.load(Ordering::Relaxed));
        Node::builder().name(name).memory(hub).wall_clock(read)
    }

    async fn start(&self, dir: &Path) -> Node {
        self.builder("mx1", &MemoryHub::new()).store(dir).start().await.unwrap()
    }
}

struct Flags;

impl Namespace for Flags {
    const NAME: &'static str = "acme.flags";
    type Value = bool;
}

fn ip(n: u8) -> IpAddr {
    [192, 0, 2, n].into()
}

async fn block(node: &Node, n: u8, ttl: Option<Duration>) {
    node.blocks().add(Network::single(ip(n))).reason("spam").ttl(ttl).await.unwrap();
}

fn blocked(node: &Node) -> Vec<u8> {
    (0..=255).filter(|n| node.blocks().is_blocked(ip(*n))).collect()
}

#[tokio::test]
async fn saved_entries_survive_a_crash_unless_they_expired() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), WallClock::new());
    let node = clock.start(dir.path()).await;
    block(&node, 1, None).await;
    block(&node, 2, Some(Duration::from_secs(3600))).await;
    block(&node, 3, None).await;
    node.blocks().remove(Rule::Block, Network::single(ip(3))).await.unwrap();
    node.values::<Flags>().set("greylisting", &true).await.unwrap();
    node.saved().await.unwrap();
    let status = node.status().store.unwrap();
    assert_eq!((status.waiting, &status.failure), (0, &None));
    assert!(Path::new(&status.path).starts_with(dir.path()));
    let digest = node.status().mirror_fingerprint;
    // No goodbye: this drops the last handle.
    drop(node);

    let node = restart(&clock, dir.path()).await;
    assert_eq!(blocked(&node), [1, 2]);
    assert_eq!(node.values::<Flags>().get("greylisting").unwrap(), Some(true));
    assert_eq!(node.status().mirror_fingerprint, digest, "tombstones included");
    node.shutdown().await;
    clock.add(2.0);
    let node = clock.start(dir.path()).await;
    assert_eq!(blocked(&node), [1]);
    // The second shutdown writes nothing and does not wait.
    node.shutdown().await;
    node.shutdown().await;
}

/// The file is closed a moment after the last handle is dropped.
async fn restart(clock: &WallClock, dir: &Path) -> Node {
    let begin = std::time::Instant::now();
    loop {
        match clock.builder("mx1", &MemoryHub::new()).store(dir).start().await {
            Ok(node) => return node,
            Err(error) => {
                assert!(begin.elapsed() < Duration::from_secs(10), "{error}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

#[tokio::test]
async fn stamps_increase_over_a_restart_even_if_the_clock_stepped_back() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), WallClock::new());
    let hub = MemoryHub::new();
    let other = clock.builder("mx2", &hub).start().await.unwrap();
    let node = clock.builder("mx1", &hub).store(dir.path()).start().await.unwrap();
    node.wait_for_members(1).await;
    block(&node, 1, None).await;
    node.shutdown().await;
    clock.add(-1.0);
    let node = clock.builder("mx1", &hub).store(dir.path()).start().await.unwrap();
    node.wait_for_members(1).await;
    node.blocks().remove(Rule::Block, Network::single(ip(1))).await.unwrap();
    let gone = async {
        while other.blocks().is_blocked(ip(1)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(10), gone).await.unwrap();
    assert_eq!(blocked(&node), [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_too_old_mirror_is_used_only_if_no_member_has_run_for_longer() {
    for others in [false, true] {
        let (dir, clock) = (tempfile::tempdir().unwrap(), WallClock::new());
        let node = clock.start(dir.path()).await;
        block(&node, 1, None).await;
        block(&node, 2, None).await;
        node.shutdown().await;
        clock.add(25.0);
        let hub = MemoryHub::new();
        let other = clock.builder("mx2", &hub).start().await.unwrap();
        if others {
            // mx2 has run for a while, so its mirror is the cluster's.
            clock.add(0.1);
            block(&other, 2, None).await;
        }
        let node = clock.builder("mx1", &hub).store(dir.path()).start().await.unwrap();
        assert_eq!(blocked(&node), [0; 0]);
        if !others {
            // A new block on a node that has just started does not make its mirror the cluster's.
            block(&other, 3, None).await;
        }
        tokio::time::sleep(Duration::from_secs(15)).await;
        let expected: &[u8] = if others { &[2] } else { &[1, 2, 3] };
        assert_eq!((blocked(&node), blocked(&other)), (expected.to_vec(), expected.to_vec()));
        node.saved().await.unwrap();
        node.shutdown().await;
        let node = clock.start(dir.path()).await;
        assert_eq!(blocked(&node), expected, "others: {others}");
    }
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let holds = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(180), holds).await.expect(what);
}

#[tokio::test(start_paused = true)]
async fn a_slow_clock_does_not_make_an_old_store_recent() {
    let (dir, right, slow) = (tempfile::tempdir().unwrap(), WallClock::new(), WallClock::new());
    let hub = MemoryHub::new();
    let [mx2, mx3] = [right.builder("mx2", &hub), right.builder("mx3", &hub)];
    let (mx2, mx3) = (mx2.start().await.unwrap(), mx3.start().await.unwrap());
    let start = async || slow.builder("mx1", &hub).store(dir.path()).start().await.unwrap();
    let node = start().await;
    node.wait_for_members(2).await;
    block(&node, 1, None).await;
    block(&node, 2, None).await;
    eventually("both have both", || blocked(&mx2) == [1, 2] && blocked(&mx3) == [1, 2]).await;
    node.shutdown().await;
    mx2.blocks().remove(Rule::Block, Network::single(ip(1))).await.unwrap();
    right.add(72.0);
    slow.add(1.0);
    let entries = || [&mx2, &mx3].map(|node| node.status().mirror_entries);
    eventually("the removal is forgotten", || entries() == [1, 1]).await;

    let node = start().await;
    assert_eq!(blocked(&node), [1, 2], "by its own clock the store is recent");
    block(&node, 5, None).await;
    eventually("the removed block is gone", || blocked(&node) == [2, 5]).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    for node in [&node, &mx2, &mx3] {
        assert_eq!(blocked(node), [2, 5]);
    }
    assert_eq!(node.status().mirror_fingerprint, mx2.status().mirror_fingerprint);
    node.saved().await.unwrap();
    node.shutdown().await;
    // The removed block is not on disk either.
    let node = slow.start(dir.path()).await;
    assert_eq!(blocked(&node), [2, 5]);
}

#[tokio::test(start_paused = true)]
async fn a_restart_of_a_lonely_node_does_not_make_an_old_store_recent() {
    let (dir, clock, hub) = (tempfile::tempdir().unwrap(), WallClock::new(), MemoryHub::new());
    let mx2 = clock.builder("mx2", &hub).start().await.unwrap();
    let start = async || clock.builder("mx1", &hub).store(dir.path()).start().await.unwrap();
    let node = start().await;
    node.wait_for_members(1).await;
    block(&node, 1, None).await;
    block(&node, 2, None).await;
    eventually("both have both", || blocked(&mx2) == [1, 2]).await;
    node.shutdown().await;
    mx2.blocks().remove(Rule::Block, Network::single(ip(1))).await.unwrap();
    clock.add(72.0);
    eventually("the removal is forgotten", || mx2.status().mirror_entries == 1).await;

    let alone = clock.start(dir.path()).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(blocked(&alone), [1, 2]);
    alone.shutdown().await;
    clock.add(0.1);
    let node = start().await;
    node.wait_for_members(1).await;
    eventually("the mirror is that of the others", || blocked(&node) == [2]).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!((blocked(&node), blocked(&mx2)), (vec![2], vec![2]));
}

#[tokio::test(start_paused = true)]
async fn a_fast_clock_does_not_make_a_recent_store_old() {
    let (dir, right, fast) = (tempfile::tempdir().unwrap(), WallClock::new(), WallClock::new());
    let node = fast.start(dir.path()).await;
    block(&node, 1, None).await;
    node.shutdown().await;
    let hub = MemoryHub::new();
    let [mx2, mx3] = [right.builder("mx2", &hub), right.builder("mx3", &hub)];
    let (mx2, mx3) = (mx2.start().await.unwrap(), mx3.start().await.unwrap());
    right.add(1.0);
    fast.add(72.0);
    let node = fast.builder("mx1", &hub).store(dir.path()).start().await.unwrap();
    assert_eq!(blocked(&node), [0; 0], "by its own clock the store is old");
    eventually("all have it", || [&node, &mx2, &mx3].iter().all(|n| blocked(n) == [1])).await;
}

#[tokio::test(start_paused = true)]
async fn the_stored_mirror_of_a_lonely_node_is_in_force_and_stays() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), WallClock::new());
    for hours in [0.0, 1.0, 72.0] {
        clock.add(hours);
        let node = clock.start(dir.path()).await;
        if hours == 0.0 {
            block(&node, 1, None).await;
        } else if hours < 24.0 {
            assert_eq!(blocked(&node), [1]);
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(blocked(&node), [1]);
        node.shutdown().await;
    }
}

fn certificate(name: &str) -> (Vec<u8>, Vec<u8>) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key);
    (certificate.unwrap().der().to_vec(), key.serialize_der())
}

#[tokio::test]
async fn a_private_key_is_sealed_on_disk_and_unreadable_with_another_key() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), WallClock::new());
    let (chain, private) = certificate("mail.example.org");
    let start = async |keys: &Keyring| {
        let builder = clock.builder("mx1", &MemoryHub::new()).store(dir.path());
        builder.keyring(keys.clone(), None).start().await.unwrap()
    };
    let (key, other) = (ClusterKey::generate().unwrap(), ClusterKey::generate().unwrap());
    let mut both = Keyring::new(key.clone());
    both.add(other.clone()).unwrap();
    let node = start(&both).await;
    let parsed = certificate_from_der(vec![chain.into()], private.clone().into()).unwrap();
    node.certs().set(parsed).await.unwrap();
    block(&node, 1, None).await;
    node.shutdown().await;
    let file = std::fs::read(dir.path().join("mirror.redb")).unwrap();
    let secret = &private[private.len() - 32..];
    assert!(!file.windows(32).any(|window| window == secret));
    for (key, is_there) in [(&key, true), (&other, false), (&key, true)] {
        let node = start(&Keyring::new(key.clone())).await;
        assert_eq!(node.certs().for_host("mail.example.org").is_some(), is_there);
        assert_eq!(blocked(&node), [1]);
        node.shutdown().await;
    }
}

#[tokio::test]
async fn an_unusable_store_stops_the_start_with_the_reason() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), WallClock::new());
    let node = clock.start(dir.path()).await;
    let again = clock.builder("mx2", &MemoryHub::new()).store(dir.path()).start().await;
    let error = again.unwrap_err().to_string();
    assert!(error.contains("another process uses this store"), "{error}");
    node.shutdown().await;
    std::fs::write(dir.path().join("mirror.redb"), b"no store").unwrap();
    let error =
        clock.builder("mx2", &MemoryHub::new()).store(dir.path()).start().await.unwrap_err();
    assert!(error.to_string().contains("move it away"), "{error}");
}

#[tokio::test]
async fn saved_covers_all_entries_even_if_there_are_many() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), WallClock::new());
    let node = clock.start(dir.path()).await;
    let spam = RuleDetails::new("spam", UnixMillis(1)).unwrap();
    let networks =
        (0..120_000_u32).map(|n| Network::single(std::net::Ipv4Addr::from(n + (11 << 24)).into()));
    let networks = networks.map(|network| (network, spam.clone()));
    node.blocks().import(Rule::Block, networks).await.unwrap();
    node.saved().await.unwrap();
    let digest = node.status().mirror_fingerprint;
    drop(node);
    let node = restart(&clock, dir.path()).await;
    assert_eq!(node.status().mirror_entries, 120_000);
    assert_eq!(node.status().mirror_fingerprint, digest);
}

#[tokio::test]
async fn saved_fails_once_the_store_is_closed() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), WallClock::new());
    let node = clock.start(dir.path()).await;
    block(&node, 1, None).await;
    node.shutdown().await;
    node.saved().await.unwrap();
    // The mirror can still be changed, but neither the other nodes nor the disk get the change.
    let late = node.blocks().add(Network::single(ip(2))).reason("spam").await;
    assert!(late.is_err());
    let saved = timeout(Duration::from_secs(10), node.saved()).await.unwrap();
    assert!(matches!(saved, Err(MirrorError::Stopped(Stopped::ShutDown))), "{saved:?}");
}

#[tokio::test]
async fn a_node_that_steps_back_saves_its_mirror_and_closes_its_store() {
    let (dir, clock, hub) = (tempfile::tempdir().unwrap(), WallClock::new(), MemoryHub::new());
    let _elder = clock.builder("mx1", &hub).start().await.unwrap();
    clock.add(0.1);
    let node = clock.builder("mx1", &hub).store(dir.path()).start().await.unwrap();
    // The node may have stepped back already; the block is in its mirror in any case.
    let _refused = node.blocks().add(Network::single(ip(1))).reason("spam").await;
    let stopped = timeout(Duration::from_secs(30), node.stopped()).await.unwrap();
    assert!(matches!(stopped, StopReason::DuplicateName { .. }), "{stopped:?}");
    let again = async {
        loop {
            match clock.builder("mx2", &MemoryHub::new()).store(dir.path()).start().await {
                Ok(node) => return node,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    let again = timeout(Duration::from_secs(30), again).await.expect("the store is closed");
    assert_eq!(blocked(&again), [1]);
    drop(node);
}
