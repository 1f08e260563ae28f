//! Mirrors that differ in some entries become equal.

use std::time::Duration;

use mailmesh_events::*;
use mailmesh_state::*;

use super::{Pair, START, nearly_equal};

#[test]
fn both_halves_of_a_split_reach_the_union() {
    let mut pair = Pair::new(0);
    pair.block(0, 500);
    pair.block(1, 700);
    pair.seconds_until_equal(5);
    assert_eq!(pair.nodes[0].mirror.digest().entries, 1_200);
}

#[test]
fn a_removal_reaches_a_node_that_missed_it() {
    let mut pair = Pair::new(0);
    pair.block(0, 3);
    pair.seconds_until_equal(3);
    let network = Network::single("10.0.0.1".parse().unwrap());
    pair.nodes[0].mirror.remove(Rule::Block, network, pair.now).unwrap();
    pair.seconds_until_equal(10);
    let left = pair.nodes[1].mirror.networks(Rule::Block, pair.now);
    assert_eq!(left.len(), 2);
}

#[test]
fn equal_mirrors_send_nothing_and_one_difference_waits() {
    let mut pair = Pair::new(0);
    pair.second();
    pair.second();
    assert_eq!(pair.messages, 0);
    pair.block(0, 1);
    pair.second();
    assert_eq!(pair.messages, 0, "a change may be in flight");
    pair.second();
    assert!(pair.messages > 0);
}

#[test]
fn exchanges_that_change_nothing_back_off() {
    // Node 1 can hold one entry only, so it always differs.
    let mut pair = Pair::new(0);
    let mut bounds = Bounds::default();
    bounds.networks = 1;
    pair.nodes[1].mirror = Mirror::with_bounds(NodeId(2), [3; 16], bounds);
    pair.block(0, 5);
    for _ in 0..600 {
        pair.second();
    }
    assert!(pair.messages < 100, "{} messages in ten minutes", pair.messages);
}

#[test]
fn a_difference_in_a_busy_mirror_is_repaired() {
    let mut pair = Pair::new(0);
    pair.seconds_until_equal(1);
    pair.second();
    pair.block(0, 1);
    let missing = Network::single("10.0.0.0".parse().unwrap());
    // Each second one change arrives at once; the first change never arrived.
    for i in 1..=20_u32 {
        let network = Network::single(std::net::Ipv4Addr::from(0x3000_0000 + i).into());
        let block = RuleDetails::new("x", pair.now).unwrap();
        let change = pair.nodes[0].mirror.block(network, block, pair.now).unwrap();
        pair.nodes[1].mirror.apply(&change, pair.now);
        pair.second();
    }
    let blocks = pair.nodes[1].mirror.networks(Rule::Block, pair.now);
    assert!(blocks.iter().any(|entry| entry.network == missing));
}

/// Regression: mirrors sweep at different times. A comparison in between brought back an entry that
/// one of them had dropped, as an expired entry retained for 24 h.
#[test]
fn expired_entries_do_not_return_between_two_sweeps() {
    let mut pair = Pair::new(0);
    for n in 0..600 {
        let network = Network::single(std::net::Ipv4Addr::from(0x0a00_0000 + n).into());
        let end = pair.now.plus(Duration::from_millis(100 * u64::from(n) + 1));
        let block = RuleDetails::new("x", pair.now).unwrap().with_expiry(end);
        let change = pair.nodes[0].mirror.block(network, block, pair.now).unwrap();
        assert_eq!(pair.nodes[1].mirror.apply(&change, pair.now), Applied::Changed);
    }
    while pair.now < START.plus(Duration::from_secs(70)) {
        pair.now = pair.now.plus(Duration::from_millis(500));
        pair.nodes[0].mirror.sweep(pair.now);
        pair.second();
    }
    let left = pair.nodes.each_ref().map(|node| node.mirror.content().len());
    assert_eq!(left, [0, 0]);
    assert!(pair.sent[0] > 0, "a comparison ran in between");
}

#[test]
fn a_wall_clock_step_back_does_not_stop_reconciliation() {
    let mut pair = Pair::new(0);
    pair.block(0, 20_000);
    pair.second();
    pair.now = UnixMillis(pair.now.0 - 50_000);
    assert!(pair.seconds_until_equal(10) < 10);
}

#[test]
fn the_cost_of_few_differences_is_proportional() {
    let mut pair = nearly_equal(20_000, 5, 0);
    // No longer urgent, unlike right after the join.
    for node in 0..2 {
        pair.nodes[node].reconciler.on_left(1 - node, pair.at);
    }
    pair.nodes[0].reconciler.on_joined(1);
    assert_eq!(pair.seconds_until_equal(5), 1);
    // A query and an answer for symbols, a query and an answer for entries, and the push.
    assert_eq!((pair.messages, pair.sent), (5, [10, 64]));
}

#[test]
fn the_cost_of_many_differences_is_proportional() {
    let (both, each) = (20_000, 3_000);
    let mut pair = nearly_equal(both, each, 0);
    pair.nodes[1].reconciler.on_left(0, pair.at);
    pair.seconds_until_equal(5);
    assert_eq!(pair.nodes[0].mirror.digest().entries, u64::from(both + 2 * each));
    let [entries, symbols] = pair.sent;
    assert_eq!(entries, 2 * each as usize, "each entry is sent once");
    assert!(symbols < 2 * 2 * each as usize + 1_024, "{symbols} symbols");
}

#[test]
fn differences_are_repaired_despite_message_loss() {
    for (each, loss) in [(5, 30), (1_000, 20)] {
        let mut pair = nearly_equal(5_000, each, loss);
        let seconds = pair.seconds_until_equal(900);
        println!("{each} each, {loss} % lost: equal after {seconds} s, {} messages", pair.messages);
    }
}

#[test]
fn a_removal_wins_over_the_entry_at_the_other_node() {
    let mut pair = nearly_equal(1_000, 0, 0);
    let network = Network::single("10.0.0.7".parse().unwrap());
    pair.nodes[0].mirror.remove(Rule::Block, network, pair.now).unwrap();
    // Either node may initiate the comparison.
    pair.nodes[0].reconciler.on_left(1, pair.at);
    pair.seconds_until_equal(5);
    assert!(!pair.nodes[1].mirror.is_blocked("10.0.0.7".parse().unwrap(), pair.now));
    pair.nodes[1]
        .mirror
        .block(network, RuleDetails::new("again", pair.now).unwrap(), pair.now)
        .unwrap();
    pair.nodes[0].reconciler.on_joined(1);
    pair.seconds_until_equal(10);
    assert!(pair.nodes[0].mirror.is_blocked("10.0.0.7".parse().unwrap(), pair.now));
}
