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
fn an_exception_of_a_very_wide_network_is_refused_unless_any_width_is_asked_for() {
    let mirror = mirror(1);
    for text in ["0.0.0.0/0", "10.0.0.0/7", "::/0", "2001::/15"] {
        let wide = network(text);
        let refused = [
            mirror.allow(wide, block("no"), NOW).unwrap_err(),
            mirror.set_all(Rule::Allow, vec![(wide, block("no"))], NOW).unwrap_err(),
        ];
        for error in refused {
            let text = error.to_string();
            assert!(text.contains("lets in") && !text.contains("block"), "{text}");
        }
        mirror.allow_of_any_width(wide, block("meant"), NOW).unwrap();
        mirror.set_all_of_any_width(Rule::Allow, vec![(wide, block("meant"))], NOW).unwrap();
        // Mirrors must not differ, so a change of another node has no limit.
        let other = super::mirror(2);
        other.apply_all(mirror.content(), NOW);
        assert_eq!(other.digest(), mirror.digest());
    }
    for text in ["10.0.0.0/8", "2001::/16", "127.0.0.1", "127.0.0.0/8", "::1"] {
        mirror.allow(network(text), block("ours"), NOW).unwrap();
    }
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
