//! The simulator: a run of four nodes, to compare with the time that it simulates.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use criterion::{Criterion, criterion_group, criterion_main};
use mailmesh_sim::{Plan, Simulation};

fn sim(c: &mut Criterion) {
    c.bench_function("sim/40 s of 4 nodes with faults", |b| {
        b.iter(|| Simulation::run(&Plan::from_seed(7, 4)).expect("the run passes"));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = sim
}
criterion_main!(benches);
