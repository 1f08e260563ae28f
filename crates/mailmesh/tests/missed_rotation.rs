//! A node that missed a key rotation comes back.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use mailmesh::*;
use tokio::time::{Instant, timeout};

const TIMEOUT: Duration = Duration::from_secs(60);

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waited = timeout(TIMEOUT, async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "{what}: not true after {TIMEOUT:?}");
}

fn ring(keys: &[&ClusterKey]) -> Keyring {
    let mut ring = Keyring::new(keys[0].clone());
    for key in &keys[1..] {
        ring.add((*key).clone()).unwrap();
    }
    ring
}

fn key_file(dir: &Path, name: &str, keys: &Keyring) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = dir.join(name);
    std::fs::write(&path, keys.to_text().as_bytes()).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// A node over Zenoh on the loopback, without multicast. `a` dials no node; all others dial `a`.
async fn over_zenoh(name: &str, dir: &Path, keys: &Keyring, port: u16) -> Node {
    let endpoints = if name == "a" {
        format!("listen: {{endpoints: ['tcp/127.0.0.1:{port}']}}")
    } else {
        format!(
            "listen: {{endpoints: ['tcp/127.0.0.1:0']}}, \
             connect: {{endpoints: ['tcp/127.0.0.1:{port}']}}"
        )
    };
    let config = serde_json::json!({
        "@type": "Zenoh",
        "config": format!(
            "{{mode: 'peer', scouting: {{multicast: {{enabled: false}}}}, {endpoints}}}"
        ),
        "mesh": {"key": {"@type": "File", "filePath": key_file(dir, name, keys)}},
    });
    let coordinator = Coordinator::parse(&config.to_string()).unwrap();
    Node::builder().name(name).coordinator(coordinator).start().await.unwrap()
}

/// Links prove the key: a node with only the old key dials in vain, and no node dials it.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_added_here_brings_back_a_node_that_missed_a_rotation() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let dir = tempfile::tempdir().unwrap();
    let [old, new] = [(); 2].map(|()| ClusterKey::generate().unwrap());
    let a = over_zenoh("a", dir.path(), &ring(&[&new]), port).await;
    let address = "192.0.2.1".parse().unwrap();
    a.blocks().add(Network::single(address)).reason("spam").await.unwrap();
    // c dials before b does, and b joins.
    let c = over_zenoh("c", dir.path(), &ring(&[&old]), port).await;
    let b = over_zenoh("b", dir.path(), &ring(&[&new]), port).await;
    until("a and b meet", || [&a, &b].iter().all(|node| node.status().members == 1)).await;
    assert_eq!(c.status().members, 0);

    c.keys().add(new.clone()).here().await.unwrap();
    until("c is back", || [&a, &b, &c].iter().all(|node| node.status().members == 2)).await;
    until("c seals with the key of the others for good", || {
        let text = std::fs::read_to_string(dir.path().join("c")).unwrap();
        let in_file = text.parse::<Keyring>().unwrap().ids("mail");
        in_file == [new.id("mail"), old.id("mail")]
    })
    .await;
    until("the status of c shows the key", || {
        c.status().key_id == Some(new.id("mail").to_string())
    })
    .await;
    until("c has the mirror", || c.blocks().is_blocked(address)).await;
    until("all agree", || {
        let of = |node: &Node| node.status().mirror_fingerprint;
        of(&a) == of(&b) && of(&b) == of(&c)
    })
    .await;
    for node in [a, b, c] {
        node.shutdown().await;
    }
}

/// A node in virtual time.
async fn in_memory(hub: &MemoryHub, name: &str, keys: Keyring, start: Instant) -> Node {
    let clock = move || UnixMillis(1_800_000_000_000).plus(start.elapsed());
    let builder = Node::builder().name(name).memory(hub).keyring(keys, None);
    builder.wall_clock(clock).start().await.unwrap()
}

/// c was off between `key add` and `key activate`: its file names the old key first, and the others
/// have retired that key.
#[tokio::test(start_paused = true)]
async fn a_node_that_accepts_the_others_key_finds_them_by_itself() {
    let hub = MemoryHub::new();
    let [old, new] = [(); 2].map(|()| ClusterKey::generate().unwrap());
    let start = Instant::now();
    // The oldest node, whose key wins when two nodes that hear each other differ.
    let c = in_memory(&hub, "c", ring(&[&old, &new]), start).await;
    tokio::time::advance(Duration::from_millis(20)).await;
    let a = in_memory(&hub, "a", ring(&[&new]), start).await;
    until("c is a member", || a.status().members == 1 && c.status().members == 1).await;
    until("c activates the new key", || c.status().key_id == Some(new.id("mail").to_string()))
        .await;
}

/// A node without members tries its other keys from time to time, and seals with its own in
/// between.
#[tokio::test(start_paused = true)]
async fn a_lonely_node_with_two_keys_is_found_by_a_node_with_its_first_key() {
    let hub = MemoryHub::new();
    let [old, new] = [(); 2].map(|()| ClusterKey::generate().unwrap());
    let start = Instant::now();
    let a = in_memory(&hub, "a", ring(&[&old, &new]), start).await;
    // During the first trial, which starts after 10 s and lasts 10 s.
    tokio::time::sleep(Duration::from_secs(13)).await;
    let b = in_memory(&hub, "b", ring(&[&old]), start).await;
    until("b is a member", || a.status().members == 1 && b.status().members == 1).await;
    // The two nodes keep their common key.
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(a.status().key_id, Some(old.id("mail").to_string()));
    }
    assert_eq!((a.status().members, b.status().members), (1, 1));
}
