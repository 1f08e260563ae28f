//! A node that is shut down takes nothing unsaid with it.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use std::time::Duration;

use mailmesh::testing::TestCluster;
use mailmesh::*;
use tokio::time::{Instant, sleep, timeout};

fn event(number: u64) -> StateChange {
    StateChange::new(AccountId(1), ChangeId(number))
}

#[tokio::test(start_paused = true)]
async fn the_last_event_is_repaired_before_the_goodbye_though_it_was_lost_on_the_way() {
    let cluster = TestCluster::start(["mx1", "mx2"]).await.unwrap();
    let (mx1, mx2) = (cluster.node("mx1"), cluster.node("mx2"));
    let mut inbox = mx2.inbox(Filter::kinds([Kind::StateChange]));
    cluster.cut_one_way("mx1", "mx2");
    mx1.publish(event(1)).await.unwrap();
    let leaves = tokio::spawn(async move { mx1.shutdown().await });
    sleep(Duration::from_millis(200)).await;
    assert!(!leaves.is_finished(), "it waits for its last event to be confirmed");
    cluster.heal_all();
    leaves.await.unwrap();
    let came = [inbox.recv().await.unwrap(), inbox.recv().await.unwrap()];
    assert!(matches!(&came[0], Incoming::Event(received) if received.number == 1), "{came:?}");
    assert!(matches!(&came[1], Incoming::Left { .. }), "{came:?}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_nothing_delays_a_goodbye_by_half_a_second_and_an_idle_node_not_at_all()
{
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

/// mx3 is cut off while mx1 publishes and ends, and comes back after so many seconds: mx2
/// has everything of mx1.
async fn what_mx3_gets(kill: bool, back_after: f64) -> (u64, u64) {
    let cluster = TestCluster::start(["mx1", "mx2", "mx3"]).await.unwrap();
    let (mx1, mx3) = (cluster.node("mx1"), cluster.node("mx3"));
    let mut inbox = mx3.inbox(Filter::kinds([Kind::StateChange]));
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
    let (mut came, mut told) = (0, 0);
    while let Ok(incoming) = timeout(Duration::from_millis(10), inbox.recv()).await {
        match incoming.unwrap() {
            Incoming::Event(received) => {
                assert_eq!(received.number, came + told + 1);
                came += 1;
            }
            Incoming::Gap(gap) => told += gap.missed,
            _ => {}
        }
    }
    (came, told)
}

#[tokio::test(start_paused = true)]
async fn who_was_cut_off_when_a_node_ended_gets_its_last_words_from_another() {
    for kill in [false, true] {
        for back_after in [0.05, 1.0, 2.4, 6.5, 60.0] {
            let got = what_mx3_gets(kill, back_after).await;
            assert_eq!(got, (1_001, 0), "kill: {kill}, back after {back_after} s");
        }
    }
}
