//! The mirror: what every connection asks, what every change costs.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::hint::black_box;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{sync::Arc, thread};

use criterion::{Criterion, criterion_group, criterion_main};
use mailmesh_benches::corpus::{ADDRESSES, NETWORKS, NOW, network, v4, v6};
use mailmesh_events::*;
use mailmesh_state::Mirror;

/// Addresses that are asked for in turn: more than caches hold.
const ASKED: usize = 1 << 16;

/// 1,000,000 scattered addresses of IPv4, 100,000 of IPv6, and 20,000 networks of /12 to
/// /28.
fn filled() -> Mirror {
    let mirror = Mirror::new(NodeId(1), [7; 16]);
    let block = Block::new("too many failed logins", NOW).expect("short");
    let singles = (0..ADDRESSES).map(v4).chain((0..ADDRESSES / 10).map(v6)).map(Network::single);
    let wide = (0..NETWORKS).map(network);
    let all = singles.chain(wide).map(|network| (network, block.clone())).collect();
    mirror.set_all(Rule::Block, all, NOW).expect("room");
    mirror
}

/// Addresses that are, or are not, blocked.
fn asked(mirror: &Mirror, make: fn(u32) -> IpAddr, blocked: bool) -> Vec<IpAddr> {
    let from = if blocked { 0 } else { 0x4000_0000 };
    let all = (from..).map(make).filter(|address| mirror.is_blocked(*address, NOW) == blocked);
    all.take(ASKED).collect()
}

fn lookup(c: &mut Criterion) {
    let mirror = Arc::new(filled());
    println!("tables of lookups: {} bytes", mirror.lookup_bytes());
    // A writer at 10,000 a second, as long as this runs.
    let done = Arc::new(AtomicBool::new(false));
    let writer = thread::spawn({
        let (mirror, done) = (mirror.clone(), done.clone());
        move || {
            let block = Block::new("comes and goes", NOW).expect("short");
            let begin = Instant::now();
            for n in 0_u32.. {
                if done.load(Ordering::Relaxed) {
                    return;
                }
                let network = Network::single(v4(0x2000_0000 + n / 2));
                let _there_or_not = match n % 2 {
                    0 => mirror.block(network, block.clone(), NOW).map(drop),
                    _ => mirror.remove(Rule::Block, network, NOW).map(drop),
                };
                let due = begin + Duration::from_micros(100) * n;
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        }
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
    ask("state/is_blocked, v4, not blocked", asked(&mirror, v4, false));
    ask("state/is_blocked, v4, blocked", asked(&mirror, v4, true));
    ask("state/is_blocked, v6, not blocked", asked(&mirror, v6, false));
    ask("state/is_blocked, v6, blocked", asked(&mirror, v6, true));
    // What a map alone costs, which knows no networks.
    let map: dashmap::DashMap<IpAddr, ()> = (0..ADDRESSES).map(|n| (v4(n), ())).collect();
    for (name, addresses) in [
        ("state/DashMap alone, absent", asked(&mirror, v4, false)),
        ("state/DashMap alone, present", (0..ASKED as u32).map(v4).collect()),
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
        let block = Block::new("x", NOW).expect("short");
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
