//! Entries expire on all nodes at the same time.

use std::time::Duration;

use mailmesh_events::*;
use mailmesh_state::*;

use super::{NOW, block, mirror, network};

#[test]
fn a_block_expires_on_time_and_the_sweep_reports_it() {
    let mirror = mirror(1);
    let short = block("short").with_expiry(NOW.plus(Duration::from_secs(5)));
    mirror.block(network("192.0.2.1"), short, NOW).unwrap();
    mirror.block(network("192.0.2.2"), block("for good"), NOW).unwrap();
    let address = "192.0.2.1".parse().unwrap();
    assert!(mirror.is_blocked(address, NOW.plus(Duration::from_millis(4_999))));
    // Even before a sweep.
    assert!(!mirror.is_blocked(address, NOW.plus(Duration::from_secs(5))));
    assert!(mirror.sweep(NOW.plus(Duration::from_millis(4_999))).is_empty());
    let expired = mirror.sweep(NOW.plus(Duration::from_secs(5))).expired;
    assert_eq!(expired.len(), 1);
    assert_eq!(mirror.digest().entries, 1);
    assert_eq!(mirror.networks(Rule::Block, NOW).len(), 1);
}

#[test]
fn an_entry_without_expiry_is_live_at_the_last_time() {
    let mirror = mirror(1);
    mirror.block(network("10.0.0.0/8"), block("x"), NOW).unwrap();
    let ends = block("y").with_expiry(NOW.plus(Duration::from_secs(1)));
    mirror.block(network("10.1.0.0/16"), ends, NOW).unwrap();
    let last = UnixMillis(u64::MAX);
    mirror.sweep(last);
    let address = "10.1.2.3".parse().unwrap();
    assert!(mirror.is_blocked(address, last));
    assert!(matches!(mirror.lookup(address, last), Verdict::Blocked(_)));
    assert_eq!(mirror.networks(Rule::Block, last).len(), 1);
}

#[test]
fn an_expired_block_keeps_the_replaced_one_from_returning() {
    let (a, cut_off) = (mirror(1), mirror(2));
    let network = network("192.0.2.1");
    let old = a.block(network, block("for good"), NOW).unwrap();
    cut_off.apply(&old, NOW);
    a.remove(Rule::Block, network, NOW).unwrap();
    let short = block("short").with_expiry(NOW.plus(Duration::from_secs(5)));
    a.block(network, short, NOW).unwrap();
    let later = NOW.plus(Duration::from_secs(6));
    assert_eq!(a.sweep(later).expired.len(), 1);
    // The mirror that was cut off is back, and the two exchange their content.
    for change in cut_off.content() {
        assert_eq!(a.apply(&change, later), Applied::Stale);
    }
    for change in a.content() {
        cut_off.apply(&change, later);
    }
    for mirror in [&a, &cut_off] {
        assert!(!mirror.is_blocked("192.0.2.1".parse().unwrap(), later));
        assert!(mirror.networks(Rule::Block, later).is_empty());
    }
    assert_eq!(a.digest(), cut_off.digest(), "both mirrors know the removal");
    a.sweep(later.plus(Duration::from_secs(25 * 3600)));
    assert!(a.content().is_empty());
}

/// Regression: peers drop an expired entry at times of their own, so a mirror that accepted such an
/// entry of its own differed from theirs until the next sweep.
#[test]
fn a_local_entry_that_has_expired_is_refused() {
    let (a, b) = (mirror(1), mirror(2));
    let earlier = |hours: u64| UnixMillis(NOW.0 - hours * 3_600_000);
    let x = || ValueKey::new("acme.flags", "x").unwrap();
    for hours in [0, 1, 23, 24, 25, 1_000] {
        for was_there in [false, true] {
            let subject = network("192.0.2.1");
            if was_there {
                b.apply(&a.block(subject, block("there"), NOW).unwrap(), NOW);
            }
            let expired = || block("expired").with_expiry(earlier(hours));
            let refused = [
                a.block(subject, expired(), NOW),
                a.block_of_any_width(subject, expired(), NOW),
                a.allow(subject, expired(), NOW),
                a.set_value(x(), Value::new(vec![1]).unwrap().with_expiry(earlier(hours)), NOW),
            ];
            for result in refused {
                assert!(matches!(result, Err(StateError::AlreadyExpired { .. })), "{result:?}");
            }
            assert_eq!(
                a.set_all(Rule::Block, vec![(subject, expired())], NOW).unwrap().changes,
                []
            );
            assert_eq!(a.is_blocked("192.0.2.1".parse().unwrap(), NOW), was_there);
            assert_eq!((a.digest(), a.content()), (b.digest(), b.content()));
            if was_there {
                b.apply(&a.remove(Rule::Block, subject, NOW).unwrap(), NOW);
            }
        }
    }
}

#[test]
fn an_entry_that_arrives_expired_is_retained_but_never_live() {
    let (a, b) = (mirror(1), mirror(2));
    let short = block("short").with_expiry(NOW.plus(Duration::from_secs(5)));
    let change = a.block(network("192.0.2.1"), short, NOW).unwrap();
    // Retained, so that an entry it may have replaced elsewhere does not come back.
    let after = |hours: u64| NOW.plus(Duration::from_secs(5 + hours * 3600));
    assert_eq!(b.apply(&change, after(0)), Applied::Changed);
    assert!(!b.is_blocked("192.0.2.1".parse().unwrap(), NOW));
    assert!(b.networks(Rule::Block, NOW).is_empty());
    assert_eq!((b.digest(), b.content()), (a.digest(), vec![change.clone()]));
    assert!(b.sweep(after(23)).is_empty());
    assert_eq!(b.sweep(after(24)).dropped, std::slice::from_ref(&change));
    assert_eq!(b.apply(&change, after(24)), Applied::Stale);
    assert_eq!(b.digest().entries, 0);
}

#[test]
fn expired_entries_are_dropped_at_the_same_time_on_all_nodes() {
    let (a, b) = (mirror(1), mirror(2));
    let days = |days: u64| NOW.plus(Duration::from_secs(days * 86_400));
    let first = a.block(network("192.0.2.1"), block("first"), NOW).unwrap();
    let second = block("second").with_expiry(days(30));
    a.block(network("192.0.2.1"), second, NOW).unwrap();
    assert_eq!(a.sweep(days(30)).expired.len(), 1);
    // `b` missed the second entry and has the first.
    b.apply(&first, NOW);
    b.apply_all(a.content(), days(30));
    let address = "192.0.2.1".parse().unwrap();
    for mirror in [&a, &b] {
        assert!(!mirror.is_blocked(address, days(30)));
        assert_eq!(mirror.lookup(address, days(30)), Verdict::Clear);
        assert!(mirror.remove(Rule::Block, network("192.0.2.1"), days(30)).is_err());
        mirror.sweep(days(30).plus(Duration::from_secs(86_399)));
        assert_eq!(mirror.digest().entries, 1);
        assert_eq!(mirror.sweep(days(31)).dropped.len(), 1);
        assert_eq!(mirror.digest().entries, 0);
    }
}

#[test]
fn an_entry_expired_by_a_wrong_time_is_live_again() {
    let mirror = mirror(1);
    let later = |seconds| NOW.plus(Duration::from_secs(seconds));
    let address = "192.0.2.1".parse().unwrap();
    mirror.block(network("192.0.2.1"), block("first"), NOW).unwrap();
    let ends = block("second").with_expiry(later(60));
    let change = mirror.block(network("192.0.2.1"), ends, NOW).unwrap();
    let digest = mirror.digest();
    mirror.sweep(later(100));
    assert!(!mirror.is_blocked(address, later(10)));
    assert_eq!(mirror.sweep(later(10)).unexpired, [change]);
    assert!(mirror.is_blocked(address, later(59)));
    assert!(matches!(mirror.lookup(address, later(59)), Verdict::Blocked(_)));
    assert_eq!(mirror.digest(), digest);
    assert_eq!(mirror.sweep(later(60)).expired.len(), 1);
    assert!(!mirror.is_blocked(address, later(60)));
}

#[test]
fn unexpire_restores_entries_and_drops_nothing() {
    let mirror = mirror(1);
    let later = |seconds| NOW.plus(Duration::from_secs(seconds));
    let short = block("short").with_expiry(later(5));
    mirror.block(network("192.0.2.2"), short, NOW).unwrap();
    mirror.block(network("192.0.2.1"), block("first"), NOW).unwrap();
    let ends = block("second").with_expiry(later(60));
    let change = mirror.block(network("192.0.2.1"), ends, NOW).unwrap();
    assert_eq!(mirror.unexpire(later(100)), []);
    mirror.sweep(later(100));
    let is_blocked = || mirror.is_blocked("192.0.2.1".parse().unwrap(), later(10));
    assert!(!is_blocked());
    let short = block("short").with_expiry(later(20));
    mirror.block(network("192.0.2.2"), short, later(10)).unwrap();
    assert_eq!(mirror.unexpire(later(10)), [change]);
    assert!(is_blocked());
    assert_eq!(mirror.unexpire(later(10)), []);
    assert_eq!(mirror.unexpire(later(30)), [], "unexpire drops nothing");
    assert_eq!(mirror.digest().entries, 2);
    assert_eq!(mirror.sweep(later(60)).expired.len(), 2);
}

#[test]
fn a_sweep_is_exact_after_many_entries_were_renewed() {
    let mirror = mirror(1);
    let later = |seconds| NOW.plus(Duration::from_secs(seconds));
    let single = |n: u32| Network::single(std::net::Ipv4Addr::from(0x0B00_0000 + n).into());
    for (ends, from) in [(10, 0), (100, 0), (11, 30_000)] {
        let count = if from == 0 { 30_000 } else { 8 };
        let batch = (from..from + count).map(|n| (single(n), block("x").with_expiry(later(ends))));
        mirror.set_all(Rule::Block, batch.collect(), NOW).unwrap();
    }
    assert_eq!(mirror.sweep(later(11)).expired.len(), 8);
    assert_eq!(mirror.sweep(later(99)).expired.len(), 0);
    assert_eq!(mirror.sweep(later(100)).expired.len(), 30_000);
}

#[test]
fn expiry_is_exact_while_old_changes_arrive() {
    let mirror = mirror(1);
    let ends = NOW.plus(Duration::from_secs(3_600));
    mirror.block(network("192.0.2.1"), block("x").with_expiry(ends), NOW).unwrap();
    let old = UnixMillis(NOW.0 - 60 * 86_400_000);
    for n in 0..5_000_u32 {
        let change = Change::Network(NetworkChange::new(
            Rule::Block,
            Network::single(std::net::Ipv4Addr::from(0x0B00_0000 + n).into()),
            Stamp::new(old, 0, NodeId(7)),
            Some(block("old").into()),
        ));
        assert_eq!(mirror.apply(&change, NOW), Applied::Changed);
    }
    let address = "192.0.2.1".parse().unwrap();
    assert!(mirror.is_blocked(address, UnixMillis(ends.0 - 1)));
    assert!(!mirror.is_blocked(address, ends));
}

#[test]
fn expired_entries_of_a_batch_need_no_room() {
    let mut bounds = Bounds::default();
    bounds.networks = 10;
    let mirror = Mirror::with_bounds(NodeId(1), [3; 16], bounds);
    let of = |n: u8| Network::single([192, 0, 2, n].into());
    let batch = |expired: u8, live: u8| {
        let expired = (0..expired).map(|n| (of(100 + n), block("x").with_expiry(NOW)));
        expired.chain((0..live).map(|n| (of(n), block("x")))).collect()
    };
    assert_eq!(mirror.set_all(Rule::Block, batch(5, 10), NOW).unwrap().changes.len(), 10);
    assert!(mirror.set_all(Rule::Block, batch(0, 11), NOW).is_err());
}
