//! The test kit: each of its faults does what it says, and nothing is lost in silence
//! under any. In virtual time, unless threads matter.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use std::time::Duration;

use mailmesh::testing::{TestCluster, TestError, eventually};
use mailmesh::*;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(30);
const MINUTE: Duration = Duration::from_secs(60);

/// Reads an inbox and holds each event of one sender to account: it comes once and in
/// order, or is told missing.
struct Ledger {
    inbox: Inbox,
    sender: &'static str,
    /// Number of the next event.
    next: u64,
    told: u64,
    /// Who joined and left, as it reads.
    members: Vec<String>,
}

impl Ledger {
    fn new(node: &Node, sender: &'static str) -> Self {
        let inbox = node.inbox(Filter::kinds([Kind::StateChange]));
        Self { inbox, sender, next: 1, told: 0, members: Vec::new() }
    }

    fn take(&mut self, incoming: &Incoming) {
        match incoming {
            Incoming::Event(received) if received.from.name.as_str() == self.sender => {
                let Event::StateChange(change) = &received.event else { panic!("{incoming}") };
                assert_eq!((received.number, change.change.0), (self.next, self.next));
                self.next += 1;
            }
            Incoming::Gap(gap) if gap.from.name.as_str() == self.sender => {
                assert_ne!(gap.reason, GapReason::SlowConsumer);
                self.next += gap.missed;
                self.told += gap.missed;
            }
            Incoming::Joined(_) | Incoming::Left { .. } => self.members.push(incoming.to_string()),
            _ => {}
        }
    }

    /// Reads until every event up to the number `last` is accounted for.
    async fn settle(&mut self, last: u64) {
        while self.next <= last {
            let incoming = timeout(PATIENCE, self.inbox.recv()).await;
            let incoming = incoming.unwrap_or_else(|_| {
                panic!(
                    "of {}: {} of {last}; members: {:?}",
                    self.sender,
                    self.next - 1,
                    self.members
                )
            });
            self.take(&incoming.expect("the node runs"));
        }
        assert_eq!(self.next, last + 1);
    }

    /// Reads until somebody joined or left in these words.
    async fn until_told(&mut self, what: &str) {
        while !self.members.iter().any(|told| told == what) {
            let incoming = timeout(PATIENCE, self.inbox.recv()).await;
            let incoming =
                incoming.unwrap_or_else(|_| panic!("not told `{what}`: {:?}", self.members));
            self.take(&incoming.expect("the node runs"));
        }
    }
}

/// Publishes the events of these numbers, and lets the others run in between.
async fn publish(node: &Node, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        node.publish(StateChange::new(AccountId(1), ChangeId(number))).await.unwrap();
        if number % 64 == 0 {
            yield_now().await;
        }
    }
}

fn sees(node: &Node, name: &str) -> bool {
    node.members().iter().any(|member| member.name.as_str() == name)
}

async fn block(node: &Node, address: &str, ttl: Duration) {
    let network = Network::single(address.parse().unwrap());
    node.blocks().add(network, "spam", Some(ttl)).await.unwrap();
}

fn blocks(node: &Node, address: &str) -> bool {
    node.blocks().is_blocked(address.parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_node_cut_off_for_25_s_gets_what_it_missed_and_the_others_do_not_notice() {
    let cluster = TestCluster::start(["mx1", "mx2", "mx3"]).await.unwrap();
    let (mx1, mx3) = (cluster.node("mx1"), cluster.node("mx3"));
    let (mut near, mut far) = (Ledger::new(&cluster.node("mx2"), "mx1"), Ledger::new(&mx3, "mx1"));
    publish(&mx1, 1..=100).await;
    far.settle(100).await;
    cluster.isolate("mx3");
    for number in (101..=1_100).step_by(40) {
        publish(&mx1, number..=number + 39).await;
        sleep(Duration::from_secs(1)).await;
    }
    near.settle(1_100).await;
    assert_eq!(near.told, 0);
    far.until_told("mx1 left: it sent no heartbeat").await;
    assert_eq!(far.next, 101, "nothing passes a cut");
    assert!(cluster.dropped_frames() > 25);
    cluster.heal_all();
    far.settle(1_100).await;
    assert_eq!(far.told, 0, "its sender still had everything");
    cluster.converged().await.unwrap();
    // The same lives go on.
    assert!(far.members.iter().any(|told| told == "mx1 joined"));
    assert!(mx1.members().iter().any(|member| member.incarnation == mx3.incarnation()));
}

#[tokio::test(start_paused = true)]
async fn what_a_sender_no_longer_has_after_a_cut_is_told_as_a_gap_of_its_very_length() {
    let cluster = TestCluster::start(["mx1", "mx2"]).await.unwrap();
    let (mx1, mx2) = (cluster.node("mx1"), cluster.node("mx2"));
    let mut inbox = mx2.inbox(Filter::kinds([Kind::Custom]).without_members());
    cluster.isolate("mx2");
    eventually("mx2 has failed for mx1", || !sees(&mx1, "mx2")).await.unwrap();
    let large = Custom::new("large", vec![7; limits::CUSTOM_PAYLOAD_LEN]).unwrap();
    let count = (40 << 20) / limits::CUSTOM_PAYLOAD_LEN as u64;
    for _ in 0..count {
        mx1.publish(large.clone()).await.unwrap();
        yield_now().await;
    }
    cluster.reconnect("mx2");
    let (mut next, mut told) = (1, 0);
    while next <= count {
        match timeout(PATIENCE, inbox.recv()).await.unwrap().unwrap() {
            Incoming::Event(received) => {
                assert_eq!(received.number, next);
                next += 1;
            }
            Incoming::Gap(gap) => {
                assert_eq!(gap.reason, GapReason::Unreachable);
                next += gap.missed;
                told += gap.missed;
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(next, count + 1);
    assert!(told > 0 && told < count, "{told} of {count}");
}

#[tokio::test(start_paused = true)]
async fn two_nodes_cut_from_each_other_hear_each_other_through_the_third() {
    let cluster = TestCluster::start(["mx1", "mx2", "mx3"]).await.unwrap();
    let (mx1, mx3) = (cluster.node("mx1"), cluster.node("mx3"));
    let (mut one, mut other) = (Ledger::new(&mx3, "mx1"), Ledger::new(&mx1, "mx3"));
    let via = |node: &Node, of: &str| {
        let member = node.members().into_iter().find(|member| member.name.as_str() == of);
        member.and_then(|member| member.relayed_via).map(|via| via.to_string())
    };
    cluster.cut("mx1", "mx3");
    publish(&mx1, 1..=200).await;
    publish(&mx3, 1..=200).await;
    one.settle(200).await;
    other.settle(200).await;
    eventually("mx2 passes on", || via(&mx3, "mx1").as_deref() == Some("mx2")).await.unwrap();
    cluster.heal("mx1", "mx3");
    eventually("they hear each other", || via(&mx3, "mx1").is_none()).await.unwrap();
    cluster.cut_one_way("mx1", "mx3");
    publish(&mx1, 201..=400).await;
    one.settle(400).await;
    eventually("mx2 passes on", || via(&mx3, "mx1").as_deref() == Some("mx2")).await.unwrap();
    assert_eq!(via(&mx1, "mx3"), None, "mx1 hears it as before");
    cluster.heal_all();
    cluster.converged().await.unwrap();
    assert_eq!((one.told, other.told), (0, 0));
    assert!(one.members.is_empty() && other.members.is_empty(), "nobody left");
}

#[tokio::test(start_paused = true)]
async fn while_a_node_is_frozen_the_others_go_on_and_thawed_it_is_whole_or_told() {
    let cluster = TestCluster::start(["mx1", "mx2", "mx3"]).await.unwrap();
    let (mx1, mx2) = (cluster.node("mx1"), cluster.node("mx2"));
    let mut other = Ledger::new(&cluster.node("mx3"), "mx1");
    let (mut frozen, mut from_frozen) = (Ledger::new(&mx2, "mx1"), Ledger::new(&mx1, "mx2"));
    cluster.freeze("mx2");
    let sent = mx2.status().sent;
    assert!(matches!(mx2.try_publish(QueueSignal::Refresh), Err(Error::Full)));
    let late = tokio::spawn({
        let mx2 = mx2.clone();
        async move { publish(&mx2, 1..=1).await }
    });
    // More frames than its intake holds: each is there before the next, so that they do not gather.
    for number in 1..=20_000 {
        publish(&mx1, number..=number).await;
        other.settle(number).await;
    }
    assert_eq!(other.told, 0);
    from_frozen.until_told("mx2 left: it sent no heartbeat").await;
    cluster.converged().await.unwrap();
    assert_eq!((mx2.status().sent, frozen.inbox.len(), late.is_finished()), (sent, 0, false));
    assert!(sees(&mx2, "mx1"), "it has not even noticed the time");

    cluster.thaw("mx2");
    frozen.settle(20_000).await;
    assert!(mx2.status().intake_dropped > 0, "its intake is bounded");
    late.await.unwrap();
    from_frozen.settle(1).await;
    cluster.converged().await.unwrap();
    assert_eq!(from_frozen.members.last().unwrap(), "mx2 joined", "with the life it had");
}

/// A node that woke took all others for failed, since by its time they had been silent.
#[tokio::test(start_paused = true)]
async fn a_node_that_stood_still_takes_nobody_for_failed() {
    let cluster = TestCluster::start(["mx1", "mx2", "mx3"]).await.unwrap();
    cluster.converged().await.unwrap();
    let mx3 = cluster.node("mx3");
    let mut inbox = mx3.inbox(Filter::all());
    // As when a machine sleeps: nothing waits to be read when it wakes.
    cluster.isolate("mx3");
    cluster.freeze("mx3");
    eventually("the others take it for failed", || !sees(&cluster.node("mx1"), "mx3"))
        .await
        .unwrap();
    sleep(MINUTE).await;
    cluster.thaw("mx3");
    cluster.reconnect("mx3");
    eventually("all see it", || sees(&cluster.node("mx1"), "mx3")).await.unwrap();
    sleep(MINUTE).await;
    cluster.converged().await.unwrap();
    while let Some(incoming) = inbox.try_recv() {
        assert!(!matches!(incoming, Incoming::Left { .. }), "{incoming}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_killed_node_has_failed_for_the_others_and_comes_back_as_a_new_life_with_the_mirror() {
    let cluster = TestCluster::start(["mx1", "mx2", "mx3"]).await.unwrap();
    let (old, mx2) = (cluster.node("mx1"), cluster.node("mx2"));
    let (mut witness, mut own) = (Ledger::new(&mx2, "mx1"), old.inbox(Filter::all()));
    block(&old, "192.0.2.7", 10 * MINUTE).await;
    cluster.converged().await.unwrap();
    publish(&old, 1..=10).await;
    cluster.kill("mx1");
    cluster.kill("mx1");
    // What its server still holds of it says that it is over, and does not hang.
    assert!(matches!(old.publish(QueueSignal::Refresh).await, Err(Error::ShutDown)));
    assert_eq!(old.stopped().await, StopReason::ShutDown);
    timeout(PATIENCE, old.shutdown()).await.unwrap();
    while timeout(PATIENCE, own.recv()).await.unwrap().is_some() {}
    // Its link closed: nobody waits for 3 s of silence, in virtual time.
    cluster.converged_within(Duration::from_secs(1)).await.unwrap();
    witness.until_told("mx1 left: it sent no heartbeat").await;
    assert_eq!((witness.next, witness.told), (11, 0), "what it sent before it died is there");

    let new = cluster.restart("mx1").await.unwrap();
    assert_ne!(new.incarnation(), old.incarnation());
    cluster.converged().await.unwrap();
    witness.until_told("mx1 joined").await;
    assert!(blocks(&cluster.node("mx1"), "192.0.2.7"));
    assert!(mx2.members().iter().any(|member| member.incarnation == new.incarnation()));
    witness.next = 1;
    publish(&new, 1..=10).await;
    witness.settle(10).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_restarted_at_once_replaces_its_old_life_and_stays_cut_off_if_it_was() {
    let cluster = TestCluster::start(["mx1", "mx2", "mx3"]).await.unwrap();
    let (mut by_mx2, mx3) = (Ledger::new(&cluster.node("mx2"), "mx1"), cluster.node("mx3"));
    cluster.cut("mx1", "mx3");
    cluster.cut("mx2", "mx3");
    cluster.freeze("mx1");
    let new = cluster.restart("mx1").await.unwrap();
    by_mx2.until_told("mx1 left: it was restarted").await;
    eventually("mx3 has lost the old life", || !sees(&mx3, "mx1")).await.unwrap();
    eventually("mx2 has the new one", || sees(&cluster.node("mx2"), "mx1")).await.unwrap();
    // mx2 may have told of it once more.
    eventually("nobody hears mx3", || !sees(&new, "mx3")).await.unwrap();
    cluster.heal_all();
    cluster.converged().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn with_a_fifth_of_all_frames_lost_everything_comes_once_and_in_order_or_is_told() {
    let cluster = TestCluster::start(["mx1", "mx2", "mx3"]).await.unwrap();
    let mx1 = cluster.node("mx1");
    let mut ledgers = ["mx2", "mx3"].map(|name| Ledger::new(&cluster.node(name), "mx1"));
    cluster.lose(20, 7);
    for number in (1..=2_000).step_by(10) {
        publish(&mx1, number..=number + 9).await;
        sleep(Duration::from_millis(10)).await;
    }
    for ledger in &mut ledgers {
        ledger.settle(2_000).await;
    }
    let dropped = cluster.dropped_frames();
    assert!(dropped > 400, "{dropped}");
    cluster.heal_all();
    cluster.converged().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn certificates_replicate_because_the_mesh_is_sealed_unless_an_open_one_is_asked_for() {
    let made = rcgen::generate_simple_self_signed(["mail.example.org".to_owned()]).unwrap();
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let certificate = certificate_from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
    let cluster = TestCluster::start(["mx1", "mx2"]).await.unwrap();
    cluster.node("mx1").certs().set(certificate.clone()).await.unwrap();
    cluster.converged().await.unwrap();
    assert!(cluster.node("mx2").certs().for_host("mail.example.org").is_some());
    let late = cluster.add("mx3").await.unwrap();
    cluster.converged().await.unwrap();
    assert!(late.certs().for_host("mail.example.org").is_some());

    let open = TestCluster::builder(["a", "b"]).open_mesh().start().await.unwrap();
    let refused = open.node("a").certs().set(certificate).await.unwrap_err();
    assert!(matches!(refused, Error::NoClusterKey));
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_ends_says_what_is_not_so() {
    let cluster = TestCluster::start(["mx1", "mx2"]).await.unwrap();
    cluster.kill("mx2");
    let error = cluster.converged_within(Duration::from_millis(100)).await.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("the nodes do not agree after 100ms: mx1 still has mx2 ("), "{text}");
    cluster.restart("mx2").await.unwrap();
    cluster.converged().await.unwrap();
    cluster.isolate("mx1");
    eventually("both gave up", || !sees(&cluster.node("mx1"), "mx2")).await.unwrap();
    let error = cluster.converged_within(Duration::from_secs(1)).await.unwrap_err();
    assert!(error.to_string().contains("mx1 does not have mx2"), "{error}");
    let error = eventually("pigs fly", || false).await.unwrap_err();
    assert_eq!(error.to_string(), "pigs fly: not so after 30s");
    let error = cluster.add("mx1").await.unwrap_err();
    assert!(matches!(&error, TestError::SameName { name } if name == "mx1"), "{error}");
    let error = cluster.add("not a name").await.unwrap_err();
    assert!(error.to_string().starts_with("node `not a name` did not start: "), "{error}");
}

#[tokio::test]
#[should_panic(expected = "no node `mx9` in this cluster; there are: mx1, mx2")]
async fn a_name_that_is_not_there_is_told_with_those_that_are() {
    let cluster = TestCluster::start(["mx1", "mx2"]).await.unwrap();
    cluster.cut("mx1", "mx9");
}

#[tokio::test]
#[should_panic(expected = "node `mx1` was killed; restart it first")]
async fn a_node_that_was_killed_cannot_be_asked() {
    let cluster = TestCluster::start(["mx1"]).await.unwrap();
    cluster.kill("mx1");
    let _gone = cluster.node("mx1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_many_threads_nothing_is_sent_once_freeze_has_returned_nor_after_a_kill() {
    let cluster = TestCluster::builder(["mx1", "mx2"])
        .each(|builder| builder.failure_timeout(Duration::from_secs(2)))
        .start()
        .await
        .unwrap();
    let (mx1, mx2) = (cluster.node("mx1"), cluster.node("mx2"));
    let publisher = tokio::spawn({
        let mx1 = mx1.clone();
        async move {
            let mut published = 0;
            while mx1.publish(QueueSignal::Refresh).await.is_ok() {
                published += 1;
                if published % 64 == 0 {
                    sleep(Duration::from_millis(1)).await;
                }
            }
            published
        }
    });
    eventually("events flow", || mx2.status().delivered > 1_000).await.unwrap();
    cluster.freeze("mx1");
    let sent = mx1.status().sent;
    eventually("mx1 has failed", || !sees(&mx2, "mx1")).await.unwrap();
    assert_eq!(mx1.status().sent, sent);
    cluster.thaw("mx1");
    cluster.converged().await.unwrap();
    eventually("they flow again", || mx2.status().delivered > sent).await.unwrap();
    cluster.freeze("mx1");
    cluster.kill("mx1");
    // Also frozen, it dies, and lets go of who waited.
    let published = timeout(PATIENCE, publisher).await.unwrap().unwrap();
    assert!(published > sent);
    eventually("mx1 has failed", || !sees(&mx2, "mx1")).await.unwrap();
}
