//! Wrong clocks: what one node's clock says ends nothing of the others.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use std::time::Duration;

use mailmesh::testing::*;
use mailmesh::*;
use tokio::time::sleep;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

async fn block(node: &Node, address: &str, ttl: Duration) {
    let network = Network::single(address.parse().unwrap());
    node.blocks().add(network, "x", Some(ttl)).await.unwrap();
}

fn blocks(node: &Node, address: &str) -> bool {
    node.blocks().is_blocked(address.parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_clock_minutes_off_wins_and_loses_nothing_and_its_blocks_act_and_end_everywhere_at_once()
{
    for skew in [Skew::Ahead(5 * MINUTE), Skew::Behind(5 * MINUTE)] {
        let cluster = TestCluster::start(["mx1", "mx2", "mx3"]).await.unwrap();
        let (mx1, mx3) = (cluster.node("mx1"), cluster.node("mx3"));
        cluster.skew("mx3", skew);
        let is_known = || mx3.status().clock_correction_ms.abs() > 299_000;
        eventually("mx3 knows how wrong its clock is", is_known).await.unwrap();
        block(&mx1, "192.0.2.1", 2 * MINUTE).await;
        block(&mx3, "192.0.2.2", 2 * MINUTE).await;
        cluster.converged_within(Duration::from_secs(2)).await.unwrap();
        // Whoever changes an entry last is right.
        let reason = |node: &Node| match node.blocks().lookup("192.0.2.3".parse().unwrap()) {
            Verdict::Blocked(entry) => entry.block.reason().to_owned(),
            _ => String::new(),
        };
        for (writer, text) in [(&mx1, "one"), (&mx3, "three"), (&mx1, "one again")] {
            let network = Network::single("192.0.2.3".parse().unwrap());
            writer.blocks().add(network, text, None).await.unwrap();
            cluster.converged_within(Duration::from_secs(2)).await.unwrap();
            for name in ["mx1", "mx2", "mx3"] {
                assert_eq!(reason(&cluster.node(name)), text);
            }
        }
        let all = |text| ["mx1", "mx2", "mx3"].map(|name| blocks(&cluster.node(name), text));
        for address in ["192.0.2.1", "192.0.2.2"] {
            assert_eq!(all(address), [true; 3]);
        }
        sleep(2 * MINUTE + Duration::from_millis(10)).await;
        for address in ["192.0.2.1", "192.0.2.2"] {
            assert_eq!(all(address), [false; 3]);
        }
        let mx1 = &mx3.members()[0];
        let ahead = mx1.clock_ahead_ms.unwrap();
        assert!((299_000..=301_000).contains(&ahead.abs()), "{mx1:?}");
        assert!(mx1.round_trip_us.is_some());
        cluster.skew("mx3", Skew::None);
        let is_right = || mx3.status().clock_correction_ms.abs() < 50;
        eventually("mx3 is set right", is_right).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_cut_off_keeps_the_time_of_the_others_whatever_its_own_clock_says() {
    let cluster = TestCluster::start(["mx1", "mx2", "mx3"]).await.unwrap();
    cluster.converged().await.unwrap();
    let (mx1, mx3) = (cluster.node("mx1"), cluster.node("mx3"));
    let is_known = || mx3.members().iter().all(|member| member.clock_ahead_ms.is_some());
    eventually("it knows their time", is_known).await.unwrap();
    block(&mx1, "192.0.2.2", 4 * MINUTE).await;
    cluster.converged().await.unwrap();
    cluster.isolate("mx3");
    eventually("mx3 is alone", || mx3.members().is_empty()).await.unwrap();
    cluster.skew("mx3", Skew::Ahead(5 * MINUTE));
    sleep(Duration::from_secs(2)).await;
    assert!(blocks(&mx3, "192.0.2.2"), "it does not end early");
    block(&mx3, "192.0.2.1", MINUTE).await;
    cluster.heal_all();
    eventually("in force at once", || blocks(&mx1, "192.0.2.1")).await.unwrap();
    assert_eq!(mx1.status().mirror_ahead, 0);
    sleep(MINUTE).await;
    assert!(!blocks(&mx1, "192.0.2.1") && !blocks(&mx3, "192.0.2.1"));
    cluster.converged().await.unwrap();
}

/// Skews that a dead battery, a wrong time zone or a slip of the hand make.
const WRONG: [Skew; 6] = [
    Skew::Ahead(DAY),
    Skew::Behind(DAY),
    Skew::Ahead(Duration::from_secs(3_600)),
    Skew::Ahead(Duration::from_secs(10 * 365 * 86_400)),
    Skew::Behind(Duration::from_secs(10 * 365 * 86_400)),
    Skew::Behind(Duration::from_secs(50 * 365 * 86_400)),
];

/// Of two clocks the mean counted: a node with 100 blocks of 30 days had none 3 s after a node
/// joined whose clock was ten years ahead.
#[tokio::test(start_paused = true)]
async fn a_wrong_clock_ends_nothing_of_the_other_node_and_of_a_cluster_with_one_node_down() {
    for skew in WRONG {
        for is_one_down in [false, true] {
            let cluster = TestCluster::start(["mx1", "mx2", "mx3"]).await.unwrap();
            let mx1 = cluster.node("mx1");
            for n in 0..100 {
                block(&mx1, &format!("192.0.2.{n}"), 30 * DAY).await;
            }
            block(&mx1, "198.51.100.1", 5 * MINUTE).await;
            cluster.converged().await.unwrap();
            cluster.kill("mx2");
            if !is_one_down {
                cluster.kill("mx3");
                eventually("mx1 is alone", || mx1.members().is_empty()).await.unwrap();
            }
            cluster.skew("mx2", skew);
            let wrong = cluster.restart("mx2").await.unwrap();
            if is_one_down {
                // It is right with the two others; and then one of those goes.
                eventually("all there", || wrong.members().len() == 2).await.unwrap();
                cluster.kill("mx3");
            }
            let is_read = || wrong.members().iter().any(|m| m.clock_ahead_ms.is_some());
            eventually("the clocks were compared", is_read).await.unwrap();
            sleep(2 * MINUTE).await;
            assert_eq!(mx1.status().clock_correction_ms, 0, "{skew:?}");
            assert!((0..100).all(|n| blocks(&mx1, &format!("192.0.2.{n}"))), "{skew:?}");
            assert!(blocks(&mx1, "198.51.100.1"));
            assert!(!mx1.status().clock_agreed);
            cluster.kill("mx2");
            sleep(4 * MINUTE).await;
            assert!((0..100).all(|n| blocks(&mx1, &format!("192.0.2.{n}"))), "{skew:?}");
            assert!(!blocks(&mx1, "198.51.100.1"), "what ends by the right clock has ended");
        }
    }
}

/// What it had stamped was held back or refused by the others for as long as it was ahead.
#[tokio::test(start_paused = true)]
async fn what_was_written_alone_by_a_wrong_clock_is_everywhere_at_once_and_anybody_changes_it() {
    for skew in [Skew::Ahead(5 * MINUTE), Skew::Ahead(2 * DAY), Skew::Ahead(3_650 * DAY)] {
        let cluster = TestCluster::start(["mx1", "mx2", "mx3"]).await.unwrap();
        cluster.isolate("mx3");
        cluster.skew("mx3", skew);
        // A new life has heard nobody's time.
        let (mx1, mx3) = (cluster.node("mx1"), cluster.restart("mx3").await.unwrap());
        let network = |text: &str| Network::single(text.parse().unwrap());
        for address in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
            mx3.blocks().add(network(address), "alone", None).await.unwrap();
        }
        cluster.skew("mx3", Skew::None);
        mx3.blocks().remove(Rule::Block, network("192.0.2.2")).await.unwrap();
        cluster.heal_all();
        eventually("they meet", || mx3.members().len() == 2).await.unwrap();
        cluster.converged().await.unwrap();
        assert!(blocks(&mx1, "192.0.2.1") && !blocks(&mx1, "192.0.2.2"));
        mx1.blocks().remove(Rule::Block, network("192.0.2.1")).await.unwrap();
        mx1.blocks().add(network("192.0.2.2"), "again", None).await.unwrap();
        mx3.blocks().remove(Rule::Block, network("192.0.2.3")).await.unwrap();
        cluster.converged().await.unwrap();
        for node in ["mx1", "mx2", "mx3"].map(|name| cluster.node(name)) {
            let all = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(|text| blocks(&node, text));
            assert_eq!(all, [false, true, false]);
        }
        assert!(mx1.status().mirror_ahead > 0);
    }
}

/// The time of a node that is alone is its clock's, whatever that says.
#[tokio::test(start_paused = true)]
async fn a_step_of_the_time_drops_nothing_for_a_minute() {
    let cluster = TestCluster::start(["mx1"]).await.unwrap();
    let mx1 = cluster.node("mx1");
    block(&mx1, "192.0.2.1", 120 * MINUTE).await;
    cluster.skew("mx1", Skew::Ahead(DAY));
    sleep(MINUTE / 2).await;
    assert!(!blocks(&mx1, "192.0.2.1"));
    cluster.skew("mx1", Skew::None);
    sleep(Duration::from_secs(2)).await;
    assert!(blocks(&mx1, "192.0.2.1"), "it was a mistake");
    cluster.skew("mx1", Skew::Ahead(DAY));
    sleep(2 * MINUTE).await;
    assert_eq!(mx1.status().mirror_entries, 0);
}

/// What came while the time was wrong, and had ended by that, was not in force for up to a minute
/// after the clock was mended: until entries may be dropped again.
#[tokio::test(start_paused = true)]
async fn what_a_wrong_time_had_ended_is_in_force_once_the_clock_is_mended() {
    let cluster = TestCluster::start(["mx1", "mx2"]).await.unwrap();
    let (mx1, mx2) = (cluster.node("mx1"), cluster.node("mx2"));
    block(&mx1, "192.0.2.1", DAY).await;
    cluster.converged().await.unwrap();
    cluster.skew("mx2", Skew::Ahead(60 * MINUTE));
    eventually("it goes by its own clock", || !mx2.status().clock_agreed).await.unwrap();
    // In the place of the other.
    block(&mx1, "192.0.2.1", 10 * MINUTE).await;
    eventually("it is over for mx2", || !blocks(&mx2, "192.0.2.1")).await.unwrap();
    let mut inbox = mx2.inbox(Filter::all());
    cluster.skew("mx2", Skew::None);
    sleep(Duration::from_secs(3)).await;
    assert!(blocks(&mx2, "192.0.2.1"));
    let synced = std::iter::from_fn(|| inbox.try_recv());
    let is_revived =
        |incoming: &Incoming| matches!(incoming, Incoming::Synced(change) if change.is_live());
    assert_eq!(synced.filter(is_revived).count(), 1);
    cluster.converged().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn two_clocks_that_hardly_differ_meet_in_the_middle_and_the_skew_outlasts_a_restart() {
    let cluster = TestCluster::start(["mx1", "mx2"]).await.unwrap();
    cluster.skew("mx2", Skew::Behind(MINUTE));
    let mx2 = cluster.restart("mx2").await.unwrap();
    cluster.converged().await.unwrap();
    let mx1 = cluster.node("mx1");
    assert!(mx2.status().started.0 + 50_000 < mx1.status().started.0);
    let corrections = || [&mx1, &mx2].map(|node| node.status().clock_correction_ms / 1_000);
    eventually("half of it each", || corrections() == [-30, 30]).await.unwrap();
    block(&mx1, "192.0.2.1", MINUTE).await;
    cluster.converged().await.unwrap();
    assert!(blocks(&mx1, "192.0.2.1") && blocks(&mx2, "192.0.2.1"));
    sleep(MINUTE + Duration::from_millis(50)).await;
    assert!(!blocks(&mx1, "192.0.2.1") && !blocks(&mx2, "192.0.2.1"));
    cluster.converged().await.unwrap();
}
