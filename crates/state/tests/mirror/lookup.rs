//! Results of lookups, and the bound on networks.

use mailmesh_events::*;
use mailmesh_state::*;

use super::{NOW, block, mirror, network};

#[test]
fn the_longest_prefix_wins_and_allow_beats_block() {
    let mirror = mirror(1);
    mirror.block(network("10.0.0.0/8"), block("wide"), NOW).unwrap();
    mirror.block(network("10.1.0.0/16"), block("narrow"), NOW).unwrap();
    mirror.allow(network("10.1.2.3"), block("our monitor"), NOW).unwrap();
    let of = |text: &str| mirror.lookup(text.parse().unwrap(), NOW);
    let reason = |verdict: Verdict| match verdict {
        Verdict::Blocked(entry) | Verdict::Allowed(entry) => entry.details.reason().to_owned(),
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
fn a_full_mirror_refuses_new_keys_but_not_changes() {
    let mut bounds = Bounds::default();
    bounds.networks = 2;
    let mirror = Mirror::with_bounds(NodeId(1), [0; 16], bounds);
    mirror.block(network("192.0.2.1"), block("1"), NOW).unwrap();
    mirror.block(network("192.0.2.2"), block("2"), NOW).unwrap();
    let error = mirror.block(network("192.0.2.3"), block("3"), NOW).unwrap_err();
    assert_eq!(error, StateError::Full { kind: "networks", limit: 2 });
    mirror.block(network("192.0.2.2"), block("2 again"), NOW).unwrap();
    assert!(!mirror.is_blocked("192.0.2.3".parse().unwrap(), NOW));
}
