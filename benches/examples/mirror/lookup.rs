//! Lookups, as on each connection, while a writer changes 10,000 entries per second.

use std::error::Error;
use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use mailmesh_benches::corpus::{self, ADDRESSES, NETWORKS, NOW, lookup_addresses};
use mailmesh_events::Network;
use parking_lot::RwLock;

use crate::row::Row;

/// Number of rounds, of which the median counts.
const ROUNDS: usize = 25;

/// Nanoseconds per lookup, as the median of all rounds.
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
    let mirror = Arc::new(corpus::full_mirror());
    let map: dashmap::DashMap<IpAddr, ()> = (0..ADDRESSES)
        .map(|n| (corpus::v4(n), ()))
        .chain((0..ADDRESSES / 10).map(|n| (corpus::v6(n), ())))
        .collect();
    // The current method of the mail server: a set of addresses, and a scan of all networks under a
    // lock.
    let networks: RwLock<Vec<Network>> = RwLock::new((0..NETWORKS).map(corpus::network).collect());
    let scan = |address: IpAddr| {
        map.contains_key(&address)
            || networks.read().iter().any(|network| network.contains(address))
    };
    let done = AtomicBool::new(false);
    let mut rows = Vec::new();
    std::thread::scope(|scope| {
        let (mirror, map, done) = (&*mirror, &map, &done);
        scope.spawn(|| corpus::keep_writing(mirror, done));
        for (name, make, blocked, goal) in [
            ("is_blocked, v4, not blocked", corpus::v4 as fn(u32) -> IpAddr, false, 15.0),
            ("is_blocked, v4, blocked", corpus::v4, true, 60.0),
            ("is_blocked, v6, not blocked", corpus::v6, false, 30.0),
            ("is_blocked, v6, blocked", corpus::v6, true, 120.0),
        ] {
            let addresses = lookup_addresses(mirror, make, blocked);
            let ours = nanos(&addresses, |address| mirror.is_blocked(address, NOW));
            let rival = nanos(&addresses, |address| map.contains_key(&address));
            rows.push(
                Row::new(name, ours, "ns", goal).versus("DashMap, which knows no networks", rival),
            );
        }
        let absent = lookup_addresses(mirror, corpus::v4, false);
        let ours = nanos(&absent, |address| mirror.is_blocked(address, NOW));
        let few: Vec<IpAddr> = absent.iter().take(500).copied().collect();
        let rival = nanos(&few, scan);
        let name = "is_blocked, v4, not blocked";
        rows.push(
            Row::new(name, ours, "ns", 15.0).versus("lock and scan, as the mail server", rival),
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
