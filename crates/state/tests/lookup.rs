//! Lookup by address gives the same result as a scan of every network.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use mailmesh_events::*;
use mailmesh_state::*;
use proptest::prelude::*;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

fn mirror() -> Mirror {
    Mirror::new(NodeId(1), [7; 16])
}

fn block(reason: &str) -> RuleDetails {
    RuleDetails::new(reason, NOW).unwrap()
}

/// Addresses that share a random number of first bits.
fn any_address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (0u8..4, 0u32..32, any::<u32>()).prop_map(|(head, keep, tail)| {
            let head = [0x0A00_0000_u32, 0x0A00_0100, 0xC000_0200, 0xC633_6400][usize::from(head)];
            IpAddr::from(Ipv4Addr::from(head ^ tail >> keep))
        }),
        (0usize..3, 16u32..128, any::<u128>()).prop_map(|(head, keep, tail)| {
            let heads = [0x2001_0DB8_u128 << 96, 0x2001_0DB8_0001 << 80, 0x2A00 << 112];
            IpAddr::from(Ipv6Addr::from(heads[head] ^ tail >> keep))
        }),
    ]
}

#[derive(Debug, Clone)]
struct Step {
    rule: Rule,
    network: Network,
    /// `Some(Some(s))`: expires after `s` seconds; `Some(None)`: never expires; `None`: removed.
    change: Option<Option<u64>>,
}

fn any_step() -> impl Strategy<Value = Step> {
    let change = prop::option::weighted(0.8, prop::option::of(1u64..5));
    (any::<bool>(), any_address(), 8u8..=128, change)
        .prop_map(|(allow, address, len, change)| {
            let len = if address.is_ipv4() { 8 + len % 25 } else { len.max(16) };
            let rule = if allow { Rule::Allow } else { Rule::Block };
            Step { rule, network: Network::new(address, len).unwrap(), change }
        })
        .prop_filter("the loopback cannot be blocked", |step| {
            step.network.ensure_blockable().is_ok()
        })
}

/// The result of scanning every network.
fn expected(steps: &[Step], address: IpAddr, at: UnixMillis) -> Option<(Rule, Network)> {
    let mut lists: [Vec<(Network, Option<u64>)>; 2] = Default::default();
    for step in steps {
        let list = &mut lists[usize::from(step.rule == Rule::Allow)];
        list.retain(|(network, _)| *network != step.network);
        list.extend(step.change.map(|ends| (step.network, ends)));
    }
    let longest = |list: &[(Network, Option<u64>)]| {
        let live = list.iter().filter(|(network, ends)| {
            network.contains(address) && ends.is_none_or(|s| NOW.0 + s * 1_000 > at.0)
        });
        live.map(|(network, _)| *network).max_by_key(Network::prefix_len)
    };
    longest(&lists[1])
        .map(|network| (Rule::Allow, network))
        .or_else(|| longest(&lists[0]).map(|network| (Rule::Block, network)))
}

proptest! {
    #[test]
    fn a_lookup_equals_a_scan_of_every_network(
        steps in prop::collection::vec(any_step(), 0..60),
        addresses in prop::collection::vec(any_address(), 20),
        at in 0u64..6,
        batch in 0usize..60,
    ) {
        let mirror = mirror();
        let now = UnixMillis(NOW.0 + at * 1_000);
        let one = |step: &Step| {
            let made = step.change.map(|ends| match ends {
                Some(s) => block("x").with_expiry(UnixMillis(NOW.0 + s * 1_000)),
                None => block("x"),
            });
            match (step.rule, made) {
                (Rule::Block, Some(made)) => drop(mirror.block(step.network, made, NOW).unwrap()),
                (Rule::Allow, Some(made)) => drop(mirror.allow(step.network, made, NOW).unwrap()),
                // Removing an absent network fails, which is fine here.
                (rule, None) => drop(mirror.remove(rule, step.network, NOW)),
            }
        };
        steps.iter().take(batch).for_each(one);
        // The rest as one batch per rule.
        let changes = steps.iter().skip(batch).filter(|s| s.change.is_some());
        let rest: Vec<Step> = changes.cloned().collect();
        for rule in [Rule::Block, Rule::Allow] {
            let of_rule = rest.iter().filter(|step| step.rule == rule);
            let networks = of_rule.map(|step| {
                let made = match step.change.unwrap() {
                    Some(s) => block("x").with_expiry(UnixMillis(NOW.0 + s * 1_000)),
                    None => block("x"),
                };
                (step.network, made)
            });
            mirror.set_all(rule, networks.collect(), NOW).unwrap();
        }
        let steps: Vec<Step> = steps.iter().take(batch).cloned().chain(rest).collect();
        let networks: Vec<IpAddr> = steps.iter().map(|step| step.network.address()).collect();
        for address in addresses.into_iter().chain(networks) {
            let expected = expected(&steps, address, now);
            let is_blocked = matches!(expected, Some((Rule::Block, _)));
            prop_assert_eq!(mirror.is_blocked(address, now), is_blocked, "{}", address);
            let found = match mirror.lookup(address, now) {
                Verdict::Clear => None,
                Verdict::Blocked(entry) => Some((Rule::Block, entry.network)),
                Verdict::Allowed(entry) => Some((Rule::Allow, entry.network)),
            };
            prop_assert_eq!(found, expected, "{}", address);
        }
    }
}

#[test]
fn the_loopback_is_never_blocked_and_mapped_ipv4_is_ipv4() {
    let mirror = mirror();
    mirror.block("192.0.2.0/24".parse().unwrap(), block("x"), NOW).unwrap();
    assert!(mirror.is_blocked("::ffff:192.0.2.1".parse().unwrap(), NOW));
    let change = Change::Network(NetworkChange::new(
        Rule::Block,
        "127.0.0.0/8".parse().unwrap(),
        Stamp::new(NOW, 0, NodeId(2)),
        Some(block("a node that lies").into()),
    ));
    let _ = mirror.apply(&change, NOW);
    assert!(!mirror.is_blocked(Ipv4Addr::LOCALHOST.into(), NOW));
    assert_eq!(mirror.lookup(Ipv4Addr::LOCALHOST.into(), NOW), Verdict::Clear);
}

#[test]
fn a_block_expires_on_time_after_a_clock_was_years_ahead() {
    let (mirror, address) = (mirror(), "192.0.2.1".parse().unwrap());
    let ahead = NOW.plus(Duration::from_secs(150_000_000));
    mirror.block("198.51.100.1".parse().unwrap(), block("x"), ahead).unwrap();
    let ends = NOW.plus(Duration::from_secs(10));
    let short = block("x").with_expiry(ends);
    mirror.block(Network::single(address), short, NOW).unwrap();
    assert!(mirror.is_blocked(address, NOW));
    assert!(!mirror.is_blocked(address, ends));
}

#[test]
fn a_batch_with_one_bad_network_is_refused_as_a_whole() {
    let mirror = mirror();
    let networks = |texts: &[&str]| -> Vec<(Network, RuleDetails)> {
        texts.iter().map(|text| (text.parse().unwrap(), block("x"))).collect()
    };
    let error = mirror.set_all(Rule::Block, networks(&["192.0.2.1", "127.0.0.1"]), NOW);
    assert!(matches!(error, Err(StateError::Event(EventError::Loopback { .. }))), "{error:?}");
    assert!(mirror.set_all(Rule::Block, networks(&["192.0.2.1", "10.0.0.0/7"]), NOW).is_err());
    assert_eq!(mirror.digest().entries, 0);
    assert!(!mirror.is_blocked("192.0.2.1".parse().unwrap(), NOW));
    mirror.set_all_of_any_width(Rule::Block, networks(&["10.0.0.0/7"]), NOW).unwrap();

    let mut bounds = Bounds::default();
    bounds.networks = 3;
    let mirror = Mirror::with_bounds(NodeId(1), [7; 16], bounds);
    let twice = networks(&["192.0.2.1", "192.0.2.2", "192.0.2.1"]);
    let batch = mirror.set_all(Rule::Block, twice, NOW).unwrap();
    assert_eq!((batch.changes.len(), batch.replaced), (3, 0));
    let full = mirror.set_all(Rule::Block, networks(&["192.0.2.2", "192.0.2.3", "192.0.2.4"]), NOW);
    assert!(matches!(full, Err(StateError::Full { .. })), "{full:?}");
    let batch = mirror.set_all(Rule::Block, networks(&["192.0.2.2", "192.0.2.3"]), NOW).unwrap();
    assert_eq!((batch.changes.len(), batch.replaced), (2, 1));
    assert_eq!(mirror.networks(Rule::Block, NOW).len(), 3);
}

/// Readers run while a writer blocks and unblocks other addresses and sets a batch. Addresses
/// blocked throughout stay blocked through every table rebuild.
#[test]
fn readers_see_no_gap_and_no_partial_batch() {
    let mirror = mirror();
    let address = |n: u32| IpAddr::from(Ipv4Addr::from(0x0A00_0000 + n));
    let always: Vec<IpAddr> = (0..50).map(|n| address(n * 65_537)).collect();
    for address in &always {
        mirror.block(Network::single(*address), block("always"), NOW).unwrap();
    }
    let (first, last) =
        (address(0x00FF_0000), IpAddr::from(Ipv6Addr::from(0x2001_0DB8_u128 << 96)));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for order in [[first, last], [last, first]] {
            let (mirror, always, done) = (&mirror, &always, &done);
            scope.spawn(move || {
                while !done.load(Ordering::Acquire) {
                    let [one, other] = order.map(|address| mirror.is_blocked(address, NOW));
                    // The batch may be published between the two reads, but never half of it.
                    assert!(other || !one, "a reader saw half of a batch");
                    for address in always {
                        assert!(mirror.is_blocked(*address, NOW), "{address}");
                    }
                    assert!(!mirror.is_blocked(IpAddr::from([192, 0, 2, 1]), NOW));
                }
            });
        }
        for n in 0..30_000 {
            let network = Network::single(address(n * 7 + 1));
            mirror.block(network, block("comes"), NOW).unwrap();
            if n % 2 == 0 {
                mirror.remove(Rule::Block, network, NOW).unwrap();
            }
        }
        let batch = [first, last].map(|address| (Network::single(address), block("batch")));
        mirror.set_all(Rule::Block, batch.to_vec(), NOW).unwrap();
        done.store(true, Ordering::Release);
    });
    assert!(mirror.is_blocked(first, NOW) && mirror.is_blocked(last, NOW));
}

#[test]
fn a_batch_does_not_undo_concurrent_changes() {
    let mirror = mirror();
    let single = |n: u32| Network::single(Ipv4Addr::from(0x0B00_0000 + n * 7).into());
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let short = || block("short").with_expiry(UnixMillis(NOW.0 + 1));
            for n in (0_u32..).take_while(|_| !done.load(Ordering::Relaxed)) {
                // Some networks are in the batch; others are not and make the tables grow.
                let at = if n % 3 == 0 { n * 31 % 20_000 } else { 1_000_000 + n };
                let _there_or_not = match n % 7 {
                    0 | 1 => mirror.remove(Rule::Block, single(at), NOW).map(drop),
                    2 => mirror.block(single(at), short(), NOW).map(drop),
                    _ => mirror.block(single(at), block("one"), NOW).map(drop),
                };
                if n % 64 == 0 {
                    mirror.sweep(UnixMillis(NOW.0 + 1));
                }
            }
        });
        for round in 0..20 {
            let batch = (0..20_000).map(|n| (single(n), block("batch")));
            mirror.set_all(Rule::Block, batch.collect(), NOW).unwrap();
            assert!(round > 0 || mirror.digest().entries >= 20_000);
        }
        done.store(true, Ordering::Relaxed);
    });
    mirror.sweep(UnixMillis(NOW.0 + 1));
    let listed: std::collections::BTreeSet<Network> =
        mirror.networks(Rule::Block, NOW).into_iter().map(|entry| entry.network).collect();
    assert!(listed.len() >= 10_000);
    for network in (0..20_000).chain(1_000_000..1_100_000).map(single) {
        let address = network.address();
        assert_eq!(mirror.is_blocked(address, NOW), listed.contains(&network), "{network}");
    }
}
