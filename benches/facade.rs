//! The whole path of an event between two nodes over the memory bus, sealed.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mailmesh::*;

fn facade(c: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (a, b) = runtime.block_on(async {
        let hub = MemoryHub::new();
        let key = ClusterKey::generate().expect("a key");
        let start = |name: &str| Node::builder().name(name).memory(&hub).key(key.clone()).start();
        let (a, b) = (start("a").await.expect("a starts"), start("b").await.expect("b starts"));
        a.wait_for_members(1).await;
        b.wait_for_members(1).await;
        (a, b)
    });
    let mut inbox = b.inbox(Filter::kinds([Kind::StateChange]).expect("a kind of event"));
    let event = || StateChange::new(AccountId(7), ChangeId(42)).with(DataTypes::EMAIL);
    let mut group = c.benchmark_group("facade");
    group.bench_function("one event to the inbox of another node", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                a.publish(event()).await.expect("it is published");
                inbox.recv().await
            })
        });
    });
    group.throughput(Throughput::Elements(100));
    group.bench_function("100 events to the inbox of another node", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                for _ in 0..100 {
                    a.publish(event()).await.expect("it is published");
                }
                for _ in 0..100 {
                    inbox.recv().await;
                }
            })
        });
    });
    group.finish();
    runtime.block_on(async {
        a.shutdown().await;
        b.shutdown().await;
    });
}

criterion_group!(benches, facade);
criterion_main!(benches);
