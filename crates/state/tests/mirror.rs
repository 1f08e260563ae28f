//! Merging: every node ends with the same content.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use std::collections::BTreeSet;
use std::time::Duration;

use mailmesh_events::*;
use mailmesh_state::*;
use proptest::prelude::*;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

fn mirror(node: u64) -> Mirror {
    Mirror::new(NodeId(node), [3; 16])
}

fn block(reason: &str) -> Block {
    Block::new(reason, NOW).unwrap()
}

fn network(text: &str) -> Network {
    text.parse().unwrap()
}

fn certificate(name: &str) -> Certificate {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    certificate_from_pem(chain.as_bytes(), key.as_bytes()).unwrap()
}

struct Removals(std::sync::Mutex<Vec<Change>>);

impl Observer for Removals {
    fn observe(&self, observed: Observed<'_>) {
        if let Observed::Changed(change) = observed
            && !change.is_live()
        {
            self.0.lock().unwrap().push(change.clone());
        }
    }
}

#[test]
fn what_is_forgotten_leaves_nothing_behind_and_what_is_newer_stays() {
    let (old, fresh, later) = (mirror(1), mirror(2), NOW.plus(Duration::from_secs(60)));
    let removals = std::sync::Arc::new(Removals(std::sync::Mutex::default()));
    let value = |text: &str| {
        let key = ValueKey::new("acme.flags", text).unwrap();
        (key, Value::encode(&true).unwrap())
    };
    for n in 0..300 {
        old.block(network(&format!("10.0.{}.{}", n / 256, n % 256)), block("old"), NOW).unwrap();
    }
    old.remove(Rule::Block, network("10.0.0.7"), NOW).unwrap();
    old.set_certificate(certificate("old.example"), NOW).unwrap();
    let (key, held) = value("old");
    old.set_value(key.clone(), held, NOW).unwrap();
    let stamp = old.latest_stamp();
    old.observe_changes(std::sync::Arc::downgrade(&removals) as std::sync::Weak<dyn Observer>);
    let mut changes = vec![old.block(network("10.0.0.9"), block("new"), later).unwrap()];
    changes.push(old.remove(Rule::Block, network("10.0.0.8"), later).unwrap());
    changes.push(old.set_certificate(certificate("new.example"), later).unwrap());
    fresh.apply_all(changes, later);

    // 298 networks and tombstones, a certificate, a value.
    assert_eq!(old.forget_until(stamp), 300);
    assert_eq!(old.digest(), fresh.digest());
    for (address, is_blocked) in [("10.0.0.9", true), ("10.0.0.8", false), ("10.0.1.1", false)] {
        assert_eq!(old.is_blocked(address.parse().unwrap(), later), is_blocked, "{address}");
    }
    assert!(old.certificate_for_host("old.example", NOW).is_none());
    assert!(old.certificate_for_host("new.example", NOW).is_some());
    assert!(old.value(&key, later).is_none());
    // Those of before, and the one of 10.0.0.8.
    assert_eq!(removals.0.lock().unwrap().len(), 297 + 2 + 1);
    assert_eq!(old.forget_until(stamp), 0);
}

#[test]
fn the_longest_prefix_counts_allowing_wins_and_the_loopback_is_never_blocked() {
    let mirror = mirror(1);
    mirror.block(network("10.0.0.0/8"), block("wide"), NOW).unwrap();
    mirror.block(network("10.1.0.0/16"), block("narrow"), NOW).unwrap();
    mirror.allow(network("10.1.2.3"), block("our monitor"), NOW).unwrap();
    let of = |text: &str| mirror.lookup(text.parse().unwrap(), NOW);
    let reason = |verdict: Verdict| match verdict {
        Verdict::Blocked(entry) | Verdict::Allowed(entry) => entry.block.reason().to_owned(),
        Verdict::Clear => String::new(),
    };
    assert_eq!(reason(of("10.9.9.9")), "wide");
    assert_eq!(reason(of("10.1.9.9")), "narrow");
    assert!(matches!(of("::ffff:10.1.2.3"), Verdict::Allowed(_)));
    assert!(!mirror.is_blocked("10.1.2.3".parse().unwrap(), NOW));
    assert!(mirror.is_blocked("::ffff:10.1.2.4".parse().unwrap(), NOW));
    assert_eq!(of("11.0.0.1"), Verdict::Clear);
    assert!(mirror.block(network("127.0.0.1"), block("no"), NOW).is_err());
    assert!(mirror.block(network("::/0"), block("no"), NOW).is_err());
    mirror.block(network("2001:db8::/32"), block("v6"), NOW).unwrap();
    assert_eq!(reason(of("2001:db8:7::1")), "v6");
}

#[test]
fn a_block_ends_when_it_should_and_the_sweep_says_which() {
    let mirror = mirror(1);
    let short = block("short").expiring_at(NOW.plus(Duration::from_secs(5)));
    mirror.block(network("192.0.2.1"), short, NOW).unwrap();
    mirror.block(network("192.0.2.2"), block("for good"), NOW).unwrap();
    let address = "192.0.2.1".parse().unwrap();
    assert!(mirror.is_blocked(address, NOW.plus(Duration::from_millis(4_999))));
    // Even before anybody swept.
    assert!(!mirror.is_blocked(address, NOW.plus(Duration::from_secs(5))));
    assert!(mirror.sweep(NOW.plus(Duration::from_millis(4_999))).is_empty());
    let expired = mirror.sweep(NOW.plus(Duration::from_secs(5))).expired;
    assert_eq!(expired.len(), 1);
    assert_eq!(mirror.digest().entries, 1);
    assert_eq!(mirror.networks(Rule::Block, NOW).len(), 1);
}

#[test]
fn what_never_ends_does_not_end_with_the_last_moment_there_is() {
    let mirror = mirror(1);
    mirror.block(network("10.0.0.0/8"), block("x"), NOW).unwrap();
    let ends = block("y").expiring_at(NOW.plus(Duration::from_secs(1)));
    mirror.block(network("10.1.0.0/16"), ends, NOW).unwrap();
    let last = UnixMillis(u64::MAX);
    mirror.sweep(last);
    let address = "10.1.2.3".parse().unwrap();
    assert!(mirror.is_blocked(address, last));
    assert!(matches!(mirror.lookup(address, last), Verdict::Blocked(_)));
    assert_eq!(mirror.networks(Rule::Block, last).len(), 1);
}

#[test]
fn a_removal_wins_over_what_it_removed_wherever_they_meet() {
    let (a, b) = (mirror(1), mirror(2));
    let added = a.block(network("192.0.2.1"), block("x"), NOW).unwrap();
    let removed = a.remove(Rule::Block, network("192.0.2.1"), NOW).unwrap();
    assert_eq!(b.apply(&removed, NOW), Applied::Changed);
    assert_eq!(b.apply(&added, NOW), Applied::Stale);
    assert_eq!(a.digest(), b.digest());
    assert!(b.networks(Rule::Block, NOW).is_empty());
    let absent = a.remove(Rule::Block, network("192.0.2.1"), NOW);
    assert!(matches!(absent, Err(StateError::Absent { .. })));
    // After a day the removal is forgotten.
    a.sweep(NOW.plus(Duration::from_secs(25 * 3600)));
    assert!(a.content().is_empty());
}

#[test]
fn a_writer_whose_clock_is_behind_still_replaces_what_it_has_seen() {
    let (a, b) = (mirror(1), mirror(2));
    let behind = UnixMillis(NOW.0 - 4_900);
    let first = a.block(network("192.0.2.1"), block("first"), NOW).unwrap();
    assert_eq!(b.apply(&first, behind), Applied::Changed);
    let second = b.block(network("192.0.2.1"), block("second"), behind).unwrap();
    assert_eq!(a.apply(&second, NOW), Applied::Changed);
}

#[test]
fn an_expired_block_that_replaced_another_does_not_let_it_rise_again() {
    let (a, cut_off) = (mirror(1), mirror(2));
    let network = network("192.0.2.1");
    let old = a.block(network, block("for good"), NOW).unwrap();
    cut_off.apply(&old, NOW);
    a.remove(Rule::Block, network, NOW).unwrap();
    let short = block("short").expiring_at(NOW.plus(Duration::from_secs(5)));
    a.block(network, short, NOW).unwrap();
    let later = NOW.plus(Duration::from_secs(6));
    assert_eq!(a.sweep(later).expired.len(), 1);
    // The one that was cut off is back, and both fetch from each other.
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
    assert_eq!(a.digest(), cut_off.digest(), "the removal is known to both");
    a.sweep(later.plus(Duration::from_secs(25 * 3600)));
    assert!(a.content().is_empty());
}

/// Mirrors that refused what a wrong clock had stamped stayed different, and nobody could change
/// the entry.
#[test]
fn what_a_wrong_clock_stamped_is_taken_moves_no_clock_and_anybody_changes_it() {
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
        // Its clock is set right again: it changes the entry itself, and others do.
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
fn a_stamp_of_no_time_that_a_clock_shows_is_refused() {
    let a = mirror(1);
    let poison = |time| {
        Change::Network(NetworkChange {
            rule: Rule::Block,
            network: network("192.0.2.9"),
            stamp: Stamp::from_raw(time, NodeId(9)),
            block: None,
        })
    };
    for time in [u64::MAX, 253_402_300_800_000 << 16] {
        let applied = a.apply(&poison(time), NOW);
        assert!(matches!(applied, Applied::Refused(StateError::Future { .. })), "{applied:?}");
    }
    let last_day = 253_402_300_800_000 - 86_400_000;
    assert_eq!(a.apply(&poison(last_day << 16), NOW), Applied::Changed);
    let change = a.block(network("192.0.2.9"), block("x"), NOW).unwrap();
    assert_eq!(mirror(2).apply(&change, NOW), Applied::Changed);
    let late = UnixMillis(253_402_300_800_000);
    a.block(network("192.0.2.8"), block("x"), late).unwrap_err();
}

/// Peers forget an ended entry at a time of their own, so a mirror that took one of its own
/// differed from theirs until its next sweep.
#[test]
fn a_mirror_refuses_an_entry_of_its_own_that_has_ended() {
    let (a, b) = (mirror(1), mirror(2));
    let earlier = |hours: u64| UnixMillis(NOW.0 - hours * 3_600_000);
    let x = || ValueKey::new("acme.flags", "x").unwrap();
    for hours in [0, 1, 23, 24, 25, 1_000] {
        for was_there in [false, true] {
            let subject = network("192.0.2.1");
            if was_there {
                b.apply(&a.block(subject, block("there"), NOW).unwrap(), NOW);
            }
            let ended = || block("ended").expiring_at(earlier(hours));
            let refused = [
                a.block(subject, ended(), NOW),
                a.block_of_any_width(subject, ended(), NOW),
                a.allow(subject, ended(), NOW),
                a.set_value(x(), Value::new(vec![1]).unwrap().expiring_at(earlier(hours)), NOW),
            ];
            for result in refused {
                assert!(matches!(result, Err(StateError::Ended { .. })), "{result:?}");
            }
            assert_eq!(a.set_all(Rule::Block, vec![(subject, ended())], NOW).unwrap().changes, []);
            assert_eq!(a.is_blocked("192.0.2.1".parse().unwrap(), NOW), was_there);
            assert_eq!((a.digest(), a.content()), (b.digest(), b.content()));
            if was_there {
                b.apply(&a.remove(Rule::Block, subject, NOW).unwrap(), NOW);
            }
        }
    }
}

#[test]
fn what_expired_before_it_came_is_nothing_new() {
    let (a, b) = (mirror(1), mirror(2));
    let short = block("short").expiring_at(NOW.plus(Duration::from_secs(5)));
    let change = a.block(network("192.0.2.1"), short, NOW).unwrap();
    // Remembered, so that what it may have replaced elsewhere does not come after it.
    let after = |hours: u64| NOW.plus(Duration::from_secs(5 + hours * 3600));
    assert_eq!(b.apply(&change, after(0)), Applied::Changed);
    assert!(!b.is_blocked("192.0.2.1".parse().unwrap(), NOW));
    assert!(b.networks(Rule::Block, NOW).is_empty());
    assert_eq!((b.digest(), b.content()), (a.digest(), vec![change.clone()]));
    assert!(b.sweep(after(23)).is_empty());
    assert_eq!(b.sweep(after(24)).forgotten, std::slice::from_ref(&change));
    assert_eq!(b.apply(&change, after(24)), Applied::Stale);
    assert_eq!(b.digest().entries, 0);
}

#[test]
fn what_is_over_is_forgotten_everywhere_at_the_same_time_however_old_it_is() {
    let (a, b) = (mirror(1), mirror(2));
    let days = |days: u64| NOW.plus(Duration::from_secs(days * 86_400));
    let first = a.block(network("192.0.2.1"), block("first"), NOW).unwrap();
    let second = block("second").expiring_at(days(30));
    a.block(network("192.0.2.1"), second, NOW).unwrap();
    assert_eq!(a.sweep(days(30)).expired.len(), 1);
    // It missed that, and has what was there before.
    b.apply(&first, NOW);
    b.apply_all(a.content(), days(30));
    let address = "192.0.2.1".parse().unwrap();
    for mirror in [&a, &b] {
        assert!(!mirror.is_blocked(address, days(30)));
        assert_eq!(mirror.lookup(address, days(30)), Verdict::Clear);
        assert!(mirror.remove(Rule::Block, network("192.0.2.1"), days(30)).is_err());
        mirror.sweep(days(30).plus(Duration::from_secs(86_399)));
        assert_eq!(mirror.digest().entries, 1);
        assert_eq!(mirror.sweep(days(31)).forgotten.len(), 1);
        assert_eq!(mirror.digest().entries, 0);
    }
}

#[test]
fn a_mirror_that_is_full_refuses_new_keys_and_keeps_its_own() {
    let mut bounds = Bounds::default();
    bounds.networks = 2;
    let mirror = Mirror::with_bounds(NodeId(1), [0; 16], bounds);
    mirror.block(network("192.0.2.1"), block("1"), NOW).unwrap();
    mirror.block(network("192.0.2.2"), block("2"), NOW).unwrap();
    let error = mirror.block(network("192.0.2.3"), block("3"), NOW).unwrap_err();
    assert_eq!(error, StateError::Full { what: "networks", limit: 2 });
    mirror.block(network("192.0.2.2"), block("2 again"), NOW).unwrap();
    assert!(!mirror.is_blocked("192.0.2.3".parse().unwrap(), NOW));
}

#[test]
fn a_certificate_is_found_by_host_and_a_renewal_replaces_it_everywhere() {
    let (a, b) = (mirror(1), mirror(2));
    let old = certificate("mx.example.org");
    b.apply(&a.set_certificate(old.clone(), NOW).unwrap(), NOW);
    let new = certificate("mx.example.org");
    b.apply(&a.set_certificate(new.clone(), NOW).unwrap(), NOW);
    for mirror in [&a, &b] {
        let found = mirror.certificate_for_host("MX.example.org", NOW).unwrap();
        assert_eq!(found.fingerprint(), new.fingerprint());
        assert_eq!(mirror.certificates().len(), 1);
        assert!(mirror.certificate_for_host("other.example.org", NOW).is_none());
    }
    assert_eq!(a.digest(), b.digest());
    b.apply(&a.withdraw_certificate(new.names().clone(), NOW).unwrap(), NOW);
    assert!(b.certificates().is_empty());
}

#[test]
fn a_certificate_comes_back_from_the_pem_and_der_it_gives() {
    let made = certificate("mx.example.org");
    let pem = certificate_to_pem(&made).unwrap();
    assert_eq!(pem.chain.matches("BEGIN CERTIFICATE").count(), made.chain().len());
    assert!(!format!("{pem:?}").contains(pem.key.lines().nth(1).unwrap()));
    let again = certificate_from_pem(pem.chain.as_bytes(), pem.key.as_bytes()).unwrap();
    assert_eq!(again, made);
    let key = zeroize::Zeroizing::new(made.key().der().to_vec());
    assert_eq!(certificate_from_der(made.chain().to_vec(), key).unwrap(), made);
}

#[test]
fn certificates_that_do_not_check_are_refused_with_the_reason() {
    let one = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["b.example".to_owned()]).unwrap();
    let (pem, key) = (one.cert.pem(), other.signing_key.serialize_pem());
    let error = certificate_from_pem(pem.as_bytes(), key.as_bytes()).unwrap_err();
    assert!(matches!(error, StateError::KeyMismatch { .. }), "{error}");
    let error = certificate_from_pem(b"hello", key.as_bytes()).unwrap_err();
    assert!(error.to_string().contains("BEGIN CERTIFICATE"), "{error}");
    let error = certificate_from_pem(pem.as_bytes(), b"hello").unwrap_err();
    assert!(error.to_string().contains("the private key does not parse"), "{error}");

    let mut params = rcgen::CertificateParams::new(["old.example".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2001, 1, 1);
    params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let made = params.self_signed(&key).unwrap();
    let old = certificate_from_pem(made.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap();
    let error = mirror(1).set_certificate(old, NOW).unwrap_err();
    assert!(error.to_string().contains("2002-01-01T00:00:00Z, which is over"), "{error}");
}

#[test]
fn a_certificate_that_lies_about_itself_is_not_merged() {
    let honest = certificate("mx.example.org");
    let lying = Certificate::new(CertificateParts {
        names: DomainNames::new(["bank.example"]).unwrap(),
        chain: honest.chain().to_vec(),
        key: honest.key().clone(),
        not_before: honest.not_before(),
        not_after: honest.not_after(),
        fingerprint: honest.fingerprint(),
    })
    .unwrap();
    let change = Change::Certificate(CertificateChange {
        names: lying.names().clone(),
        stamp: Stamp::new(NOW, 0, NodeId(9)),
        certificate: Some(lying.into()),
    });
    let mirror = mirror(1);
    assert!(matches!(mirror.apply(&change, NOW), Applied::Refused(_)));
    assert_eq!(mirror.counters().refused, 1);
}

/// A change of one of few keys by one of few writers, so that they collide; some with an
/// end, in milliseconds from now.
fn any_change() -> impl Strategy<Value = Change> {
    let ends = prop::option::of(prop::option::of(0u64..100));
    (0u8..8, 0u64..50, 0u64..4, ends).prop_map(|(key, time, node, live)| {
        let stamp = Stamp::new(NOW, time as u16, NodeId(node));
        let ends = live.map(|ends| ends.map(|ms| UnixMillis(NOW.0 + ms)));
        if key >= 6 {
            let key = ValueKey::new("acme.flags", format!("flag {key}")).unwrap();
            let value = ends.map(|ends| {
                let value = Value::encode(&(time, node)).unwrap();
                ends.map_or(value.clone(), |at| value.expiring_at(at)).into()
            });
            return Change::Value(ValueChange { key, stamp, value });
        }
        Change::Network(NetworkChange {
            rule: if key % 2 == 0 { Rule::Block } else { Rule::Allow },
            network: network(&format!("192.0.2.{}", key / 2)),
            stamp,
            block: ends.map(|ends| {
                let block = block_of(time, node);
                ends.map_or(block.clone(), |at| block.expiring_at(at)).into()
            }),
        })
    })
}

fn block_of(time: u64, node: u64) -> Block {
    Block::new(format!("{time} by {node}"), UnixMillis(time)).unwrap()
}

proptest! {
    /// Merging is commutative, associative and idempotent: any order, with any
    /// repetitions, gives the same mirror.
    #[test]
    fn order_and_repetition_do_not_matter(
        changes in prop::collection::vec(any_change(), 0..40),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..80),
    ) {
        // One stamp, one change.
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
    /// Whatever two mirrors missed, and whenever they were swept: once each has the
    /// content of the other they are equal, and show the same.
    #[test]
    fn once_the_content_is_exchanged_mirrors_are_equal_whatever_has_ended(
        changes in prop::collection::vec(any_change(), 1..40),
        steps in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>(), 0u64..3), 0..80),
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
        // What has just ended, mirrors take from each other later.
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
            prop_assert_eq!(a.is_blocked(address, now), matches!(a.lookup(address, now), Verdict::Blocked(_)));
        }
    }
}

#[test]
fn a_value_is_set_replaced_removed_and_ends_everywhere() {
    let (a, b) = (mirror(1), mirror(2));
    let key = |name: &str| ValueKey::new("acme.flags", name).unwrap();
    let value = |n: u32| Value::encode(&n).unwrap();
    let of = |mirror: &Mirror, name: &str, now| {
        mirror.value(&key(name), now).map(|value| value.decode::<u32>().unwrap())
    };
    let later = |ms| NOW.plus(Duration::from_millis(ms));
    let first = a.set_value(key("x"), value(1), NOW).unwrap();
    let second = b.set_value(key("x"), value(2), later(1)).unwrap();
    assert_eq!(b.apply(&first, NOW), Applied::Stale);
    assert_eq!(a.apply(&second, NOW), Applied::Changed);
    assert_eq!((of(&a, "x", NOW), of(&b, "x", NOW)), (Some(2), Some(2)));
    // Another namespace, and one that begins with the same letters.
    for namespace in ["acme.flag", "acme.flags2", "other"] {
        a.set_value(ValueKey::new(namespace, "x").unwrap(), value(9), NOW).unwrap();
    }
    b.apply(&a.set_value(key("a"), value(3), NOW).unwrap(), NOW);
    let listed: Vec<_> = b.values_from(&key(""), NOW).into_iter().map(|(key, _)| key).collect();
    assert_eq!(listed, [key("a"), key("x")]);
    assert_eq!(a.values_from(&key(""), NOW), b.values_from(&key(""), NOW));

    // What ends in the place of another leaves a tombstone: who missed it must not bring
    // the other back.
    let missed = b.set_value(key("x"), value(4).expiring_at(later(10)), later(2)).unwrap();
    assert_eq!(of(&b, "x", later(9)), Some(4));
    assert_eq!(of(&b, "x", later(10)), None);
    assert_eq!(b.sweep(later(10)).expired, [missed]);
    assert_eq!(b.apply(&second, later(11)), Applied::Stale);
    a.apply_all(b.content(), later(11));
    assert_eq!(of(&a, "x", later(11)), None);

    let removed = a.remove_value(key("a"), later(12)).unwrap();
    assert!(matches!(a.remove_value(key("a"), later(12)), Err(StateError::Absent { .. })));
    assert_eq!(b.apply(&removed, later(12)), Applied::Changed);
    assert_eq!((of(&a, "a", later(12)), of(&b, "a", later(12))), (None, None));
}

#[test]
fn values_have_a_bound_of_their_own() {
    let mut bounds = Bounds::default();
    (bounds.values, bounds.networks) = (2, 1);
    let mirror = Mirror::with_bounds(NodeId(1), [3; 16], bounds);
    let set = |name: &str| {
        let key = ValueKey::new("acme", name).unwrap();
        mirror.set_value(key, Value::encode(&1).unwrap(), NOW)
    };
    mirror.block(network("192.0.2.1"), block("x"), NOW).unwrap();
    assert!(set("a").is_ok() && set("b").is_ok() && set("a").is_ok());
    assert!(matches!(set("c"), Err(StateError::Full { what: "values", limit: 2 })));
}

#[test]
fn a_certificate_warns_at_30_7_and_1_days_and_at_its_end_once_each() {
    let day = |days: f64| Duration::from_secs_f64(days * 86_400.0);
    let mut params = rcgen::CertificateParams::new(["mx.example.org".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2026, 12, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let made = params.self_signed(&key).unwrap();
    let made = certificate_from_pem(made.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap();
    let end = made.not_after();
    let before = |days: f64| UnixMillis(end.0 - day(days).as_millis() as u64);
    // From how many days before the end on it is there, when it is looked at, and what that tells.
    type Look = (f64, &'static [u32]);
    let cases: [(f64, &[Look]); 4] = [
        (90.0, &[(31.0, &[]), (30.0, &[30]), (29.0, &[]), (7.0, &[7]), (0.5, &[1]), (0.0, &[0])]),
        (20.0, &[(20.0, &[30]), (8.0, &[])]),
        (90.0, &[(3.0, &[7]), (2.0, &[]), (1.0, &[1])]),
        (0.2, &[(0.2, &[1]), (0.0, &[0])]),
    ];
    for (from, looks) in cases {
        let mirror = mirror(1);
        mirror.set_certificate(made.clone(), before(from)).unwrap();
        let digest = mirror.digest();
        for (at, expected) in looks {
            let swept = mirror.sweep(before(*at));
            let days: Vec<_> = swept.ending.iter().map(|(_, days)| *days).collect();
            assert_eq!((days, swept.expired), (expected.to_vec(), vec![]), "{from} {at}");
        }
        assert_eq!(mirror.digest(), digest, "it stays");
        assert!(mirror.certificate_for_host("mx.example.org", NOW).is_some());
    }
    // A withdrawn one warns of nothing.
    let mirror = mirror(1);
    mirror.set_certificate(made.clone(), before(90.0)).unwrap();
    mirror.withdraw_certificate(made.names().clone(), before(89.0)).unwrap();
    assert_eq!(mirror.sweep(before(1.0)).ending, []);
}

#[test]
fn what_a_time_that_was_wrong_had_ended_goes_on_once_it_is_set_back() {
    let mirror = mirror(1);
    let later = |seconds| NOW.plus(Duration::from_secs(seconds));
    let address = "192.0.2.1".parse().unwrap();
    mirror.block(network("192.0.2.1"), block("first"), NOW).unwrap();
    let ends = block("second").expiring_at(later(60));
    let change = mirror.block(network("192.0.2.1"), ends, NOW).unwrap();
    let digest = mirror.digest();
    mirror.sweep(later(100));
    assert!(!mirror.is_blocked(address, later(10)));
    assert_eq!(mirror.sweep(later(10)).revived, [change]);
    assert!(mirror.is_blocked(address, later(59)));
    assert!(matches!(mirror.lookup(address, later(59)), Verdict::Blocked(_)));
    assert_eq!(mirror.digest(), digest);
    assert_eq!(mirror.sweep(later(60)).expired.len(), 1);
    assert!(!mirror.is_blocked(address, later(60)));
}

#[test]
fn what_a_store_kept_is_put_back_into_a_mirror_that_has_something_as_a_change_would_be() {
    let (a, b) = (mirror(1), mirror(2));
    let later = NOW.plus(Duration::from_secs(1));
    let key = || ValueKey::new("acme.flags", "x").unwrap();
    for change in [
        a.block(network("192.0.2.1"), block("x"), NOW).unwrap(),
        a.set_value(key(), Value::encode(&1).unwrap(), NOW).unwrap(),
    ] {
        b.apply(&change, NOW);
    }
    let keys: Vec<_> = a.content().iter().map(Change::key).collect();
    a.remove(Rule::Block, network("192.0.2.1"), later).unwrap();
    a.remove_value(key(), later).unwrap();
    assert_eq!(b.restore(a.saved(&keys).into_iter().flatten(), later), 2);
    assert_eq!(a.digest(), b.digest());
    assert!(!b.is_blocked("192.0.2.1".parse().unwrap(), later));
    assert_eq!(b.value(&key(), later), None);
}

#[test]
fn what_ends_is_swept_at_once_though_much_was_renewed_before_it_ended() {
    let mirror = mirror(1);
    let later = |seconds| NOW.plus(Duration::from_secs(seconds));
    let single = |n: u32| Network::single(std::net::Ipv4Addr::from(0x0B00_0000 + n).into());
    for (ends, from) in [(10, 0), (100, 0), (11, 30_000)] {
        let count = if from == 0 { 30_000 } else { 8 };
        let batch = (from..from + count).map(|n| (single(n), block("x").expiring_at(later(ends))));
        mirror.set_all(Rule::Block, batch.collect(), NOW).unwrap();
    }
    assert_eq!(mirror.sweep(later(11)).expired.len(), 8);
    assert_eq!(mirror.sweep(later(99)).expired.len(), 0);
    assert_eq!(mirror.sweep(later(100)).expired.len(), 30_000);
}

#[test]
fn ends_are_kept_to_the_millisecond_while_changes_of_long_ago_come_in() {
    let mirror = mirror(1);
    let ends = NOW.plus(Duration::from_secs(3_600));
    mirror.block(network("192.0.2.1"), block("x").expiring_at(ends), NOW).unwrap();
    let old = UnixMillis(NOW.0 - 60 * 86_400_000);
    for n in 0..5_000_u32 {
        let change = Change::Network(NetworkChange {
            rule: Rule::Block,
            network: Network::single(std::net::Ipv4Addr::from(0x0B00_0000 + n).into()),
            stamp: Stamp::new(old, 0, NodeId(7)),
            block: Some(block("old").into()),
        });
        assert_eq!(mirror.apply(&change, NOW), Applied::Changed);
    }
    let address = "192.0.2.1".parse().unwrap();
    assert!(mirror.is_blocked(address, UnixMillis(ends.0 - 1)));
    assert!(!mirror.is_blocked(address, ends));
}

#[test]
fn a_batch_needs_no_room_for_what_has_ended() {
    let mut bounds = Bounds::default();
    bounds.networks = 10;
    let mirror = Mirror::with_bounds(NodeId(1), [3; 16], bounds);
    let of = |n: u8| Network::single([192, 0, 2, n].into());
    let batch = |ended: u8, live: u8| {
        let ended = (0..ended).map(|n| (of(100 + n), block("x").expiring_at(NOW)));
        ended.chain((0..live).map(|n| (of(n), block("x")))).collect()
    };
    assert_eq!(mirror.set_all(Rule::Block, batch(5, 10), NOW).unwrap().changes.len(), 10);
    assert!(mirror.set_all(Rule::Block, batch(0, 11), NOW).is_err());
}
