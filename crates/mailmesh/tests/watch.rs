//! Watches of the mirror, and imports of lists in one step.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mailmesh::testing::TestCluster;
use mailmesh::*;
use tokio::time::{sleep, timeout};

const TIMEOUT: Duration = Duration::from_secs(30);

fn network(text: &str) -> Network {
    text.parse().unwrap()
}

async fn next(watch: &mut BlockWatch) -> BlockUpdate {
    timeout(TIMEOUT, watch.recv()).await.expect("an update in time").expect("the node runs")
}

#[tokio::test(start_paused = true)]
async fn a_watch_returns_a_snapshot_and_then_local_and_remote_changes() {
    let cluster = TestCluster::start(["mx1", "mx2"]).await.unwrap();
    let (mx1, mx2) = (cluster.node("mx1"), cluster.node("mx2"));
    mx1.blocks().add(network("192.0.2.1")).reason("before").await.unwrap();
    cluster.converged().await.unwrap();

    let mut watch = mx2.blocks().watch();
    let BlockUpdate::State(state) = next(&mut watch).await else { panic!() };
    assert_eq!(state.len(), 1);
    assert_eq!(state[0].1.details.reason(), "before");

    mx1.blocks()
        .add(network("192.0.2.2"))
        .reason("there")
        .ttl(Duration::from_secs(5))
        .await
        .unwrap();
    let BlockUpdate::Set(Rule::Block, entry) = next(&mut watch).await else { panic!() };
    assert_eq!((entry.network, entry.details.reason()), (network("192.0.2.2"), "there"));
    mx2.blocks().allow(network("192.0.2.3")).reason("here").await.unwrap();
    assert!(matches!(next(&mut watch).await, BlockUpdate::Set(Rule::Allow, _)));
    mx1.blocks().remove(Rule::Block, network("192.0.2.1")).await.unwrap();
    assert_eq!(next(&mut watch).await, BlockUpdate::Removed(Rule::Block, network("192.0.2.1")));
    let BlockUpdate::Expired(Rule::Block, entry) = next(&mut watch).await else { panic!() };
    assert_eq!(entry.network, network("192.0.2.2"));

    mx2.shutdown().await;
    assert_eq!(timeout(TIMEOUT, watch.recv()).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_slowly_read_watch_still_adds_up_to_the_mirror() {
    let cluster = TestCluster::start(["mx1", "mx2"]).await.unwrap();
    let (mx1, mx2) = (cluster.node("mx1"), cluster.node("mx2"));
    let mut watch = mx2.blocks().watch();
    let (mut known, mut states) = (BTreeMap::new(), 0);
    let mut take = |update| match update {
        BlockUpdate::State(state) => {
            states += 1;
            known = state.into_iter().map(|(_, entry)| (entry.network, entry.details)).collect();
        }
        BlockUpdate::Set(_, entry) => drop(known.insert(entry.network, entry.details)),
        BlockUpdate::Removed(_, network) => drop(known.remove(&network)),
        other => panic!("{other:?}"),
    };
    take(next(&mut watch).await);
    // More changes than a watch queues.
    let address = |n: u32| Network::single(std::net::Ipv4Addr::from(0x0A00_0000 + n).into());
    let block = || RuleDetails::new("list", UnixMillis(1)).unwrap();
    let list: Vec<_> = (0..70_000).map(|n| (address(n), block())).collect();
    let mut published = 0;
    let import = mx1.blocks().import(Rule::Block, list).progress(|done| published = done);
    let imported = import.await.unwrap();
    assert_eq!((imported.taken, imported.replaced, published), (70_000, 0, 70_000));
    cluster.converged().await.unwrap();
    mx1.blocks().remove(Rule::Block, address(7)).await.unwrap();
    cluster.converged().await.unwrap();
    while let Ok(update) = timeout(Duration::from_secs(1), watch.recv()).await {
        take(update.unwrap());
    }
    let there: BTreeMap<_, _> =
        mx2.blocks().list(Rule::Block).into_iter().map(|e| (e.network, e.details)).collect();
    assert_eq!((there.len(), states), (69_999, 2));
    assert!(known == there);
}

#[tokio::test(start_paused = true)]
async fn a_list_with_one_forbidden_network_is_refused_as_a_whole() {
    let cluster = TestCluster::start(["mx1"]).await.unwrap();
    let mx1 = cluster.node("mx1");
    let text = "192.0.2.1\n127.0.0.1 # myself\n";
    let list = lists::read(text, lists::Format::guess(text)).unwrap();
    let blocks = mx1.blocks();
    let error = blocks.import(Rule::Block, &list.entries).await.unwrap_err();
    assert!(error.to_string().contains("127.0.0.1"), "{error}");
    assert!(blocks.list(Rule::Block).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_watch_reports_certificates() {
    let cluster = TestCluster::start(["mx1", "mx2"]).await.unwrap();
    let mut watch = cluster.node("mx2").certs().watch();
    let CertUpdate::State(state) = watch.recv().await.unwrap() else { panic!() };
    assert!(state.is_empty());
    let made = rcgen::generate_simple_self_signed(["mx.example.org".to_owned()]).unwrap();
    let key = made.signing_key.serialize_pem();
    let certificate = certificate_from_pem(made.cert.pem().as_bytes(), key.as_bytes()).unwrap();
    let names = certificate.names().clone();
    let certs = cluster.node("mx1");
    certs.certs().set(certificate).await.unwrap();
    let CertUpdate::Set(set) = timeout(TIMEOUT, watch.recv()).await.unwrap().unwrap() else {
        panic!()
    };
    assert_eq!(set.names(), &names);
    sleep(Duration::from_millis(10)).await;
    certs.certs().withdraw(names.clone()).await.unwrap();
    let update = timeout(TIMEOUT, watch.recv()).await.unwrap().unwrap();
    assert_eq!(update, CertUpdate::Removed(names));
}

#[tokio::test(start_paused = true)]
async fn a_watch_reports_a_certificate_that_expires_soon() {
    let millis = Arc::new(AtomicU64::new(1_800_000_000_000));
    let read = millis.clone();
    let node = Node::builder()
        .name("mx1")
        .memory(&MemoryHub::new())
        .key(ClusterKey::generate().unwrap())
        .wall_clock(move || UnixMillis(read.load(Ordering::Relaxed)))
        .start()
        .await
        .unwrap();
    let mut params = rcgen::CertificateParams::new(["mx.example.org".to_owned()]).unwrap();
    // The clock shows 15 January 2027.
    params.not_after = rcgen::date_time_ymd(2027, 4, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    let key = key.serialize_pem();
    let certificate = certificate_from_pem(pem.as_bytes(), key.as_bytes()).unwrap();
    let mut watch = node.certs().watch();
    assert!(matches!(watch.recv().await, Some(CertUpdate::State(state)) if state.is_empty()));
    node.certs().set(certificate).await.unwrap();
    assert!(matches!(watch.recv().await, Some(CertUpdate::Set(_))));
    for (days_later, left) in [(50, 30), (70, 7)] {
        millis.store(1_800_000_000_000 + days_later * 86_400_000, Ordering::Relaxed);
        // After a clock step, nothing is swept for a minute.
        let update = timeout(3 * TIMEOUT, watch.recv()).await.unwrap();
        let Some(CertUpdate::Ending(ending, days)) = update else { panic!("{update:?}") };
        assert_eq!((days, ending.names().to_string().as_str()), (left, "mx.example.org"));
    }
    assert!(node.certs().for_host("mx.example.org").is_some());
}
