//! Tests of the persister on a full disk.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use mailmesh_events::{Network, Rule};
use mailmesh_transport::MemoryHub;

use super::*;
use crate::{Node, NodeBuilder};

static IS_FULL: AtomicBool = AtomicBool::new(false);
static ATTEMPTS: AtomicUsize = AtomicUsize::new(0);

/// Opens a store, or fails as on a full disk.
fn full(dir: &Path) -> Result<Store, StoreError> {
    ATTEMPTS.fetch_add(1, Ordering::Relaxed);
    if IS_FULL.load(Ordering::Relaxed) {
        let source = std::io::ErrorKind::StorageFull.into();
        return Err(StoreError::DiskFull { path: Store::path_in(dir), source });
    }
    Store::open(dir)
}

fn node(dir: &Path) -> NodeBuilder {
    let mut builder = Node::builder().name("mx1").memory(&MemoryHub::new()).store(dir);
    builder.store_opener = Some(full);
    builder
}

async fn block(node: &Node, n: u8) {
    node.blocks().add(Network::single([192, 0, 2, n].into())).reason("spam").await.unwrap();
}

fn blocked(node: &Node) -> Vec<u8> {
    (0..=255).filter(|n| node.blocks().is_blocked([192, 0, 2, *n].into())).collect()
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let begin = std::time::Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(60), "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_node_started_on_a_full_disk_writes_its_mirror_once_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let first = node(dir.path()).start().await.unwrap();
    block(&first, 1).await;
    first.shutdown().await;

    IS_FULL.store(true, Ordering::Relaxed);
    let second = node(dir.path()).start().await.unwrap();
    block(&second, 2).await;
    let error = second.saved().await.unwrap_err();
    assert!(matches!(&error, MirrorError::NotSaved { .. }), "{error}");
    let status = second.status().store.unwrap();
    assert!(status.failure.is_some() && status.waiting == 1, "{status:?}");
    let before = ATTEMPTS.load(Ordering::Relaxed);
    eventually("opening is retried", || ATTEMPTS.load(Ordering::Relaxed) > before).await;

    IS_FULL.store(false, Ordering::Relaxed);
    eventually("old and new entries are there", || blocked(&second) == [1, 2]).await;
    eventually("all is written", || {
        let status = second.status().store.unwrap();
        status.failure.is_none() && status.waiting == 0
    })
    .await;
    second.shutdown().await;
    let third = node(dir.path()).start().await.unwrap();
    assert_eq!(blocked(&third), [1, 2]);
    third.shutdown().await;

    // A node that stops while the disk is full stops without an error.
    IS_FULL.store(true, Ordering::Relaxed);
    let fourth = node(dir.path()).start().await.unwrap();
    fourth.shutdown().await;
    // A damaged store is a permanent error.
    IS_FULL.store(false, Ordering::Relaxed);
    std::fs::write(dir.path().join("mirror.redb"), b"no store").unwrap();
    let error = node(dir.path()).start().await.unwrap_err().to_string();
    assert!(error.contains("move it away"), "{error}");
}

#[test]
fn old_content_counts_as_deleted_only_after_a_later_write() {
    let key = |n: u8| ChangeKey::Network {
        rule: Rule::Block,
        network: Network::single([192, 0, 2, n].into()),
    };
    let mut queue = WriteQueue { noted: 5, ..WriteQueue::default() };
    let under_way = queue.noted;
    queue.begin_deletion();
    queue.on_written(under_way);
    assert!(queue.may_be_outdated(false), "nothing is queued yet");
    queue.note([key(1), key(2)].into_iter());
    queue.end_deletion_at_noted();
    queue.on_written(under_way);
    assert!(queue.may_be_outdated(false), "that write began earlier");
    queue.on_written(queue.noted);
    assert!(!queue.may_be_outdated(false));
}
