//! The mirror: what every connection asks, what every change costs.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use criterion::{Criterion, criterion_group, criterion_main};
use mailmesh_events::*;
use mailmesh_state::Mirror;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const ADDRESSES: u32 = 100_000;
const NETWORKS: u32 = 20_000;

/// 100,000 addresses in 10.0.0.0/8 and 20,000 networks of /24 in 100.0.0.0/8.
fn filled() -> Mirror {
    let mirror = Mirror::new(NodeId(1), [7; 16]);
    let block = Block::new("too many failed logins", NOW).expect("short");
    let add = |network| mirror.block(network, block.clone(), NOW).expect("room");
    for i in 0..ADDRESSES {
        add(Network::single(Ipv4Addr::from(0x0a00_0000 + i * 7).into()));
    }
    for i in 0..NETWORKS {
        add(Network::new(Ipv4Addr::from(0x6400_0000 + (i << 8)).into(), 24).expect("a prefix"));
    }
    mirror
}

fn state(c: &mut Criterion) {
    let mirror = filled();
    let ask = |b: &mut criterion::Bencher<'_>, address: IpAddr| {
        b.iter(|| mirror.is_blocked(black_box(address), NOW));
    };
    c.bench_function("state/is_blocked, not blocked", |b| {
        ask(b, Ipv4Addr::new(192, 0, 2, 1).into())
    });
    c.bench_function("state/is_blocked, an address", |b| {
        ask(b, Ipv4Addr::from(0x0a00_0007).into())
    });
    c.bench_function("state/is_blocked, in a network", |b| {
        ask(b, Ipv4Addr::new(100, 0, 7, 9).into())
    });
    c.bench_function("state/block an address again", |b| {
        let network = Network::single(Ipv4Addr::from(0x0a00_0007).into());
        let block = Block::new("x", NOW).expect("short");
        b.iter(|| mirror.block(network, block.clone(), NOW));
    });
    c.bench_function("state/digest", |b| b.iter(|| mirror.digest()));
}

criterion_group!(benches, state);
criterion_main!(benches);
