//! Events: what a server does with an event before it publishes it.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use mailmesh_events::*;

fn events(c: &mut Criterion) {
    let newer = Event::from(StateChange::new(AccountId(7), ChangeId(43)).with(DataTypes::THREAD));
    c.bench_function("events/absorb a state change", |b| {
        let old = Event::from(StateChange::new(AccountId(7), ChangeId(42)).with(DataTypes::EMAIL));
        b.iter(|| {
            let mut event = old.clone();
            black_box(event.absorb(black_box(&newer)))
        });
    });
    c.bench_function("events/parse a prefix", |b| {
        b.iter(|| black_box("192.0.2.0/24").parse::<Network>());
    });
    c.bench_function("events/show a state change", |b| b.iter(|| black_box(&newer).to_string()));
}

criterion_group!(benches, events);
criterion_main!(benches);
