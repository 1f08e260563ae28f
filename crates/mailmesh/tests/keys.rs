//! Key rotation on running nodes.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use mailmesh::*;
use tokio::time::timeout;

const TIMEOUT: Duration = Duration::from_secs(20);
/// Capacity of the readers' inboxes: a gap caused by a full inbox would not be the keys' fault.
const INBOX_EVENTS: usize = 1 << 20;

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waited = timeout(TIMEOUT, async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    assert!(waited.await.is_ok(), "{what}: not true after {TIMEOUT:?}");
}

/// The result of a change of keys, repeated while a node does not answer, as the error advises: an
/// answer waits behind the events that the publishers have queued.
async fn repeated<T>(change: impl AsyncFn() -> Result<T, KeyError>) -> T {
    let repeats = async {
        loop {
            match change().await {
                Err(KeyError::Unanswered { .. }) => {}
                result => return result.unwrap(),
            }
        }
    };
    timeout(TIMEOUT, repeats).await.expect("all nodes answer")
}

/// Nodes over Zenoh on the loopback, each connected to the first.
async fn over_zenoh(names: &[&str], dir: &Path, key: &ClusterKey) -> Vec<Node> {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut nodes = Vec::new();
    for (n, name) in names.iter().enumerate() {
        let file = key_file(dir, name, &Keyring::new(key.clone()));
        let endpoints = match n {
            0 => format!("listen: {{endpoints: ['tcp/127.0.0.1:{port}']}}"),
            _ => format!(
                "listen: {{endpoints: ['tcp/127.0.0.1:0']}}, \
                 connect: {{endpoints: ['tcp/127.0.0.1:{port}']}}"
            ),
        };
        let config = serde_json::json!({
            "@type": "Zenoh",
            "config": format!(
                "{{mode: 'peer', scouting: {{multicast: {{enabled: false}}}}, {endpoints}}}"
            ),
            "mesh": {"key": {"@type": "File", "filePath": file}},
        });
        let coordinator = Coordinator::parse(&config.to_string()).unwrap();
        let builder = Node::builder()
            .name(*name)
            .coordinator(coordinator)
            .inbox_events(INBOX_EVENTS)
            .inbox_bytes(usize::MAX);
        nodes.push(builder.start().await.unwrap());
    }
    for node in &nodes {
        timeout(TIMEOUT, node.wait_for_members(names.len() - 1)).await.unwrap();
    }
    nodes
}

fn key_file(dir: &Path, name: &str, keys: &Keyring) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = dir.join(name);
    std::fs::write(&path, keys.to_text().as_bytes()).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn in_file(path: &Path) -> Vec<KeyId> {
    std::fs::read_to_string(path).unwrap().parse::<Keyring>().unwrap().ids("mail")
}

/// Number of events that an inbox delivered and that it reported missing.
#[derive(Debug, Default)]
struct Counted {
    delivered: u64,
    missed: u64,
}

/// Counts events of each sender until `last` of each were delivered or reported missing, in order.
async fn count(mut inbox: Inbox, last: Vec<Arc<AtomicU64>>, done: Arc<AtomicBool>) -> Counted {
    let mut positions = std::collections::BTreeMap::<(NodeName, Lane), u64>::new();
    let mut counted = Counted::default();
    loop {
        if done.load(Ordering::Acquire)
            && counted.delivered + counted.missed
                == last.iter().map(|last| last.load(Ordering::Acquire)).sum::<u64>()
        {
            return counted;
        }
        let Ok(incoming) = timeout(TIMEOUT, inbox.recv()).await else {
            panic!("{counted:?}: {positions:?} of {last:?}");
        };
        match incoming.expect("the node runs") {
            Incoming::Event(received) => {
                let position = positions.entry((received.from.name.clone(), received.lane));
                let position = position.or_default();
                *position += 1;
                assert_eq!(received.number, *position);
                counted.delivered += 1;
            }
            Incoming::Gap(gap) => {
                *positions.entry((gap.from.name.clone(), gap.lane)).or_default() += gap.missed;
                counted.missed += gap.missed;
            }
            Incoming::Left { member, reason } => panic!("{} left: it {reason}", member.name),
            _ => {}
        }
    }
}

fn certificate() -> Certificate {
    let made = rcgen::generate_simple_self_signed(["mail.example.org".to_owned()]).unwrap();
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    certificate_from_pem(chain.as_bytes(), key.as_bytes()).unwrap()
}

async fn with_store(dir: &Path, keys: Keyring) -> Node {
    let builder = Node::builder().name("a").memory(&MemoryHub::new()).keyring(keys, None);
    builder.store(dir).start().await.unwrap()
}

/// During the rotation each node reopens its session three times, and each link is down for some
/// 100 ms. Events that the sender still has are repaired.
#[tokio::test(flavor = "multi_thread")]
async fn keys_rotate_under_load_without_a_gap() {
    let counted = rotate_keys(Some(Duration::from_millis(10))).await;
    assert_eq!(counted.missed, 0);
}

/// Senders that never pause publish more during such a cut than their replay buffers hold.
#[tokio::test(flavor = "multi_thread")]
async fn keys_rotate_under_full_load_and_missing_events_are_reported() {
    let counted = rotate_keys(None).await;
    assert!(counted.missed < counted.delivered, "{counted:?}");
}

/// Lets three nodes publish while their keys rotate, with a pause after every 500 events. Returns
/// the sums over all inboxes.
async fn rotate_keys(pause: Option<Duration>) -> Counted {
    let dir = tempfile::tempdir().unwrap();
    let old = ClusterKey::generate().unwrap();
    let nodes = over_zenoh(&["a", "b", "c"], dir.path(), &old).await;
    let sent: Vec<_> = nodes.iter().map(|_| Arc::new(AtomicU64::new(0))).collect();
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let counts: Vec<_> = (0..nodes.len())
        .map(|own| {
            let others = sent.iter().enumerate().filter(|(n, _)| *n != own);
            let last = others.map(|(_, last)| last.clone()).collect();
            let inbox = nodes[own].inbox(Filter::all());
            tokio::spawn(count(inbox, last, done.clone()))
        })
        .collect();
    let publishers: Vec<_> = nodes
        .iter()
        .zip(&sent)
        .map(|(node, sent)| {
            let (node, sent, stop) = (node.clone(), sent.clone(), stop.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Acquire) {
                    let n = sent.load(Ordering::Acquire);
                    node.publish(StateChange::new(AccountId(7), ChangeId(n))).await.unwrap();
                    sent.fetch_add(1, Ordering::AcqRel);
                    if let Some(pause) = pause.filter(|_| n % 500 == 0) {
                        tokio::time::sleep(pause).await;
                    }
                }
            })
        })
        .collect();
    let more_delivered = async |from: u64| {
        until("events arrive", || {
            nodes.iter().all(|n| n.status().counters.delivery.delivered > from + 20_000)
        })
        .await;
        nodes.iter().map(|n| n.status().counters.delivery.delivered).max().unwrap()
    };

    let begun = more_delivered(0).await;
    let key = ClusterKey::generate().unwrap();
    let new = repeated(async || nodes[1].keys().add(key.clone()).await).await;
    let before = more_delivered(begun).await;
    repeated(async || nodes[2].keys().activate(new).await).await;
    let between = more_delivered(before).await;
    repeated(async || nodes[0].keys().retire(old.id("mail")).await).await;
    let retired = tokio::time::Instant::now();
    more_delivered(between).await;
    // Goes on until frames sealed with the old key are refused and the key opens no link.
    while retired.elapsed() < Duration::from_secs(12) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    stop.store(true, Ordering::Release);
    for publisher in publishers {
        publisher.await.unwrap();
    }
    done.store(true, Ordering::Release);
    // Wakes the readers that already have all events.
    for (node, sent) in nodes.iter().zip(&sent) {
        node.publish(StateChange::new(AccountId(0), ChangeId(0))).await.unwrap();
        sent.fetch_add(1, Ordering::AcqRel);
    }
    let mut all = Counted::default();
    for count in counts {
        let counted = count.await.unwrap();
        (all.delivered, all.missed) =
            (all.delivered + counted.delivered, all.missed + counted.missed);
    }
    println!("{all:?} while the keys rotated");
    for (node, name) in nodes.iter().zip(["a", "b", "c"]) {
        let status = node.status();
        assert_eq!(status.refused.not_authentic, 0, "{name}");
        assert_eq!(status.key_id, Some(new.to_string()));
        assert_eq!(in_file(&dir.path().join(name)), [new]);
        node.shutdown().await;
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_only_the_old_key_is_refused_after_its_retirement() {
    let hub = MemoryHub::new();
    let old = ClusterKey::generate().unwrap();
    let start = async |name: &str, keys: Keyring| {
        Node::builder().name(name).memory(&hub).keyring(keys, None).start().await.unwrap()
    };
    let (a, b) =
        (start("a", Keyring::new(old.clone())).await, start("b", Keyring::new(old.clone())).await);
    timeout(TIMEOUT, a.wait_for_members(1)).await.unwrap();
    timeout(TIMEOUT, b.wait_for_members(1)).await.unwrap();

    // No node changes its key before all nodes have it.
    let unknown = ClusterKey::generate().unwrap();
    let error = a.keys().activate(unknown.id("mail")).await.unwrap_err().to_string();
    assert!(error.contains("there is no cluster key"), "{error}");
    let new = ClusterKey::generate().unwrap();
    let id = a.keys().add(new.clone()).here().await.unwrap();
    let error = a.keys().activate(id).await.unwrap_err().to_string();
    assert_eq!(error, format!("no key {id} at b; add it first"));
    assert_eq!(a.keys().add(new.clone()).await.unwrap(), id, "adding the key twice does no harm");
    let error = a.keys().retire(old.id("mail")).await.unwrap_err().to_string();
    let expected = format!("b, a seal with {}; activate another key first", old.id("mail"));
    assert_eq!(error, expected);
    b.keys().activate(id).await.unwrap();
    let listed = a.keys().list().await.unwrap();
    let names: Vec<_> = listed.iter().map(|node| node.node.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert!(listed.iter().all(|node| node.answered && !node.kept && !node.keeps_active));
    assert!(listed.iter().all(|node| node.keys == [id, old.id("mail")]));

    // A node with both keys joins and gets the mirror.
    let mut both = Keyring::new(old.clone());
    both.add(new.clone()).unwrap();
    let address = "192.0.2.1".parse().unwrap();
    a.blocks().add(Network::single(address)).reason("spam").await.unwrap();
    let c = start("c", both).await;
    timeout(TIMEOUT, c.wait_for_members(2)).await.unwrap();
    // c seals with another key than the others until it is activated.
    until("c is a member", || a.status().members == 2 && b.status().members == 2).await;
    let error = a.keys().retire(old.id("mail")).await.unwrap_err().to_string();
    assert!(error.starts_with("c seal with"), "{error}");
    a.keys().activate(id).await.unwrap();
    until("c has the mirror", || c.blocks().is_blocked(address)).await;
    let error = a.keys().retire(old.id("mail")).await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("b, a: no file keeps key {id}, which seals")), "{error}");
    a.keys().retire(old.id("mail")).force().await.unwrap();
    let retired = tokio::time::Instant::now();
    assert_eq!(a.keys().list().await.unwrap()[2].keys, [id]);
    until("mirrors are equal", || {
        let of = |node: &Node| node.status().mirror_fingerprint;
        of(&a) == of(&b) && of(&b) == of(&c)
    })
    .await;

    // A node with the old key may still join during the grace period.
    let begin = tokio::time::Instant::now();
    loop {
        let stranger = start("d", Keyring::new(old.clone())).await;
        let is_decided = || a.status().refused.not_authentic > 0 || a.status().members == 3;
        until("the stranger joins or is refused", is_decided).await;
        if a.status().members < 3 {
            until("the stranger refuses, too", || stranger.status().refused.not_authentic > 0)
                .await;
            assert_eq!((stranger.status().members, a.status().members), (0, 2));
            break;
        }
        stranger.shutdown().await;
        until("the stranger is gone", || a.status().members == 2).await;
        assert!(begin.elapsed() < TIMEOUT, "the stranger still joins");
    }
    assert!(
        retired.elapsed() > Duration::from_secs(8),
        "frames in flight are accepted during the grace period"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_certificates_are_resealed_before_their_key_is_retired() {
    let dir = tempfile::tempdir().unwrap();
    let old = ClusterKey::generate().unwrap();
    let start = async |keys| with_store(dir.path(), keys).await;
    let node = start(Keyring::new(old.clone())).await;
    node.certs().set(certificate()).await.unwrap();
    node.saved().await.unwrap();
    let new = ClusterKey::generate().unwrap();
    let id = node.keys().add(new.clone()).await.unwrap();
    node.keys().activate(id).await.unwrap();
    node.keys().retire(old.id("mail")).force().await.unwrap();
    node.shutdown().await;
    let again = start(Keyring::new(new)).await;
    assert_eq!(again.certs().list().len(), 1);
    again.shutdown().await;
    assert_eq!(start(Keyring::new(old)).await.certs().list().len(), 0);
}

#[tokio::test]
async fn key_errors_name_a_missing_key_a_full_ring_and_a_missing_file() {
    let open = Node::builder().name("a").memory(&MemoryHub::new()).start().await.unwrap();
    let key = || ClusterKey::generate().unwrap();
    let error = open.keys().add(key()).await.unwrap_err().to_string();
    assert!(error.contains("the mesh is open"), "{error}");
    assert!(matches!(open.keys().list().await, Err(KeyError::OpenMesh)));

    let gone = tempfile::tempdir().unwrap();
    let file = gone.path().join("keys");
    let builder = Node::builder().name("a").memory(&MemoryHub::new());
    let node = builder.keyring(Keyring::new(key()), Some(file)).start().await.unwrap();
    let listed = node.keys().list().await.unwrap().remove(0);
    assert!(!listed.kept && !listed.keeps_active && !listed.keeps_new, "there is no such file");
    for n in 2..=4 {
        node.keys().add(key()).await.unwrap();
        let listed = node.keys().list().await.unwrap().remove(0);
        assert_eq!((listed.keys.len(), listed.kept), (n, false), "there is no such file");
    }
    let error = node.keys().add(key()).await.unwrap_err().to_string();
    assert_eq!(error, "there are 4 cluster keys already; retire one first");
    let active = node.keys().list().await.unwrap()[0].keys[0];
    assert!(matches!(node.keys().retire(active).await, Err(KeyError::InUse { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_its_keys_in_another_order_adopts_the_majority_key() {
    let hub = MemoryHub::new();
    let [old, new] = [(); 2].map(|()| ClusterKey::generate().unwrap());
    let ring = |first: &ClusterKey, second: &ClusterKey| {
        let mut ring = Keyring::new(first.clone());
        ring.add(second.clone()).unwrap();
        ring
    };
    let start = async |name: &str, keys: Keyring| {
        Node::builder().name(name).memory(&hub).keyring(keys, None).start().await.unwrap()
    };
    let a = start("a", ring(&new, &old)).await;
    let address = "192.0.2.1".parse().unwrap();
    a.blocks().add(Network::single(address)).reason("spam").await.unwrap();
    // Of two nodes the older one's key wins; of three, the majority's.
    let b = start("b", ring(&old, &new)).await;
    until("b has the mirror", || b.blocks().is_blocked(address)).await;
    let c = start("c", ring(&old, &new)).await;
    until("c has the mirror", || c.blocks().is_blocked(address)).await;
    for node in [&a, &b, &c] {
        assert_eq!(node.status().key_id, Some(new.id("mail").to_string()));
    }
    // An activation on one node changes that node only.
    c.keys().activate(old.id("mail")).here().await.unwrap();
    let activated = tokio::time::Instant::now();
    // Longer than a node waits before it adopts the majority's key.
    while activated.elapsed() < Duration::from_secs(7) {
        let ids = [&a, &b, &c].map(|node| node.status().key_id.unwrap());
        assert_eq!(ids, [new.id("mail"), new.id("mail"), old.id("mail")].map(|id| id.to_string()));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_sealed_by_an_earlier_incarnation_are_resealed() {
    let dir = tempfile::tempdir().unwrap();
    let [old, new] = [(); 2].map(|()| ClusterKey::generate().unwrap());
    let start = async |keys| with_store(dir.path(), keys).await;
    let node = start(Keyring::new(old.clone())).await;
    node.certs().set(certificate()).await.unwrap();
    node.shutdown().await;
    let mut both = Keyring::new(new.clone());
    both.add(old.clone()).unwrap();
    let node = start(both).await;
    node.keys().retire(old.id("mail")).await.unwrap();
    node.shutdown().await;
    assert_eq!(start(Keyring::new(new)).await.certs().list().len(), 1);
}

#[tokio::test]
async fn a_retired_key_is_not_added_on_all_nodes_again() {
    let dir = tempfile::tempdir().unwrap();
    let [old, new] = [(); 2].map(|()| ClusterKey::generate().unwrap());
    let node = with_store(dir.path(), Keyring::new(old.clone())).await;
    let keys = node.keys();
    let before = keys.list().await.unwrap()[0].keys[0];
    let id = keys.add(new).await.unwrap();
    keys.activate(id).await.unwrap();
    keys.retire(before).force().await.unwrap();
    let refused = keys.add(old.clone()).await.unwrap_err();
    assert!(matches!(refused, KeyError::Retired { id } if id == before), "{refused}");
    // To add it again, the operator adds it on each node.
    keys.add(old.clone()).here().await.unwrap();
    assert_eq!(keys.add(old).await.unwrap(), before);
    node.shutdown().await;
}

/// Like a Secret mounted read-only: the node cannot write the file, and the operator changes it
/// elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_not_retired_while_a_restart_would_lock_a_member_out() {
    let hub = MemoryHub::new();
    let dir = tempfile::tempdir().unwrap();
    let old = ClusterKey::generate().unwrap();
    let start = async |name: &str, file: Option<PathBuf>| {
        let ring = Keyring::new(old.clone());
        let builder = Node::builder().name(name).memory(&hub).keyring(ring, file);
        builder.start().await.unwrap()
    };
    let a = start("a", Some(key_file(dir.path(), "a", &Keyring::new(old.clone())))).await;
    let secret = dir.path().join("secret");
    let b = start("b", Some(secret.join("b"))).await;
    let c = start("c", None).await;
    for node in [&a, &b, &c] {
        timeout(TIMEOUT, node.wait_for_members(2)).await.unwrap();
    }
    let keys = a.keys();
    let id = keys.add(ClusterKey::generate().unwrap()).await.unwrap();
    keys.activate(id).await.unwrap();
    let listed = keys.list().await.unwrap();
    assert!(listed.iter().all(|node| node.keeps_active == (node.node.as_str() == "a")));
    assert!(listed.iter().all(|node| node.keeps_new == (node.node.as_str() == "a")));
    for node in [&a, &b, &c] {
        let error = node.keys().retire(old.id("mail")).await.unwrap_err();
        let KeyError::NotKept { id: sealing, nodes } = error else { panic!("{error}") };
        assert_eq!(sealing, id);
        assert!(nodes.contains('b') && nodes.contains('c') && !nodes.contains('a'), "{nodes}");
    }
    let error = b.keys().retire(old.id("mail")).here().await.unwrap_err();
    assert!(matches!(error, KeyError::NotKept { .. }), "{error}");
    assert!(a.keys().list().await.unwrap().iter().all(|node| node.keys.len() == 2));

    // The operator puts the key where a restart finds it.
    let exported = b.keys().export(None).unwrap();
    assert_eq!(exported.id("mail"), id);
    assert_eq!(b.keys().export(Some(old.id("mail"))).unwrap().id("mail"), old.id("mail"));
    assert!(b.keys().export(Some(ClusterKey::generate().unwrap().id("mail"))).is_err());
    std::fs::create_dir(&secret).unwrap();
    key_file(&secret, "b", &Keyring::new(exported));
    let error = a.keys().retire(old.id("mail")).await.unwrap_err();
    assert!(matches!(&error, KeyError::NotKept { nodes, .. } if nodes == "c"), "{error}");
    c.shutdown().await;
    until("c is gone", || a.status().members == 1).await;
    assert_eq!(a.former_members().len(), 1);
    assert_eq!(a.former_members()[0].name.as_str(), "c");
    a.keys().retire(old.id("mail")).await.unwrap();
    let again = start("c", None).await;
    until("c lacks the key and reports it", || again.status().locked_out).await;
    assert!(!a.status().locked_out, "a has a member");
    let added = again.keys().add(a.keys().export(None).unwrap()).here().await.unwrap();
    assert_eq!(added, id);
    for node in [a, b, again] {
        node.shutdown().await;
    }
}
