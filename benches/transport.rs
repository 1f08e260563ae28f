//! The driver over the memory bus, and parsing a configuration.

#![allow(missing_docs, reason = "criterion's macros make public items")]

#[path = "../crates/transport/tests/common/plain.rs"]
mod plain;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mailmesh_delivery::*;
use mailmesh_transport::*;
use plain::Plain;
use tokio::time::Instant;

#[derive(Clone)]
struct Count(Arc<AtomicU64>);

impl Sink for Count {
    fn take(&mut self, output: Output) {
        let events = match output {
            Output::Deliver { count, .. } => count.into(),
            Output::Gap(gap) => gap.missed,
            Output::Joined(_) => 1,
            _ => 0,
        };
        self.0.fetch_add(events, Ordering::Relaxed);
    }
}

impl DirectSink for Count {
    fn take_direct(&mut self, _from: Incarnation, _body: Bytes) {}
}

fn start(hub: &MemoryHub, n: u8) -> (Driver, Arc<AtomicU64>) {
    let incarnation = Incarnation([n; 16]);
    let name = format!("n{n}").parse().expect("a name");
    let identity = Identity::new(name, incarnation, n.into());
    let (sender, ingress) = IngressQueue::new();
    let bus = Arc::new(hub.join(incarnation, sender));
    let count = Arc::<AtomicU64>::default();
    let node = Endpoint::new(identity, Settings::default(), Time::default());
    let codec =
        (Arc::new(Plain) as Arc<dyn FrameEncoder>, Box::new(Plain) as Box<dyn FrameDecoder>);
    let sink = Count(count.clone());
    let (settings, now) = (Settings::default(), Instant::now());
    let sinks = |_| (sink.clone(), sink);
    let driver = Driver::start(node, settings, now, bus, ingress, codec, sinks);
    (driver.expect("a thread"), count)
}

fn wait_until(count: &AtomicU64, at_least: u64) {
    while count.load(Ordering::Relaxed) < at_least {
        std::thread::yield_now();
    }
}

fn transport(c: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _guard = runtime.enter();
    let hub = MemoryHub::new();
    let ((a, a_count), (_b, b_count)) = (start(&hub, 1), start(&hub, 2));
    wait_until(&a_count, 1);
    wait_until(&b_count, 1);
    let mut group = c.benchmark_group("transport");
    group.throughput(Throughput::Elements(100));
    group.bench_function("100 events to one node over memory", |bencher| {
        bencher.iter(|| {
            let before = b_count.load(Ordering::Relaxed);
            for _ in 0..100 {
                let encode = |body: &mut Vec<u8>| {
                    body.extend([7; 16]);
                    Ok::<(), ()>(())
                };
                a.try_publish(Lane::Events, encode).expect("room");
            }
            wait_until(&b_count, before + 100);
        });
    });
    group.finish();
    let seed = include_str!("../crates/transport/tests/fixtures/coordinator.json");
    c.bench_function("transport/read the seed's configuration", |b| {
        b.iter(|| Coordinator::parse(seed));
    });
}

criterion_group!(benches, transport);
criterion_main!(benches);
