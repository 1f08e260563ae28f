//! Events: what a server does with an event before it publishes it.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use mailmesh_events::*;

fn events(c: &mut Criterion) {
    let event = Event::from(StateChange::new(AccountId(7), ChangeId(43)).with(DataTypes::THREAD));
    c.bench_function("events/parse a prefix", |b| {
        b.iter(|| black_box("192.0.2.0/24").parse::<Network>());
    });
    c.bench_function("events/show a state change", |b| b.iter(|| black_box(&event).to_string()));
}

criterion_group!(benches, events);
criterion_main!(benches);
