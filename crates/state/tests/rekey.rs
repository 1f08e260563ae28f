//! Changing the fingerprint key of a mirror in use.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use std::time::Duration;

use mailmesh_events::*;
use mailmesh_state::*;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

/// A thread changes the mirror while it is rekeyed.
#[test]
fn rekeying_during_changes_loses_nothing() {
    let address = |n: u32| Network::single(std::net::Ipv4Addr::from(0x0A00_0000 + n).into());
    let block = |n: u32, now: UnixMillis| {
        RuleDetails::new("list", NOW)
            .unwrap()
            .with_expiry(now.plus(Duration::from_secs(60 + u64::from(n))))
    };
    let mirror = Mirror::new(NodeId(1), [1; 16]);
    // This mirror receives the same changes, and keeps its key until the end.
    let plain = Mirror::new(NodeId(2), [1; 16]);
    let batch = (0..20_000).map(|n| (address(n), block(n, NOW)));
    plain.apply_all(mirror.set_all(Rule::Block, batch.collect(), NOW).unwrap().changes, NOW);
    // Tombstones, and expired entries that are retained because they replaced others.
    for n in 0..100 {
        plain.apply(&mirror.remove(Rule::Block, address(n), NOW).unwrap(), NOW);
        plain.apply(&mirror.block(address(100 + n), block(n, NOW), NOW).unwrap(), NOW);
    }
    let later = NOW.plus(Duration::from_secs(100));
    assert_eq!(mirror.sweep(later), plain.sweep(later));

    let began = std::sync::atomic::AtomicBool::new(false);
    let done = std::sync::atomic::AtomicBool::new(false);
    let end = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let (mut changed, mut now) = (0, later);
            while !done.load(std::sync::atomic::Ordering::Acquire) {
                let n = changed % 30_000;
                now = now.plus(Duration::from_millis(50));
                let change = if changed % 3 == 0 {
                    mirror.remove(Rule::Block, address(n), now).ok()
                } else {
                    Some(mirror.block(address(n), block(n + 10_000, now), now).unwrap())
                };
                change.iter().for_each(|change| drop(plain.apply(change, now)));
                if changed % 50 == 0 {
                    mirror.sweep(now);
                    plain.sweep(now);
                }
                changed += 1;
                began.store(changed > 100, std::sync::atomic::Ordering::Release);
            }
            now
        });
        while !began.load(std::sync::atomic::Ordering::Acquire) {
            std::thread::yield_now();
        }
        for n in 2..=9 {
            mirror.rekey([n; 16]);
        }
        done.store(true, std::sync::atomic::Ordering::Release);
        writer.join().unwrap()
    });
    plain.rekey([9; 16]);
    assert_eq!(mirror.digest(), plain.digest());
    assert_eq!(mirror.content(), plain.content());
    assert_eq!(saved(&mirror), saved(&plain));
    // All entries end at the same times in both mirrors.
    for days in [1, 2, 400] {
        let end = end.plus(Duration::from_secs(days * 86_400));
        while mirror.sweep(end) != Swept::default() {}
        while plain.sweep(end) != Swept::default() {}
        assert_eq!(mirror.digest(), plain.digest());
    }
    assert_eq!(mirror.digest().entries, 0);
}

fn saved(mirror: &Mirror) -> Vec<Saved> {
    let keys: Vec<_> = mirror.content().iter().map(Change::key).collect();
    mirror.saved(&keys).into_iter().flatten().collect()
}

#[test]
fn mirrors_are_compared_once_their_keys_are_equal() {
    let mirrors = [Mirror::new(NodeId(1), [1; 16]), Mirror::new(NodeId(2), [1; 16])];
    let block = || RuleDetails::new("list", NOW).unwrap();
    mirrors[0].block(Network::single("192.0.2.1".parse().unwrap()), block(), NOW).unwrap();
    mirrors[0].rekey([2; 16]);
    let mut nodes: Vec<Reconciler<u8>> =
        (0..2).map(|n| Reconciler::new(n, ReconcileConfig::default())).collect();
    nodes[0].on_joined(1);
    nodes[1].on_joined(0);
    nodes[0].on_rekeyed();
    let run_second = |nodes: &mut [Reconciler<u8>], second: u64| {
        let at = Duration::from_secs(second);
        nodes[0].on_digest(1, mirrors[1].digest(), mirrors[0].digest(), at);
        nodes[1].on_digest(0, mirrors[0].digest(), mirrors[1].digest(), at);
        let mut sent = 0;
        loop {
            let mut quiet = true;
            for n in 0..2_u8 {
                for (to, message) in nodes[usize::from(n)].take_outgoing() {
                    (quiet, sent) = (false, sent + 1);
                    let to = usize::from(to);
                    nodes[to].on_message(n, message, &mirrors[to], NOW, at);
                }
            }
            if quiet {
                return sent;
            }
        }
    };
    for second in 1..10 {
        assert_eq!(run_second(&mut nodes, second), 0);
    }
    // A query from before the rekeying is not answered: its items belong to the old key.
    let query = SyncMessage::AskEntries { round: 7, items: vec![1] };
    nodes[0].on_message(1, query, &mirrors[0], NOW, Duration::from_secs(10));
    assert!(nodes[0].take_outgoing().is_empty());
    mirrors[1].rekey([2; 16]);
    nodes[1].on_rekeyed();
    for second in 11..14 {
        run_second(&mut nodes, second);
    }
    assert_eq!(mirrors[0].digest(), mirrors[1].digest());
    assert_eq!(mirrors[1].digest().entries, 1);
}
