//! Which cluster and which keys a store belongs to.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use mailmesh::*;
use mailmesh_store::{Record, Store};

const FILE: &str = "mirror.redb";

fn ip(n: u8) -> IpAddr {
    [192, 0, 2, n].into()
}

fn builder(dir: &Path, ring: Option<&Keyring>) -> NodeBuilder {
    let builder = Node::builder().name("mx1").memory(&MemoryHub::new()).store(dir);
    match ring {
        Some(ring) => builder.keyring(ring.clone(), None),
        None => builder,
    }
}

async fn start(dir: &Path, ring: Option<&Keyring>) -> Node {
    builder(dir, ring).start().await.unwrap()
}

async fn block(node: &Node, n: u8) {
    node.blocks().add(Network::single(ip(n))).reason("spam").await.unwrap();
}

fn blocked(node: &Node) -> Vec<u8> {
    (0..=255).filter(|n| node.blocks().is_blocked(ip(*n))).collect()
}

fn ring(keys: &[&ClusterKey]) -> Keyring {
    let mut ring = Keyring::new(keys[0].clone());
    keys[1..].iter().for_each(|key| assert!(ring.add((*key).clone()).unwrap()));
    ring
}

/// The blocks that a node with these keys finds in the store.
async fn found(dir: &Path, ring: Option<&Keyring>) -> Vec<u8> {
    let node = start(dir, ring).await;
    let found = blocked(&node);
    node.shutdown().await;
    found
}

/// The files of renamed stores.
fn renamed_stores(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| !path.ends_with(FILE)).collect()
}

#[tokio::test]
async fn a_store_of_another_cluster_is_refused_and_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    let node = builder(dir.path(), None).cluster_name("east").start().await.unwrap();
    block(&node, 1).await;
    node.shutdown().await;
    for key in [None, Some(ring(&[&ClusterKey::generate().unwrap()]))] {
        let other = builder(dir.path(), key.as_ref()).cluster_name("west");
        let error = other.start().await.unwrap_err().to_string();
        for words in ["`east`", "`west`", FILE, "another directory", "move the file away"] {
            assert!(error.contains(words), "`{words}` not in {error}");
        }
    }
    let node = builder(dir.path(), None).cluster_name("east").start().await.unwrap();
    assert_eq!(blocked(&node), [1]);
    node.shutdown().await;
}

/// Another user may have written the file.
#[tokio::test]
async fn the_name_of_another_cluster_is_escaped_and_truncated() {
    let dir = tempfile::tempdir().unwrap();
    let name = format!("\u{1b}[2J\n\u{202e}{}", "x".repeat(10_000));
    let mut store = Store::open(dir.path()).unwrap();
    store.commit([], &[("cluster", name.as_bytes())]).unwrap();
    drop(store);
    let error = builder(dir.path(), None).start().await.unwrap_err().to_string();
    assert!(!error.contains(is_unprintable) && error.len() < 1_000, "{error:?}");
}

#[tokio::test]
async fn a_store_under_keys_that_the_node_lacks_is_renamed() {
    let dir = tempfile::tempdir().unwrap();
    let [ours, theirs] = [(); 2].map(|()| ring(&[&ClusterKey::generate().unwrap()]));
    let node = start(dir.path(), Some(&theirs)).await;
    block(&node, 1).await;
    node.shutdown().await;
    // Neither another key nor no key opens it.
    for keys in [Some(&ours), None] {
        assert_eq!(found(dir.path(), keys).await, [0; 0]);
        let kept = renamed_stores(dir.path());
        assert_eq!(kept.len(), 1, "{kept:?}");
        let name = kept[0].to_str().unwrap();
        let id = theirs.active().id(DEFAULT_CLUSTER).to_string();
        assert!(name.contains(FILE) && name.contains(&id), "{name}");
        std::fs::rename(&kept[0], dir.path().join(FILE)).unwrap();
    }
    assert_eq!(found(dir.path(), Some(&theirs)).await, [1]);
}

#[tokio::test]
async fn a_store_follows_its_cluster_through_a_key_rotation() {
    let dir = tempfile::tempdir().unwrap();
    let [old, new] = [(); 2].map(|()| ClusterKey::generate().unwrap());
    let (old_id, new_id) = (old.id(DEFAULT_CLUSTER), new.id(DEFAULT_CLUSTER));
    let node = start(dir.path(), Some(&ring(&[&old]))).await;
    block(&node, 1).await;
    node.keys().add(new.clone()).await.unwrap();
    node.keys().activate(new_id).await.unwrap();
    // No file keeps the keys of this test.
    node.keys().retire(old_id).force().await.unwrap();
    node.shutdown().await;
    // A node whose key file is out of date restarts with the old key.
    for keys in [&[&new][..], &[&old], &[&new, &old], &[&new]] {
        assert_eq!(found(dir.path(), Some(&ring(keys))).await, [1]);
    }
    assert_eq!(renamed_stores(dir.path()), [""; 0].map(PathBuf::from));
}

#[tokio::test]
async fn a_node_that_was_off_during_a_rotation_keeps_its_store() {
    let dir = tempfile::tempdir().unwrap();
    let [old, new, newest] = [(); 3].map(|()| ClusterKey::generate().unwrap());
    let node = start(dir.path(), Some(&ring(&[&old]))).await;
    block(&node, 1).await;
    node.shutdown().await;
    for keys in [[&new, &old], [&newest, &new]] {
        assert_eq!(found(dir.path(), Some(&ring(&keys))).await, [1]);
    }
}

#[tokio::test]
async fn a_cluster_that_gets_its_first_key_keeps_its_store() {
    let dir = tempfile::tempdir().unwrap();
    let node = start(dir.path(), None).await;
    block(&node, 1).await;
    node.shutdown().await;
    let keys = ring(&[&ClusterKey::generate().unwrap()]);
    assert_eq!(found(dir.path(), Some(&keys)).await, [1]);
    // The store is bound to the key from then on.
    assert_eq!(found(dir.path(), None).await, [0; 0]);
}

#[tokio::test]
async fn a_store_of_an_earlier_version_is_bound_to_the_cluster_that_opens_it() {
    let (dir, earlier) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let node = start(dir.path(), None).await;
    block(&node, 1).await;
    node.shutdown().await;
    let (store, mut records) = (Store::open(dir.path()).unwrap(), Vec::new());
    store.read(|key, value| records.push(Record::set(key, value))).unwrap();
    let notes = ["alive", "stamp"].map(|name| (name, store.note(name).unwrap().unwrap()));
    let notes = [0, 1].map(|n| (notes[n].0, notes[n].1.as_slice()));
    Store::open(earlier.path()).unwrap().commit(records, &notes).unwrap();
    assert_eq!(found(earlier.path(), None).await, [1]);
    let other = builder(earlier.path(), None).cluster_name("west").start().await;
    assert!(other.unwrap_err().to_string().contains("`west`"));
}

#[tokio::test]
async fn a_store_with_invalid_notes_is_reported_as_damaged() {
    for note in [("cluster", &b"\xff"[..]), ("keys", &[1; 7]), ("keys", &[1; 8 * 1_000])] {
        let dir = tempfile::tempdir().unwrap();
        let name = [("cluster", DEFAULT_CLUSTER.as_bytes()), note];
        Store::open(dir.path()).unwrap().commit([], &name).unwrap();
        let error = builder(dir.path(), None).start().await.unwrap_err().to_string();
        assert!(error.contains("damaged") && error.contains(note.0), "{error}");
    }
}
