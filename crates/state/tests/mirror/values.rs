//! Named values.

use std::time::Duration;

use mailmesh_events::*;
use mailmesh_state::*;

use super::{NOW, block, mirror, network};

#[test]
fn a_value_is_set_replaced_removed_and_expires_on_all_nodes() {
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
    // Another namespace, one with a common prefix, and one that only begins alike.
    for namespace in ["acme.flag", "acme.flags2", "other"] {
        a.set_value(ValueKey::new(namespace, "x").unwrap(), value(9), NOW).unwrap();
    }
    b.apply(&a.set_value(key("a"), value(3), NOW).unwrap(), NOW);
    let listed: Vec<_> = b.values_from(&key(""), NOW).into_iter().map(|(key, _)| key).collect();
    assert_eq!(listed, [key("a"), key("x")]);
    assert_eq!(a.values_from(&key(""), NOW), b.values_from(&key(""), NOW));

    // A value that expires after replacing another is retained: a node that missed it must not
    // bring the other back.
    let missed = b.set_value(key("x"), value(4).with_expiry(later(10)), later(2)).unwrap();
    assert_eq!(of(&b, "x", later(9)), Some(4));
    assert_eq!(of(&b, "x", later(10)), None);
    assert_eq!(b.sweep(later(10)).expired, [missed]);
    assert_eq!(b.apply(&second, later(11)), Applied::Stale);
    a.apply_all(b.content(), later(11));
    assert_eq!(of(&a, "x", later(11)), None);

    let removed = a.remove_value(key("a"), later(12)).unwrap();
    assert!(matches!(a.remove_value(key("a"), later(12)), Err(StateError::NotFound { .. })));
    assert_eq!(b.apply(&removed, later(12)), Applied::Changed);
    assert_eq!((of(&a, "a", later(12)), of(&b, "a", later(12))), (None, None));
}

#[test]
fn values_have_their_own_bound() {
    let mut bounds = Bounds::default();
    (bounds.values, bounds.networks) = (2, 1);
    let mirror = Mirror::with_bounds(NodeId(1), [3; 16], bounds);
    let set = |name: &str| {
        let key = ValueKey::new("acme", name).unwrap();
        mirror.set_value(key, Value::encode(&1).unwrap(), NOW)
    };
    mirror.block(network("192.0.2.1"), block("x"), NOW).unwrap();
    assert!(set("a").is_ok() && set("b").is_ok() && set("a").is_ok());
    assert!(matches!(set("c"), Err(StateError::Full { kind: "values", limit: 2 })));
}
