//! Changes of several nodes merge to the same content in any order.

use std::collections::BTreeSet;
use std::time::Duration;

use mailmesh_events::*;
use mailmesh_state::*;
use proptest::prelude::*;

use super::{NOW, block, mirror, network};

#[test]
fn a_removal_beats_the_entry_it_removed_in_any_order() {
    let (a, b) = (mirror(1), mirror(2));
    let added = a.block(network("192.0.2.1"), block("x"), NOW).unwrap();
    let removed = a.remove(Rule::Block, network("192.0.2.1"), NOW).unwrap();
    assert_eq!(b.apply(&removed, NOW), Applied::Changed);
    assert_eq!(b.apply(&added, NOW), Applied::Stale);
    assert_eq!(a.digest(), b.digest());
    assert!(b.networks(Rule::Block, NOW).is_empty());
    let absent = a.remove(Rule::Block, network("192.0.2.1"), NOW);
    assert!(matches!(absent, Err(StateError::NotFound { .. })));
    // The tombstone is dropped after a day.
    a.sweep(NOW.plus(Duration::from_secs(25 * 3600)));
    assert!(a.content().is_empty());
}

#[test]
fn a_writer_with_a_slow_clock_replaces_entries_it_has_seen() {
    let (a, b) = (mirror(1), mirror(2));
    let behind = UnixMillis(NOW.0 - 4_900);
    let first = a.block(network("192.0.2.1"), block("first"), NOW).unwrap();
    assert_eq!(b.apply(&first, behind), Applied::Changed);
    let second = b.block(network("192.0.2.1"), block("second"), behind).unwrap();
    assert_eq!(a.apply(&second, NOW), Applied::Changed);
}

/// Regression: mirrors that refused changes stamped by a wrong clock stayed different, and no node
/// could change the entry.
#[test]
fn a_change_stamped_far_ahead_is_merged_and_replaceable() {
    let (a, b, wrong) = (mirror(1), mirror(3), mirror(2));
    for years in [0, 1, 10, 1_000] {
        let ahead = NOW.plus(Duration::from_secs(3_600 + years * 365 * 86_400));
        let address = "192.0.2.1".parse().unwrap();
        let change = wrong.block(network("192.0.2.1"), block("x"), ahead).unwrap();
        for mirror in [&a, &b] {
            assert_eq!(mirror.apply(&change, NOW), Applied::Changed);
            assert!(mirror.is_blocked(address, NOW));
        }
        let own = a.block(network("192.0.2.2"), block("x"), NOW).unwrap();
        assert!(own.stamp().physical() <= NOW.plus(Duration::from_millis(1)), "{own:?}");
        // The wrong clock is corrected: its node and others change the entry.
        let again = wrong.block(network("192.0.2.1"), block("y"), NOW).unwrap();
        assert_eq!(a.apply(&again, NOW), Applied::Changed);
        let removal = a.remove(Rule::Block, network("192.0.2.1"), NOW).unwrap();
        for mirror in [&b, &wrong] {
            mirror.apply(&again, NOW);
            assert_eq!(mirror.apply(&removal, NOW), Applied::Changed);
            assert!(!mirror.is_blocked(address, NOW));
        }
    }
    assert_eq!(a.counters().ahead, 8);
}

#[test]
fn a_stamp_of_the_year_10000_is_refused() {
    let a = mirror(1);
    let poison = |time| {
        Change::Network(NetworkChange::new(
            Rule::Block,
            network("192.0.2.9"),
            Stamp::from_raw(time, NodeId(9)),
            None,
        ))
    };
    for time in [u64::MAX, 253_402_300_800_000 << 16] {
        let applied = a.apply(&poison(time), NOW);
        assert!(
            matches!(applied, Applied::Refused(StateError::InvalidStamp { .. })),
            "{applied:?}"
        );
    }
    let last_day = 253_402_300_800_000 - 86_400_000;
    assert_eq!(a.apply(&poison(last_day << 16), NOW), Applied::Changed);
    let change = a.block(network("192.0.2.9"), block("x"), NOW).unwrap();
    assert_eq!(mirror(2).apply(&change, NOW), Applied::Changed);
    let late = UnixMillis(253_402_300_800_000);
    a.block(network("192.0.2.8"), block("x"), late).unwrap_err();
}

/// Few keys and few writers, so that changes collide; some expire, given in milliseconds from
/// `NOW`.
fn any_change() -> impl Strategy<Value = Change> {
    let ends = prop::option::of(prop::option::of(0u64..100));
    (0u8..8, 0u64..50, 0u64..4, ends).prop_map(|(key, time, node, live)| {
        let stamp = Stamp::new(NOW, time as u16, NodeId(node));
        let ends = live.map(|ends| ends.map(|ms| UnixMillis(NOW.0 + ms)));
        if key >= 6 {
            let key = ValueKey::new("acme.flags", format!("flag {key}")).unwrap();
            let value = ends.map(|ends| {
                let value = Value::encode(&(time, node)).unwrap();
                ends.map_or(value.clone(), |at| value.with_expiry(at)).into()
            });
            return Change::Value(ValueChange::new(key, stamp, value));
        }
        Change::Network(NetworkChange::new(
            if key % 2 == 0 { Rule::Block } else { Rule::Allow },
            network(&format!("192.0.2.{}", key / 2)),
            stamp,
            ends.map(|ends| {
                let block = block_of(time, node);
                ends.map_or(block.clone(), |at| block.with_expiry(at)).into()
            }),
        ))
    })
}

fn block_of(time: u64, node: u64) -> RuleDetails {
    RuleDetails::new(format!("{time} by {node}"), UnixMillis(time)).unwrap()
}

proptest! {
    /// Merging is commutative, associative and idempotent: changes in any order, with any
    /// repetitions, give the same mirror.
    #[test]
    fn the_order_and_repetition_of_changes_do_not_matter(
        changes in prop::collection::vec(any_change(), 0..40),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..80),
    ) {
        // Each stamp stands for one change only.
        let mut seen = BTreeSet::new();
        let changes: Vec<_> =
            changes.into_iter().filter(|c| seen.insert((c.key(), c.stamp()))).collect();
        let (a, b) = (mirror(1), mirror(2));
        for change in &changes {
            let _ = a.apply(change, NOW);
        }
        if !changes.is_empty() {
            for index in order {
                let _ = b.apply(&changes[index.index(changes.len())], NOW);
            }
        }
        for change in changes.iter().rev() {
            let _ = b.apply(change, NOW);
        }
        prop_assert_eq!(a.digest(), b.digest());
        prop_assert_eq!(a.content(), b.content());
        prop_assert_eq!(a.networks(Rule::Block, NOW), b.networks(Rule::Block, NOW));
    }
}

proptest! {
    /// Whichever changes two mirrors missed, and whenever they were swept: after exchanging their
    /// content they are equal and answer equally.
    #[test]
    fn mirrors_are_equal_after_exchanging_their_content(
        changes in prop::collection::vec(any_change(), 1..40),
        steps in prop::collection::vec(
            (any::<bool>(), any::<prop::sample::Index>(), 0u64..3),
            0..80,
        ),
    ) {
        let mut seen = BTreeSet::new();
        let changes: Vec<_> =
            changes.into_iter().filter(|c| seen.insert((c.key(), c.stamp()))).collect();
        let mirrors = [mirror(1), mirror(2)];
        let mut now = NOW;
        for (second, index, pass) in steps {
            let mirror = &mirrors[usize::from(second)];
            let _ = mirror.apply(&changes[index.index(changes.len())], now);
            now = now.plus(Duration::from_millis(pass));
            if pass == 1 {
                mirror.sweep(now);
            }
        }
        // After the grace period in which mirrors skip entries that have just expired.
        now = now.plus(Duration::from_secs(6));
        mirrors.iter().for_each(|mirror| drop(mirror.sweep(now)));
        let [a, b] = &mirrors;
        b.apply_all(a.content(), now);
        a.apply_all(b.content(), now);
        mirrors.iter().for_each(|mirror| drop(mirror.sweep(now)));
        prop_assert_eq!(a.digest(), b.digest());
        prop_assert_eq!(a.content(), b.content());
        let first = ValueKey::new("acme.flags", "").unwrap();
        prop_assert_eq!(a.values_from(&first, now), b.values_from(&first, now));
        for rule in [Rule::Block, Rule::Allow] {
            prop_assert_eq!(a.networks(rule, now), b.networks(rule, now));
        }
        for n in 0..3 {
            let address = [192, 0, 2, n].into();
            prop_assert_eq!(a.is_blocked(address, now), b.is_blocked(address, now));
            let is_blocked = matches!(a.lookup(address, now), Verdict::Blocked(_));
            prop_assert_eq!(a.is_blocked(address, now), is_blocked);
        }
    }
}
