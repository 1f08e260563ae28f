//! What every connection asks, while a writer changes 10,000 entries a second.

use std::error::Error;
use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mailmesh_benches::corpus::{self, ADDRESSES, NETWORKS, NOW};
use mailmesh_events::{Network, NodeId, Rule};
use mailmesh_state::Mirror;
use parking_lot::RwLock;

use crate::row::Row;

/// Addresses asked for in turn: more than caches hold.
const ASKED: usize = 1 << 16;
/// Rounds of these; the median counts.
const ROUNDS: usize = 25;

fn filled() -> Result<Mirror, Box<dyn Error>> {
    let mirror = Mirror::new(NodeId(1), [7; 16]);
    let singles = (0..ADDRESSES).map(corpus::v4).chain((0..ADDRESSES / 10).map(corpus::v6));
    let networks = singles.map(Network::single).chain((0..NETWORKS).map(corpus::network));
    let all = networks.zip(0..).map(|(network, n)| (network, corpus::block(n))).collect();
    mirror.set_all(Rule::Block, all, NOW)?;
    Ok(mirror)
}

fn asked(mirror: &Mirror, make: fn(u32) -> IpAddr, blocked: bool) -> Vec<IpAddr> {
    let from = if blocked { 0 } else { 0x4000_0000 };
    let all = (from..).map(make).filter(|address| mirror.is_blocked(*address, NOW) == blocked);
    all.take(ASKED).collect()
}

/// Nanoseconds of one question: the median of the rounds.
fn nanos(addresses: &[IpAddr], ask: impl Fn(IpAddr) -> bool) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let begin = Instant::now();
            let found = addresses.iter().filter(|address| ask(black_box(**address))).count();
            black_box(found);
            begin.elapsed().as_nanos() as f64 / addresses.len() as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

pub(crate) fn measure() -> Result<Vec<Row>, Box<dyn Error>> {
    let mirror = Arc::new(filled()?);
    let map: dashmap::DashMap<IpAddr, ()> = (0..ADDRESSES)
        .map(|n| (corpus::v4(n), ()))
        .chain((0..ADDRESSES / 10).map(|n| (corpus::v6(n), ())))
        .collect();
    // The mail server's way: a set of addresses, and every network in turn, under a lock.
    let networks: RwLock<Vec<Network>> = RwLock::new((0..NETWORKS).map(corpus::network).collect());
    let scan = |address: IpAddr| {
        map.contains_key(&address)
            || networks.read().iter().any(|network| network.contains(address))
    };
    let done = AtomicBool::new(false);
    let mut rows = Vec::new();
    std::thread::scope(|scope| {
        let (mirror, map, done) = (&*mirror, &map, &done);
        scope.spawn(|| write(mirror, done));
        for (name, make, blocked, goal) in [
            ("is_blocked, v4, not blocked", corpus::v4 as fn(u32) -> IpAddr, false, 15.0),
            ("is_blocked, v4, blocked", corpus::v4, true, 60.0),
            ("is_blocked, v6, not blocked", corpus::v6, false, 30.0),
            ("is_blocked, v6, blocked", corpus::v6, true, 120.0),
        ] {
            let addresses = asked(mirror, make, blocked);
            let ours = nanos(&addresses, |address| mirror.is_blocked(address, NOW));
            let rival = nanos(&addresses, |address| map.contains_key(&address));
            rows.push(
                Row::new(name, ours, "ns", goal).beside("DashMap, which knows no networks", rival),
            );
        }
        let absent = asked(mirror, corpus::v4, false);
        let ours = nanos(&absent, |address| mirror.is_blocked(address, NOW));
        let few: Vec<IpAddr> = absent.iter().take(500).copied().collect();
        let rival = nanos(&few, scan);
        let name = "is_blocked, v4, not blocked";
        rows.push(
            Row::new(name, ours, "ns", 15.0).beside("lock and scan, as the mail server", rival),
        );
        let mut single: Vec<u64> = absent
            .iter()
            .cycle()
            .take(1_000_000)
            .map(|address| {
                let begin = Instant::now();
                black_box(mirror.is_blocked(black_box(*address), NOW));
                begin.elapsed().as_nanos() as u64
            })
            .collect();
        single.sort_unstable();
        let p999 = single[single.len() * 999 / 1_000] as f64;
        rows.push(Row::new("is_blocked, 99.9th percentile, timer included", p999, "ns", 1_000.0));
        done.store(true, Ordering::Relaxed);
    });
    Ok(rows)
}

fn write(mirror: &Mirror, done: &AtomicBool) {
    let begin = Instant::now();
    for n in 0_u32.. {
        if done.load(Ordering::Relaxed) {
            return;
        }
        let network = Network::single(corpus::v4(0x2000_0000 + n / 2));
        let _there_or_not = match n % 2 {
            0 => mirror.block(network, corpus::block(n), NOW).map(drop),
            _ => mirror.remove(Rule::Block, network, NOW).map(drop),
        };
        let due = begin + Duration::from_micros(100) * n;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}
