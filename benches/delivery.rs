//! The delivery core alone: sending, and receiving in and out of order.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::time::Duration;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use mailmesh_delivery::*;

const FRAMES: u64 = 1_000;

fn node(name: &str, n: u8) -> Endpoint {
    let name = name.parse().expect("a name");
    let identity = Identity::new(name, Incarnation([n; 16]), n.into());
    Endpoint::new(identity, Settings::default(), Time::default())
}

/// A receiver that knows its sender, and the next frames of the sender.
fn pair() -> (Endpoint, Vec<Frame>) {
    let (mut a, mut b) = (node("a", 1), node("b", 2));
    let Some(Output::Transmit { frame, .. }) = a.poll_output() else { unreachable!() };
    b.handle_frame(Time::default(), frame);
    while b.poll_output().is_some() {}
    let body = Bytes::from_static(&[7; 64]);
    let send =
        |_| a.send(Time::default(), Lane::Events, 1, body.clone()).expect("the lane is open");
    let frames = (0..FRAMES).map(send).collect();
    (b, frames)
}

fn receive((mut node, frames): (Endpoint, Vec<Frame>)) -> usize {
    let now = Time::from_start(Duration::from_millis(1));
    let mut delivered = 0;
    for frame in frames {
        node.handle_frame(now, frame);
        while let Some(output) = node.poll_output() {
            delivered += usize::from(matches!(output, Output::Deliver { .. }));
        }
    }
    assert_eq!(delivered as u64, FRAMES);
    delivered
}

fn delivery(c: &mut Criterion) {
    let mut group = c.benchmark_group("delivery");
    group.throughput(Throughput::Elements(FRAMES));
    group.bench_function("send 1,000 frames", |b| {
        let body = Bytes::from_static(&[7; 64]);
        let mut sender = node("a", 1);
        b.iter(|| {
            for _ in 0..FRAMES {
                let _frame = sender.send(Time::default(), Lane::Events, 1, body.clone());
            }
        });
    });
    group.bench_function("receive 1,000 frames in order", |b| {
        b.iter_batched(pair, receive, BatchSize::LargeInput);
    });
    group.bench_function("receive 1,000 frames, pairs swapped", |b| {
        let swapped = || {
            let (node, mut frames) = pair();
            frames.chunks_exact_mut(2).for_each(|pair| pair.swap(0, 1));
            (node, frames)
        };
        b.iter_batched(swapped, receive, BatchSize::LargeInput);
    });
    group.finish();
}

criterion_group!(benches, delivery);
criterion_main!(benches);
