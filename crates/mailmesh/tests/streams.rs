//! Inboxes and watches as streams.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use futures_core::Stream;
use mailmesh::{
    BlockUpdate, Filter, Incoming, MemoryHub, Namespace, Node, QueueSignal, StartError, ValueUpdate,
};
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(20);

/// The next item of a stream, within the deadline.
async fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    let next = poll_fn(|context| Pin::new(&mut *stream).poll_next(context));
    timeout(DEADLINE, next).await.expect("the stream has an item or ends")
}

async fn pair() -> (Node, Node) {
    let hub = MemoryHub::new();
    let start = |name: &str| Node::builder().name(name).memory(&hub).start();
    let (a, b) = (start("a").await.unwrap(), start("b").await.unwrap());
    a.wait_for_members(1).await;
    b.wait_for_members(1).await;
    (a, b)
}

#[tokio::test]
async fn an_inbox_streams_its_entries_and_ends_with_the_node() {
    let (a, b) = pair().await;
    let mut inbox = b.inbox(Filter::all().without_members());
    let reader = tokio::spawn(async move {
        let mut received = 0;
        while let Some(incoming) = next(&mut inbox).await {
            assert!(matches!(incoming, Incoming::Event(_)), "{incoming:?}");
            received += 1;
            if received == 100 {
                break;
            }
        }
        inbox
    });
    for _ in 0..100 {
        a.publish(QueueSignal::Refresh).await.unwrap();
    }
    let mut inbox = timeout(DEADLINE, reader).await.unwrap().unwrap();
    // The reader waits before the node stops.
    let end = tokio::spawn(async move { next(&mut inbox).await });
    tokio::task::yield_now().await;
    b.shutdown().await;
    assert_eq!(timeout(DEADLINE, end).await.unwrap().unwrap(), None);
    a.shutdown().await;
}

struct Flags;

impl Namespace for Flags {
    const NAME: &'static str = "test.flags";
    type Value = bool;
}

#[tokio::test]
async fn watches_stream_every_change_and_end_with_the_node() {
    let (a, b) = pair().await;
    let (mut blocks, mut flags) = (b.blocks().watch(), b.values::<Flags>().watch());
    assert_eq!(next(&mut blocks).await, Some(BlockUpdate::State(Vec::new())));
    assert!(matches!(next(&mut flags).await, Some(ValueUpdate::State(state)) if state.is_empty()));
    let changes = tokio::spawn(async move {
        let found = (next(&mut blocks).await, next(&mut flags).await);
        (found, blocks, flags)
    });
    a.blocks().add("192.0.2.7".parse().unwrap()).reason("spam").await.unwrap();
    a.values::<Flags>().set("greylisting", &true).ttl(Duration::from_secs(60)).await.unwrap();
    let ((block, flag), mut blocks, mut flags) = timeout(DEADLINE, changes).await.unwrap().unwrap();
    assert!(matches!(block, Some(BlockUpdate::Set(..))), "{block:?}");
    let Some(ValueUpdate::Set(set)) = flag else { panic!("{flag:?}") };
    assert_eq!((&*set.name, set.value.unwrap()), ("greylisting", true));

    let end =
        tokio::spawn(async move { (next(&mut blocks).await, next(&mut flags).await.is_none()) });
    tokio::task::yield_now().await;
    b.shutdown().await;
    assert_eq!(timeout(DEADLINE, end).await.unwrap().unwrap(), (None, true));
    a.shutdown().await;
}

#[tokio::test]
async fn a_node_with_too_small_an_inbox_does_not_start() {
    let hub = MemoryHub::new();
    let builder = || Node::builder().name("a").memory(&hub);
    for too_small in [builder().inbox_events(15), builder().inbox_bytes((1 << 20) - 1)] {
        let error = too_small.start().await.unwrap_err();
        assert!(matches!(error, StartError::InboxTooSmall { .. }), "{error}");
        assert!(error.to_string().contains("set `inbox_events` to 16 or more"), "{error}");
    }
}
