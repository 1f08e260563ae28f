//! The mirror: lookups, as on each connection, and the cost of changes.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::hint::black_box;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{sync::Arc, thread};

use criterion::{Criterion, criterion_group, criterion_main};
use mailmesh_benches::corpus::{
    ADDRESSES, LOOKUPS, NOW, full_mirror, keep_writing, lookup_addresses, v4, v6,
};
use mailmesh_events::*;

fn lookup(c: &mut Criterion) {
    let mirror = Arc::new(full_mirror());
    println!("lookup tables: {} bytes", mirror.lookup_bytes());
    // Writes 10,000 changes per second while the lookups run.
    let done = Arc::new(AtomicBool::new(false));
    let writer = thread::spawn({
        let (mirror, done) = (mirror.clone(), done.clone());
        move || keep_writing(&mirror, &done)
    });
    let mut ask = |name: &str, addresses: Vec<IpAddr>| {
        let mut next = 0;
        c.bench_function(name, |b| {
            b.iter(|| {
                next = (next + 1) % addresses.len();
                mirror.is_blocked(black_box(addresses[next]), NOW)
            });
        });
    };
    ask("state/is_blocked, v4, not blocked", lookup_addresses(&mirror, v4, false));
    ask("state/is_blocked, v4, blocked", lookup_addresses(&mirror, v4, true));
    ask("state/is_blocked, v6, not blocked", lookup_addresses(&mirror, v6, false));
    ask("state/is_blocked, v6, blocked", lookup_addresses(&mirror, v6, true));
    // Baseline: a map of addresses, which cannot match networks.
    let map: dashmap::DashMap<IpAddr, ()> = (0..ADDRESSES).map(|n| (v4(n), ())).collect();
    for (name, addresses) in [
        ("state/DashMap alone, absent", lookup_addresses(&mirror, v4, false)),
        ("state/DashMap alone, present", (0..LOOKUPS as u32).map(v4).collect()),
    ] {
        let mut next = 0;
        c.bench_function(name, |b| {
            b.iter(|| {
                next = (next + 1) % addresses.len();
                map.contains_key(black_box(&addresses[next]))
            });
        });
    }
    done.store(true, Ordering::Relaxed);
    writer.join().expect("the writer ends");
    c.bench_function("state/block an address again, of 1,120,000", |b| {
        let block = RuleDetails::new("x", NOW).expect("short");
        let mut n = 0;
        b.iter(|| {
            n = (n + 1) % ADDRESSES;
            mirror.block(Network::single(v4(n)), block.clone(), NOW)
        });
    });
    c.bench_function("state/digest", |b| b.iter(|| mirror.digest()));
}

criterion_group!(benches, lookup);
criterion_main!(benches);
