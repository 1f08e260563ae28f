//! Nodes in one process over the memory bus, through the public API.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use std::time::Duration;

use mailmesh::*;
use tokio::time::timeout;

const TIMEOUT: Duration = Duration::from_secs(10);

async fn node(hub: &MemoryHub, name: &str, key: Option<&ClusterKey>) -> Node {
    let mut builder = Node::builder().name(name).memory(hub);
    if let Some(key) = key {
        builder = builder.key(key.clone());
    }
    builder.start().await.unwrap()
}

/// Nodes that all have each other as members.
async fn cluster(names: &[&str], key: Option<&ClusterKey>) -> Vec<Node> {
    let hub = MemoryHub::new();
    let mut nodes = Vec::new();
    for name in names {
        nodes.push(node(&hub, name, key).await);
    }
    for node in &nodes {
        timeout(TIMEOUT, node.wait_for_members(names.len() - 1)).await.unwrap();
    }
    nodes
}

async fn next(inbox: &mut Inbox) -> Incoming {
    timeout(TIMEOUT, inbox.recv()).await.expect("an entry arrives").expect("the node runs")
}

async fn next_event(inbox: &mut Inbox) -> Event {
    loop {
        match next(inbox).await {
            Incoming::Event(received) => return received.event.clone(),
            Incoming::Gap(gap) => panic!("a gap: {gap:?}"),
            _ => {}
        }
    }
}

/// Waits until `is_so` returns `true`.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waited = timeout(TIMEOUT, async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    assert!(waited.await.is_ok(), "{what}: not true after {TIMEOUT:?}");
}

fn certificate(name: &str) -> Certificate {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    certificate_from_pem(chain.as_bytes(), key.as_bytes()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_both_lanes_arrive_in_order_on_every_other_node() {
    let key = ClusterKey::generate().unwrap();
    let nodes = cluster(&["a", "b", "c"], Some(&key)).await;
    let mut inboxes: Vec<_> =
        nodes[1..].iter().map(|node| node.inbox(Filter::all().without_members())).collect();
    let mut own = nodes[0].inbox(Filter::all().without_members());
    for i in 0..500 {
        nodes[0].publish(StateChange::new(AccountId(1), ChangeId(i))).await.unwrap();
        let ids = vec![ObjectId(i)];
        nodes[0].publish(CacheInvalidation::ids(CacheKind::Domain, ids).unwrap()).await.unwrap();
    }
    for inbox in &mut inboxes {
        let (mut changes, mut caches) = (0, 0);
        while changes + caches < 1_000 {
            match next_event(inbox).await {
                Event::StateChange(event) => {
                    assert_eq!(event.change, ChangeId(changes));
                    changes += 1;
                }
                Event::Cache(event) => {
                    assert_eq!(event.scope(), &CacheScope::Ids(vec![ObjectId(caches)]));
                    caches += 1;
                }
                other => panic!("{other}"),
            }
        }
    }
    assert!(own.try_recv().is_none(), "a node does not receive its own events");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_publishers_lose_no_event_and_keep_their_order() {
    let nodes = cluster(&["a", "b"], None).await;
    let mut inbox = nodes[1].inbox(Filter::kinds([Kind::StateChange]).unwrap());
    let mut tasks = Vec::new();
    for account in 0..8 {
        let node = nodes[0].clone();
        tasks.push(tokio::spawn(async move {
            for change in 0..1_000 {
                node.publish(StateChange::new(AccountId(account), ChangeId(change))).await.unwrap();
            }
        }));
    }
    let mut next_of = [0; 8];
    for _ in 0..8_000 {
        let Event::StateChange(event) = next_event(&mut inbox).await else { panic!() };
        let expected = &mut next_of[event.account.0 as usize];
        assert_eq!(event.change.0, *expected);
        *expected += 1;
    }
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_is_in_force_at_once_spreads_and_expires() {
    let nodes = cluster(&["a", "b"], None).await;
    let address = "192.0.2.7".parse().unwrap();
    let network = "192.0.2.0/24".parse().unwrap();
    nodes[0].blocks().add(network).reason("spam").ttl(Duration::from_secs(2)).await.unwrap();
    assert!(nodes[0].blocks().is_blocked(address));
    until("blocked on b", || nodes[1].blocks().is_blocked(address)).await;
    let Verdict::Blocked(entry) = nodes[1].blocks().lookup(address) else { panic!() };
    assert_eq!((entry.details.reason(), entry.details.origin()), ("spam", "a"));
    nodes[1].blocks().allow("192.0.2.7".parse().unwrap()).reason("ours").await.unwrap();
    until("allowed on a", || !nodes[0].blocks().is_blocked(address)).await;
    until("swept on both", || nodes.iter().all(|n| n.blocks().list(Rule::Block).is_empty())).await;
    until("equal", || nodes[0].status().mirror_fingerprint == nodes[1].status().mirror_fingerprint)
        .await;
    nodes[0].blocks().remove(Rule::Allow, "192.0.2.7".parse().unwrap()).await.unwrap();
    until("gone", || nodes[1].blocks().list(Rule::Allow).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_joining_node_gets_the_whole_mirror_and_its_inbox_reports_it() {
    let key = ClusterKey::generate().unwrap();
    let hub = MemoryHub::new();
    let old = node(&hub, "old", Some(&key)).await;
    for i in 0..2_000_u32 {
        let address = std::net::Ipv4Addr::from(0x0a00_0000 + i);
        old.blocks().add(Network::single(address.into())).reason("x").await.unwrap();
    }
    let issued = certificate("mail.example.org");
    old.certs().set(issued.clone()).await.unwrap();
    until("the changes are sent", || old.status().counters.delivery.sent == 2_001).await;
    let new = node(&hub, "new", Some(&key)).await;
    let (mut watch, mut reported) = (new.watch(), Vec::new());
    until("the mirror is there", || new.status().mirror_entries == 2_001).await;
    assert_eq!(new.status().mirror_fingerprint, old.status().mirror_fingerprint);
    let found = new.certs().for_host("mail.example.org").unwrap();
    assert_eq!((found.fingerprint(), found.key()), (issued.fingerprint(), issued.key()));
    new.shutdown().await;
    while let Some(update) = watch.recv().await {
        match update {
            MirrorUpdate::State(entries) => reported.extend(entries),
            MirrorUpdate::Changed(change) => reported.push(change),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(reported.len(), 2_001);
    assert_eq!(reported.iter().filter(|change| change.has_private_key()).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_cluster_key_certificates_are_refused_with_the_reason() {
    let nodes = cluster(&["a", "b"], None).await;
    let error = nodes[0].certs().set(certificate("a.example")).await.unwrap_err();
    assert!(matches!(error, MirrorError::NoClusterKey));
    assert!(error.to_string().contains("only with a cluster key"), "{error}");
    assert!(nodes[0].certs().list().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_with_another_key_or_none_are_refused_and_counted() {
    let (ours, theirs) = (ClusterKey::generate().unwrap(), ClusterKey::generate().unwrap());
    let hub = MemoryHub::new();
    let a = node(&hub, "a", Some(&ours)).await;
    let b = node(&hub, "b", Some(&ours)).await;
    let stranger = node(&hub, "stranger", Some(&theirs)).await;
    let open = node(&hub, "open", None).await;
    timeout(TIMEOUT, a.wait_for_members(1)).await.unwrap();
    for _ in 0..10 {
        stranger.publish(QueueSignal::Refresh).await.unwrap();
        open.publish(QueueSignal::Refresh).await.unwrap();
    }
    until("refused", || {
        let refused = a.status().refused;
        refused.not_authentic >= 10 && refused.not_sealed >= 10
    })
    .await;
    until("refused there too", || open.status().refused.no_key > 0).await;
    let names: Vec<_> = a.members().iter().map(|m| m.name.to_string()).collect();
    assert_eq!(names, ["b"]);
    assert!(stranger.members().is_empty() && open.members().is_empty());
    drop(b);
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_sends_all_events_then_a_goodbye_and_refuses_further_ones() {
    let nodes = cluster(&["a", "b"], None).await;
    let mut inbox = nodes[1].inbox(Filter::all());
    for i in 0..2_000 {
        nodes[0].publish(StateChange::new(AccountId(1), ChangeId(i))).await.unwrap();
    }
    nodes[0].shutdown().await;
    let mut received = 0;
    loop {
        match next(&mut inbox).await {
            Incoming::Event(_) => received += 1,
            Incoming::Left { member, reason } => {
                assert_eq!((member.name.as_str(), reason), ("a", LeaveReason::Bye));
                break;
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(received, 2_000);
    let error = nodes[0].publish(QueueSignal::Refresh).await.unwrap_err();
    assert!(matches!(error, PublishError::Stopped(Stopped::ShutDown)), "{error}");
    assert_eq!(nodes[0].stopped().await, StopReason::ShutDown);
    nodes[0].shutdown().await;
    let mut own = nodes[0].inbox(Filter::all());
    drop(nodes);
    assert!(timeout(TIMEOUT, own.recv()).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_node_fails_for_the_others_like_a_killed_one() {
    let mut nodes = cluster(&["a", "b"], None).await;
    let mut inbox = nodes[1].inbox(Filter::all());
    drop(nodes.remove(0));
    let Incoming::Left { reason, .. } = next(&mut inbox).await else { panic!() };
    assert_eq!(reason, LeaveReason::Failed);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_younger_of_two_nodes_with_one_name_stops_with_a_reason() {
    let hub = MemoryHub::new();
    let elder = node(&hub, "twin", None).await;
    // Start times have a resolution of 1 ms, so the second node must start in a later one.
    let started = elder.status().started;
    until("the clock moved on", || UnixMillis::from(std::time::SystemTime::now()) > started).await;
    let other = node(&hub, "other", None).await;
    timeout(TIMEOUT, other.wait_for_members(1)).await.unwrap();
    let mut inbox = other.inbox(Filter::all());
    let younger = node(&hub, "twin", None).await;
    let reason = timeout(TIMEOUT, younger.stopped()).await.unwrap();
    let name: NodeName = "twin".parse().unwrap();
    assert_eq!(reason, StopReason::DuplicateName { name: name.clone() });
    let error = younger.publish(QueueSignal::Refresh).await.unwrap_err();
    assert!(error.to_string().contains("give each node a name of its own"), "{error}");
    loop {
        if let Incoming::DuplicateName { name: found } = next(&mut inbox).await {
            assert_eq!(found, name);
            break;
        }
    }
    elder.publish(QueueSignal::Refresh).await.unwrap();
    assert_eq!(next_event(&mut inbox).await, Event::from(QueueSignal::Refresh));
}

/// Regression: the isolated node stayed, and the writes of the other were lost in five of eight
/// rounds.
#[tokio::test(start_paused = true)]
async fn the_isolated_node_of_a_name_conflict_stops_and_loses_no_write() {
    for wrote in 0..8 {
        let hub = MemoryHub::new();
        let twin = node(&hub, "twin", None).await;
        let others = [node(&hub, "b", None).await, node(&hub, "c", None).await];
        timeout(TIMEOUT, twin.wait_for_members(2)).await.unwrap();
        let cut = |node: &Node| {
            hub.cut(twin.incarnation(), node.incarnation());
            hub.cut(node.incarnation(), twin.incarnation());
        };
        others.iter().for_each(cut);
        until("the twin has no members", || twin.members().is_empty()).await;
        let working = node(&hub, "twin", None).await;
        cut(&working);
        timeout(TIMEOUT, working.wait_for_members(2)).await.unwrap();
        tokio::time::sleep(Duration::from_secs(10)).await;
        for n in 0..wrote * 100 {
            let network = Network::single(std::net::Ipv4Addr::from(0x0a00_0000 + n).into());
            twin.blocks().add(network).reason("alone").await.unwrap();
        }
        for other in others.iter().chain([&working]) {
            hub.heal(twin.incarnation(), other.incarnation());
            hub.heal(other.incarnation(), twin.incarnation());
        }
        let reason = timeout(TIMEOUT, twin.stopped()).await.unwrap();
        assert!(matches!(reason, StopReason::DuplicateName { .. }), "{reason:?}");
        until("all entries are kept", || {
            let nodes = others.iter().chain([&working]);
            nodes.map(|node| node.status().mirror_entries).all(|n| n == u64::from(wrote) * 100)
        })
        .await;
        others[0].publish(QueueSignal::Refresh).await.unwrap();
        assert_eq!(working.members().len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_gets_a_gap_and_no_other_reader_is_affected() {
    let hub = MemoryHub::new();
    let a = node(&hub, "a", None).await;
    let b = Node::builder().name("b").memory(&hub).inbox_events(100).start().await.unwrap();
    timeout(TIMEOUT, b.wait_for_members(1)).await.unwrap();
    let mut slow = b.inbox(Filter::all().without_members());
    for i in 0..1_000 {
        a.publish(StateChange::new(AccountId(1), ChangeId(i))).await.unwrap();
    }
    let address = "192.0.2.9".parse().unwrap();
    a.blocks().add(Network::single(address)).reason("x").await.unwrap();
    until("the mirror is current", || b.blocks().is_blocked(address)).await;
    until("all was delivered", || b.status().counters.delivery.delivered == 1_001).await;
    // Delivered events are counted just before they are in the inbox.
    let (mut missed, mut given) = (0, 0);
    while missed + given < 1_000 {
        match next(&mut slow).await {
            Incoming::Gap(gap) => {
                assert_eq!(gap.reason, GapReason::SlowConsumer);
                missed += gap.missed;
            }
            Incoming::Event(_) => given += 1,
            other => panic!("{other}"),
        }
    }
    assert!(missed > 0 && missed + given == 1_000, "{missed} missed, {given} given");
    assert_eq!(b.status().counters.delivery.gaps, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn mirror_changes_and_oversized_events_are_refused() {
    let nodes = cluster(&["a", "b"], None).await;
    let change =
        NetworkChange::new(Rule::Block, "192.0.2.7".parse().unwrap(), Stamp::default(), None);
    assert!(matches!(nodes[0].publish(change).await, Err(PublishError::MirrorEvent)));
    let smuggled = Event::Unknown(UnknownEvent { tag: 8, bytes: vec![0x91, 8].into() });
    assert!(matches!(nodes[0].publish(smuggled).await, Err(PublishError::UnknownEvent)));
    assert!(Custom::new("big", vec![0; limits::CUSTOM_PAYLOAD_LEN + 1]).is_err());
    let largest = Custom::new("big", vec![7; limits::CUSTOM_PAYLOAD_LEN]).unwrap();
    let mut inbox = nodes[1].inbox(Filter::kinds([Kind::Custom]).unwrap());
    nodes[0].publish(largest.clone()).await.unwrap();
    assert_eq!(next_event(&mut inbox).await, Event::from(largest));
}

#[tokio::test(flavor = "multi_thread")]
async fn try_publish_sends_or_refuses_each_event_and_publish_waits() {
    // Many threads at once: while one thread is inside the bus, the others fill its queue.
    let hub = MemoryHub::new();
    let a = node(&hub, "a", None).await;
    let big = Custom::new("big", vec![7; limits::CUSTOM_PAYLOAD_LEN]).unwrap();
    let mut tasks = Vec::new();
    for _ in 0..16 {
        let (a, big) = (a.clone(), big.clone());
        tasks.push(tokio::task::spawn_blocking(move || {
            (0..200)
                .filter(|_| matches!(a.try_publish(big.clone()), Err(PublishError::Full)))
                .count()
        }));
    }
    let mut full = 0;
    for task in tasks {
        full += task.await.unwrap();
    }
    // Exactly the events that were not refused are sent.
    until("all was sent", || {
        a.status().counters.waiting_bytes == 0
            && a.status().counters.delivery.sent >= 16 * 200 - full as u64
    })
    .await;
    let sent = a.status().counters.delivery.sent;
    assert_eq!(sent + full as u64, 16 * 200);
    // `publish` waits and is never refused.
    let mut tasks = Vec::new();
    for _ in 0..16 {
        let (a, big) = (a.clone(), big.clone());
        tasks.push(tokio::spawn(async move {
            for _ in 0..20 {
                a.publish(big.clone()).await.unwrap();
            }
        }));
    }
    for task in tasks {
        timeout(TIMEOUT, task).await.unwrap().unwrap();
    }
    until("all was sent", || a.status().counters.delivery.sent == sent + 320).await;
}

#[tokio::test]
async fn a_node_without_a_network_has_its_mirror() {
    let alone =
        Node::builder().coordinator(Coordinator::disabled()).name("alone").start().await.unwrap();
    let address = "192.0.2.7".parse().unwrap();
    alone.blocks().add(Network::single(address)).reason("x").await.unwrap();
    alone.publish(QueueSignal::Refresh).await.unwrap();
    assert!(alone.blocks().is_blocked(address));
    assert!(alone.members().is_empty());
    alone.shutdown().await;
}

#[tokio::test]
async fn an_invalid_name_cluster_name_or_timeout_is_refused_at_the_start() {
    let hub = MemoryHub::new();
    let builder = || Node::builder().memory(&hub).name("a");
    let errors = [
        builder().name("a b").start().await.unwrap_err().to_string(),
        builder().cluster_name("a/b").start().await.unwrap_err().to_string(),
        builder().failure_timeout(Duration::from_secs(1)).start().await.unwrap_err().to_string(),
    ];
    for (error, words) in
        errors.iter().zip(["not a node name", "cluster name `a/b`", "two heartbeats"])
    {
        assert!(error.contains(words), "{error}");
    }
}
