//! The test kit: each fault has its documented effect, and no event is lost without a report. In
//! virtual time, except where threads matter.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use std::time::Duration;

use mailmesh::testing::{TestCluster, TestError, eventually};
use mailmesh::*;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

const TIMEOUT: Duration = Duration::from_secs(30);
const MINUTE: Duration = Duration::from_secs(60);

/// Reads an inbox and accounts for each event of one sender: it arrives once and in order, or is
/// reported missing.
struct Ledger {
    inbox: Inbox,
    sender: &'static str,
    /// Number of the next event.
    next: u64,
    missed: u64,
    /// Membership changes, as text.
    members: Vec<String>,
}

impl Ledger {
    fn new(node: &Node, sender: &'static str) -> Self {
        let inbox = node.inbox(Filter::kinds([Kind::StateChange]).unwrap());
        Self { inbox, sender, next: 1, missed: 0, members: Vec::new() }
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
                self.missed += gap.missed;
            }
            Incoming::Joined(_) | Incoming::Left { .. } => self.members.push(incoming.to_string()),
            _ => {}
        }
    }

    /// Reads until every event up to number `last` is accounted for.
    async fn settle(&mut self, last: u64) {
        while self.next <= last {
            let incoming = timeout(TIMEOUT, self.inbox.recv()).await;
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

    /// Reads until this membership change is reported.
    async fn until_reported(&mut self, what: &str) {
        while !self.members.iter().any(|change| change == what) {
            let incoming = timeout(TIMEOUT, self.inbox.recv()).await;
            let incoming =
                incoming.unwrap_or_else(|_| panic!("`{what}` is not reported: {:?}", self.members));
            self.take(&incoming.expect("the node runs"));
        }
    }
}

/// Publishes the events with these numbers, and lets other tasks run in between.
async fn publish(node: &Node, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        node.publish(StateChange::new(AccountId(1), ChangeId(number))).await.unwrap();
        if number % 64 == 0 {
            yield_now().await;
        }
    }
}

fn has_member(node: &Node, name: &str) -> bool {
    node.members().iter().any(|member| member.name.as_str() == name)
}

async fn block(node: &Node, address: &str, ttl: Duration) {
    let network = Network::single(address.parse().unwrap());
    node.blocks().add(network).reason("spam").ttl(ttl).await.unwrap();
}

fn blocks(node: &Node, address: &str) -> bool {
    node.blocks().is_blocked(address.parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_node_isolated_for_25_s_gets_all_events_and_delays_no_other_node() {
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
    assert_eq!(near.missed, 0);
    far.until_reported("mx1 left: it sent no heartbeat").await;
    assert_eq!(far.next, 101, "nothing passes a cut");
    assert!(cluster.dropped_frames() > 25);
    cluster.heal_all();
    far.settle(1_100).await;
    assert_eq!(far.missed, 0, "its sender still had everything");
    cluster.converged().await.unwrap();
    // Both nodes keep their incarnations.
    assert!(far.members.iter().any(|change| change == "mx1 joined"));
    assert!(mx1.members().iter().any(|member| member.incarnation == mx3.incarnation()));
}

#[tokio::test(start_paused = true)]
async fn events_gone_from_the_replay_buffer_are_reported_as_an_exact_gap() {
    let cluster = TestCluster::start(["mx1", "mx2"]).await.unwrap();
    let (mx1, mx2) = (cluster.node("mx1"), cluster.node("mx2"));
    let mut inbox = mx2.inbox(Filter::kinds([Kind::Custom]).unwrap().without_members());
    cluster.isolate("mx2");
    eventually("mx2 has failed for mx1", || !has_member(&mx1, "mx2")).await.unwrap();
    let large = Custom::new("large", vec![7; limits::CUSTOM_PAYLOAD_LEN]).unwrap();
    let count = (40 << 20) / limits::CUSTOM_PAYLOAD_LEN as u64;
    for _ in 0..count {
        mx1.publish(large.clone()).await.unwrap();
        yield_now().await;
    }
    cluster.reconnect("mx2");
    let (mut next, mut missed) = (1, 0);
    while next <= count {
        match timeout(TIMEOUT, inbox.recv()).await.unwrap().unwrap() {
            Incoming::Event(received) => {
                assert_eq!(received.number, next);
                next += 1;
            }
            Incoming::Gap(gap) => {
                assert_eq!(gap.reason, GapReason::Unreachable);
                next += gap.missed;
                missed += gap.missed;
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(next, count + 1);
    assert!(missed > 0 && missed < count, "{missed} of {count}");
}

#[tokio::test(start_paused = true)]
async fn two_nodes_cut_from_each_other_are_relayed_by_the_third() {
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
    eventually("mx2 relays", || via(&mx3, "mx1").as_deref() == Some("mx2")).await.unwrap();
    cluster.heal("mx1", "mx3");
    eventually("the direct link works", || via(&mx3, "mx1").is_none()).await.unwrap();
    cluster.cut_one_way("mx1", "mx3");
    publish(&mx1, 201..=400).await;
    one.settle(400).await;
    eventually("mx2 relays", || via(&mx3, "mx1").as_deref() == Some("mx2")).await.unwrap();
    assert_eq!(via(&mx1, "mx3"), None, "mx1 hears mx3 directly");
    cluster.heal_all();
    cluster.converged().await.unwrap();
    assert_eq!((one.missed, other.missed), (0, 0));
    assert!(one.members.is_empty() && other.members.is_empty(), "nobody left");
}

#[tokio::test(start_paused = true)]
async fn a_frozen_node_delays_no_other_node_and_catches_up_when_thawed() {
    let cluster = TestCluster::start(["mx1", "mx2", "mx3"]).await.unwrap();
    let (mx1, mx2) = (cluster.node("mx1"), cluster.node("mx2"));
    let mut other = Ledger::new(&cluster.node("mx3"), "mx1");
    let (mut frozen, mut from_frozen) = (Ledger::new(&mx2, "mx1"), Ledger::new(&mx1, "mx2"));
    cluster.freeze("mx2");
    let sent = mx2.status().counters.delivery.sent;
    assert!(matches!(mx2.try_publish(QueueSignal::Refresh), Err(PublishError::Full)));
    let late = tokio::spawn({
        let mx2 = mx2.clone();
        async move { publish(&mx2, 1..=1).await }
    });
    // More frames than the queue holds. Each frame arrives before the next is sent, so that they
    // are not combined.
    for number in 1..=20_000 {
        publish(&mx1, number..=number).await;
        other.settle(number).await;
    }
    assert_eq!(other.missed, 0);
    from_frozen.until_reported("mx2 left: it sent no heartbeat").await;
    cluster.converged().await.unwrap();
    assert_eq!(
        (mx2.status().counters.delivery.sent, frozen.inbox.len(), late.is_finished()),
        (sent, 0, false)
    );
    assert!(has_member(&mx2, "mx1"), "no time has passed for the frozen node");

    cluster.thaw("mx2");
    frozen.settle(20_000).await;
    assert!(mx2.status().counters.intake_dropped > 0, "its ingress queue is bounded");
    late.await.unwrap();
    from_frozen.settle(1).await;
    cluster.converged().await.unwrap();
    assert_eq!(from_frozen.members.last().unwrap(), "mx2 joined", "with the same incarnation");
}

/// Regression: a node that woke saw all others fail, since they had been silent by its clock.
#[tokio::test(start_paused = true)]
async fn a_node_that_stalled_sees_no_member_fail() {
    let cluster = TestCluster::start(["mx1", "mx2", "mx3"]).await.unwrap();
    cluster.converged().await.unwrap();
    let mx3 = cluster.node("mx3");
    let mut inbox = mx3.inbox(Filter::all());
    // As when a machine sleeps: no frame waits for it when it wakes.
    cluster.isolate("mx3");
    cluster.freeze("mx3");
    eventually("the others see it fail", || !has_member(&cluster.node("mx1"), "mx3"))
        .await
        .unwrap();
    sleep(MINUTE).await;
    cluster.thaw("mx3");
    cluster.reconnect("mx3");
    eventually("all see it", || has_member(&cluster.node("mx1"), "mx3")).await.unwrap();
    sleep(MINUTE).await;
    cluster.converged().await.unwrap();
    while let Some(incoming) = inbox.try_recv() {
        assert!(!matches!(incoming, Incoming::Left { .. }), "{incoming}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_killed_node_fails_and_its_restart_gets_the_mirror() {
    let cluster = TestCluster::start(["mx1", "mx2", "mx3"]).await.unwrap();
    let (old, mx2) = (cluster.node("mx1"), cluster.node("mx2"));
    let (mut witness, mut own) = (Ledger::new(&mx2, "mx1"), old.inbox(Filter::all()));
    block(&old, "192.0.2.7", 10 * MINUTE).await;
    cluster.converged().await.unwrap();
    publish(&old, 1..=10).await;
    cluster.kill("mx1");
    cluster.kill("mx1");
    // Handles of the killed node return errors and do not hang.
    assert!(matches!(
        old.publish(QueueSignal::Refresh).await,
        Err(PublishError::Stopped(Stopped::ShutDown))
    ));
    assert_eq!(old.stopped().await, StopReason::ShutDown);
    timeout(TIMEOUT, old.shutdown()).await.unwrap();
    while timeout(TIMEOUT, own.recv()).await.unwrap().is_some() {}
    // Its link closed, so the others do not wait for 3 s of silence in virtual time.
    cluster.converged_within(Duration::from_secs(1)).await.unwrap();
    witness.until_reported("mx1 left: it sent no heartbeat").await;
    assert_eq!(
        (witness.next, witness.missed),
        (11, 0),
        "all events sent before the kill are there"
    );

    let new = cluster.restart("mx1").await.unwrap();
    assert_ne!(new.incarnation(), old.incarnation());
    cluster.converged().await.unwrap();
    witness.until_reported("mx1 joined").await;
    assert!(blocks(&cluster.node("mx1"), "192.0.2.7"));
    assert!(mx2.members().iter().any(|member| member.incarnation == new.incarnation()));
    witness.next = 1;
    publish(&new, 1..=10).await;
    witness.settle(10).await;
}

#[tokio::test(start_paused = true)]
async fn a_restarted_node_replaces_its_incarnation_and_keeps_its_cuts() {
    let cluster = TestCluster::start(["mx1", "mx2", "mx3"]).await.unwrap();
    let (mut by_mx2, mx3) = (Ledger::new(&cluster.node("mx2"), "mx1"), cluster.node("mx3"));
    cluster.cut("mx1", "mx3");
    cluster.cut("mx2", "mx3");
    cluster.freeze("mx1");
    let new = cluster.restart("mx1").await.unwrap();
    by_mx2.until_reported("mx1 left: it was restarted").await;
    eventually("mx3 has lost the old incarnation", || !has_member(&mx3, "mx1")).await.unwrap();
    eventually("mx2 has the new one", || has_member(&cluster.node("mx2"), "mx1")).await.unwrap();
    // mx2 may have reported mx3 once more.
    eventually("mx3 is no member of mx1", || !has_member(&new, "mx3")).await.unwrap();
    cluster.heal_all();
    cluster.converged().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn at_20_percent_loss_each_event_arrives_once_in_order_or_is_reported() {
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
async fn certificates_replicate_by_default_and_not_in_an_open_mesh() {
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
    assert!(matches!(refused, MirrorError::NoClusterKey));
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_times_out_names_the_unmet_condition() {
    let cluster = TestCluster::start(["mx1", "mx2"]).await.unwrap();
    cluster.kill("mx2");
    let error = cluster.converged_within(Duration::from_millis(100)).await.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("the nodes do not agree after 100ms: mx1 still has mx2 ("), "{text}");
    cluster.restart("mx2").await.unwrap();
    cluster.converged().await.unwrap();
    cluster.isolate("mx1");
    eventually("mx1 sees mx2 fail", || !has_member(&cluster.node("mx1"), "mx2")).await.unwrap();
    let error = cluster.converged_within(Duration::from_secs(1)).await.unwrap_err();
    assert!(error.to_string().contains("mx1 does not have mx2"), "{error}");
    let error = eventually("pigs fly", || false).await.unwrap_err();
    assert_eq!(error.to_string(), "pigs fly: not true after 30s");
    let error = cluster.add("mx1").await.unwrap_err();
    assert!(matches!(&error, TestError::SameName { name } if name == "mx1"), "{error}");
    let error = cluster.add("not a name").await.unwrap_err();
    assert!(error.to_string().starts_with("node `not a name` did not start: "), "{error}");
}

#[tokio::test]
#[should_panic(expected = "no node `mx9` in this cluster; there are: mx1, mx2")]
async fn an_unknown_name_panics_with_the_known_names() {
    let cluster = TestCluster::start(["mx1", "mx2"]).await.unwrap();
    cluster.cut("mx1", "mx9");
}

#[tokio::test]
#[should_panic(expected = "node `mx1` was killed; restart it first")]
async fn the_handle_of_a_killed_node_cannot_be_taken() {
    let cluster = TestCluster::start(["mx1"]).await.unwrap();
    cluster.kill("mx1");
    let _gone = cluster.node("mx1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_many_threads_a_frozen_or_killed_node_sends_nothing() {
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
    eventually("events flow", || mx2.status().counters.delivery.delivered > 1_000).await.unwrap();
    cluster.freeze("mx1");
    let sent = mx1.status().counters.delivery.sent;
    eventually("mx1 has failed", || !has_member(&mx2, "mx1")).await.unwrap();
    assert_eq!(mx1.status().counters.delivery.sent, sent);
    cluster.thaw("mx1");
    cluster.converged().await.unwrap();
    eventually("they flow again", || mx2.status().counters.delivery.delivered > sent)
        .await
        .unwrap();
    cluster.freeze("mx1");
    cluster.kill("mx1");
    // A frozen node can be killed, and its waiting publishers return.
    let published = timeout(TIMEOUT, publisher).await.unwrap().unwrap();
    assert!(published > sent);
    eventually("mx1 has failed", || !has_member(&mx2, "mx1")).await.unwrap();
}
