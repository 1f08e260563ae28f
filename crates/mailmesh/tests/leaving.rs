//! A node that leaves takes no unsent event with it.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use std::time::Duration;

use mailmesh::testing::TestCluster;
use mailmesh::*;
use tokio::time::{Instant, sleep, timeout};

fn event(number: u64) -> StateChange {
    StateChange::new(AccountId(1), ChangeId(number))
}

#[tokio::test(start_paused = true)]
async fn a_lost_last_event_is_repaired_before_the_goodbye() {
    let cluster = TestCluster::start(["mx1", "mx2"]).await.unwrap();
    let (mx1, mx2) = (cluster.node("mx1"), cluster.node("mx2"));
    let mut inbox = mx2.inbox(Filter::kinds([Kind::StateChange]).unwrap());
    cluster.cut_one_way("mx1", "mx2");
    mx1.publish(event(1)).await.unwrap();
    let leaves = tokio::spawn(async move { mx1.shutdown().await });
    sleep(Duration::from_millis(200)).await;
    assert!(!leaves.is_finished(), "the shutdown waits until its last event is acknowledged");
    cluster.heal_all();
    leaves.await.unwrap();
    let entries = [inbox.recv().await.unwrap(), inbox.recv().await.unwrap()];
    assert!(
        matches!(&entries[0], Incoming::Event(received) if received.number == 1),
        "{entries:?}"
    );
    assert!(matches!(&entries[1], Incoming::Left { .. }), "{entries:?}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_delays_a_goodbye_by_half_a_second() {
    let cluster = TestCluster::start(["mx1", "mx2", "mx3"]).await.unwrap();
    let (mx1, mx3) = (cluster.node("mx1"), cluster.node("mx3"));
    cluster.freeze("mx2");
    mx1.publish(event(1)).await.unwrap();
    let begin = Instant::now();
    mx1.shutdown().await;
    let waited = begin.elapsed();
    assert!((500..=510).contains(&waited.as_millis()), "{waited:?}");
    let begin = Instant::now();
    mx3.shutdown().await;
    assert!(begin.elapsed() < Duration::from_millis(10), "{:?}", begin.elapsed());
}

/// Isolates mx3 while mx1 publishes and ends, and reconnects it after `back_after` seconds. mx2 has
/// all events of mx1. Returns the events that mx3 received and those reported missing.
async fn events_on_mx3(kill: bool, back_after: f64) -> (u64, u64) {
    let cluster = TestCluster::start(["mx1", "mx2", "mx3"]).await.unwrap();
    let (mx1, mx3) = (cluster.node("mx1"), cluster.node("mx3"));
    let mut inbox = mx3.inbox(Filter::kinds([Kind::StateChange]).unwrap());
    mx1.publish(event(1)).await.unwrap();
    sleep(Duration::from_millis(500)).await;
    cluster.isolate("mx3");
    for number in 2..=1_001 {
        mx1.publish(event(number)).await.unwrap();
    }
    sleep(Duration::from_millis(10)).await;
    if kill {
        cluster.kill("mx1");
    } else {
        mx1.shutdown().await;
    }
    drop(mx1);
    sleep(Duration::from_secs_f64(back_after)).await;
    cluster.heal_all();
    sleep(Duration::from_secs(10)).await;
    let (mut received, mut missed) = (0, 0);
    while let Ok(incoming) = timeout(Duration::from_millis(10), inbox.recv()).await {
        match incoming.unwrap() {
            Incoming::Event(event) => {
                assert_eq!(event.number, received + missed + 1);
                received += 1;
            }
            Incoming::Gap(gap) => missed += gap.missed,
            _ => {}
        }
    }
    (received, missed)
}

#[tokio::test(start_paused = true)]
async fn an_isolated_node_gets_the_last_events_of_an_ended_one_from_another() {
    for kill in [false, true] {
        for back_after in [0.05, 1.0, 2.4, 6.5, 60.0] {
            let got = events_on_mx3(kill, back_after).await;
            assert_eq!(got, (1_001, 0), "kill: {kill}, back after {back_after} s");
        }
    }
}
