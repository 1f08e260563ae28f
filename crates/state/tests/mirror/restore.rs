//! Restoring records of a store, and purging untrusted ones.

use std::time::Duration;

use mailmesh_events::*;
use mailmesh_state::*;

use super::{NOW, block, certificate, mirror, network};

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
fn a_purge_removes_old_entries_completely_and_keeps_newer_ones() {
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

    // 298 networks and tombstones, one certificate, one value.
    assert_eq!(old.purge_until(stamp), 300);
    assert_eq!(old.digest(), fresh.digest());
    for (address, is_blocked) in [("10.0.0.9", true), ("10.0.0.8", false), ("10.0.1.1", false)] {
        assert_eq!(old.is_blocked(address.parse().unwrap(), later), is_blocked, "{address}");
    }
    assert!(old.certificate_for_host("old.example", NOW).is_none());
    assert!(old.certificate_for_host("new.example", NOW).is_some());
    assert!(old.value(&key, later).is_none());
    // The purged live entries, and the later removal of 10.0.0.8.
    assert_eq!(removals.0.lock().unwrap().len(), 297 + 2 + 1);
    assert_eq!(old.purge_until(stamp), 0);
}

#[test]
fn restored_records_merge_with_the_current_entries() {
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

/// Peers refuse such a stamp, and no change of the key can have a later one.
#[test]
fn a_restored_record_of_the_year_10000_is_skipped() {
    let mirror = mirror(1);
    let saved = |n: u8, time: u64| {
        let network = Network::single([192, 0, 2, n].into());
        let stamp = Stamp::new(UnixMillis(time), 0, NodeId(9));
        let block = Some(block("x").into());
        let change = Change::Network(NetworkChange::new(Rule::Block, network, stamp, block));
        Saved { change, replaced_another: false, end: None }
    };
    let never = 253_402_300_800_000;
    let stored = [saved(1, never), saved(2, never - 1), saved(3, never + 1)];
    assert_eq!(mirror.restore(stored, NOW), 1);
    let is_blocked = |n| mirror.is_blocked([192, 0, 2, n].into(), NOW);
    assert_eq!([1, 2, 3].map(is_blocked), [false, true, false]);
    assert!(mirror.block(network("192.0.2.1"), block("y"), NOW).is_ok());
}
