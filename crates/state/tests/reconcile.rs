//! Two mirrors that differ become equal, whatever gets lost.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use std::time::Duration;

use mailmesh_events::*;
use mailmesh_state::*;

const START: UnixMillis = UnixMillis(1_800_000_000_000);

struct Node {
    mirror: Mirror,
    reconciler: Reconciler<usize>,
}

struct Pair {
    nodes: [Node; 2],
    now: UnixMillis,
    at: Duration,
    messages: usize,
    /// How many of a hundred messages are lost.
    loss: usize,
}

impl Pair {
    fn new(loss: usize) -> Self {
        let node = |n| Node {
            mirror: Mirror::new(NodeId(n), [3; 16]),
            reconciler: Reconciler::new(Timing::default()),
        };
        let mut pair =
            Self { nodes: [node(1), node(2)], now: START, at: Duration::ZERO, messages: 0, loss };
        pair.nodes[0].reconciler.on_joined(1);
        pair.nodes[1].reconciler.on_joined(0);
        pair
    }

    fn block(&self, node: usize, count: u32) {
        for i in 0..count {
            let base = if node == 0 { 0x0a00_0000 } else { 0x1400_0000 };
            let address = std::net::Ipv4Addr::from(base + i);
            let block = Block::new("x", self.now).unwrap();
            let network = Network::single(address.into());
            self.nodes[node].mirror.block(network, block, self.now).unwrap();
        }
    }

    fn digests(&self) -> [MirrorDigest; 2] {
        [self.nodes[0].mirror.digest(), self.nodes[1].mirror.digest()]
    }

    /// A second passes: heartbeats, messages until quiet, deadlines.
    fn second(&mut self) {
        let digests = self.digests();
        for (i, node) in self.nodes.iter_mut().enumerate() {
            node.reconciler.on_digest(1 - i, digests[1 - i], digests[i], self.at);
        }
        loop {
            let mut quiet = true;
            for i in 0..2 {
                for (to, message) in self.nodes[i].reconciler.take_to_send() {
                    quiet = false;
                    self.messages += 1;
                    // Scattered, and the same in every run.
                    let mixed = (self.messages as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                    let scattered = (mixed ^ mixed >> 32).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40;
                    if scattered % 100 >= self.loss as u64 {
                        let node = &mut self.nodes[to];
                        node.reconciler.on_message(i, message, &node.mirror, self.now, self.at);
                    }
                }
            }
            if quiet {
                break;
            }
        }
        self.now = self.now.plus(Duration::from_secs(1));
        self.at += Duration::from_secs(1);
        for node in &mut self.nodes {
            if node.reconciler.next_deadline().is_some_and(|deadline| deadline <= self.at) {
                node.reconciler.on_deadline(self.at);
            }
        }
    }

    fn seconds_until_equal(&mut self, limit: u32) -> u32 {
        for second in 0..limit {
            if self.digests()[0] == self.digests()[1] {
                return second;
            }
            self.second();
        }
        panic!("not equal after {limit} s");
    }
}

#[test]
fn a_joiner_takes_the_whole_content_at_the_first_heartbeat() {
    let mut pair = Pair::new(0);
    pair.block(0, 20_000);
    assert_eq!(pair.seconds_until_equal(3), 1);
    assert_eq!(pair.nodes[1].mirror.digest().entries, 20_000);
}

#[test]
fn both_halves_of_a_split_end_with_the_union() {
    let mut pair = Pair::new(0);
    pair.block(0, 500);
    pair.block(1, 700);
    pair.seconds_until_equal(5);
    assert_eq!(pair.nodes[0].mirror.digest().entries, 1_200);
}

#[test]
fn lost_messages_are_asked_for_again() {
    for loss in [5, 20, 50] {
        let mut pair = Pair::new(loss);
        pair.block(0, 20_000);
        pair.block(1, 10);
        let seconds = pair.seconds_until_equal(600);
        println!("{loss} % lost: equal after {seconds} s, {} messages", pair.messages);
    }
}

#[test]
fn a_removal_reaches_who_missed_it() {
    let mut pair = Pair::new(0);
    pair.block(0, 3);
    pair.seconds_until_equal(3);
    let network = Network::single("10.0.0.1".parse().unwrap());
    pair.nodes[0].mirror.remove(Rule::Block, network, pair.now).unwrap();
    pair.seconds_until_equal(10);
    assert_eq!(pair.nodes[1].mirror.digest().entries, 2);
}

#[test]
fn equal_mirrors_send_nothing_and_a_single_difference_waits_for_a_second_look() {
    let mut pair = Pair::new(0);
    pair.second();
    pair.second();
    assert_eq!(pair.messages, 0);
    pair.block(0, 1);
    pair.second();
    assert_eq!(pair.messages, 0, "a change may be on its way");
    pair.second();
    assert!(pair.messages > 0);
}

#[test]
fn a_difference_that_fetching_does_not_mend_is_fetched_less_and_less() {
    // Node 1 can hold one entry only; it differs for ever.
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
fn a_difference_in_a_busy_mirror_is_mended_too() {
    let mut pair = Pair::new(0);
    pair.seconds_until_equal(1);
    pair.second();
    pair.block(0, 1);
    let missing = Network::single("10.0.0.0".parse().unwrap());
    // Every second a change that arrives at once; the first one never did.
    for i in 1..=20_u32 {
        let network = Network::single(std::net::Ipv4Addr::from(0x3000_0000 + i).into());
        let block = Block::new("x", pair.now).unwrap();
        let change = pair.nodes[0].mirror.block(network, block, pair.now).unwrap();
        pair.nodes[1].mirror.apply(&change, pair.now);
        pair.second();
    }
    let blocks = pair.nodes[1].mirror.networks(Rule::Block, pair.now);
    assert!(blocks.iter().any(|entry| entry.network == missing));
}

#[test]
fn what_ends_during_a_fetch_shifts_nothing() {
    let mut pair = Pair::new(0);
    // The first 2,000 keys end while the fetch is under way.
    for i in 0..20_000_u32 {
        let network = Network::single(std::net::Ipv4Addr::from(0x0a00_0000 + i).into());
        let mut block = Block::new("x", pair.now).unwrap();
        if i < 2_000 {
            block = block.expiring_at(pair.now.plus(Duration::from_secs(1)));
        }
        pair.nodes[0].mirror.block(network, block, pair.now).unwrap();
    }
    let [a, b] = &mut pair.nodes;
    b.reconciler.on_digest(0, a.mirror.digest(), b.mirror.digest(), Duration::ZERO);
    let mut now = pair.now;
    let mut requests = 0;
    loop {
        let asked = b.reconciler.take_to_send();
        if asked.is_empty() {
            break;
        }
        for (_, message) in asked {
            a.reconciler.on_message(1, message, &a.mirror, now, Duration::ZERO);
            requests += 1;
        }
        for (_, message) in a.reconciler.take_to_send() {
            b.reconciler.on_message(0, message, &b.mirror, now, Duration::ZERO);
        }
        now = now.plus(Duration::from_secs(1));
        a.mirror.sweep(now);
        b.mirror.sweep(now);
    }
    assert!(requests > 1);
    assert_eq!(a.mirror.digest(), b.mirror.digest());
}

#[test]
fn a_wall_clock_that_steps_back_stops_nothing() {
    let mut pair = Pair::new(30);
    pair.block(0, 20_000);
    pair.second();
    pair.now = UnixMillis(pair.now.0 - 50_000);
    pair.seconds_until_equal(60);
}
