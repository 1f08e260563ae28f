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
        let mut pair = Self { nodes: [node(1), node(2)], now: START, messages: 0, loss };
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
            node.reconciler.on_digest(1 - i, digests[1 - i], digests[i], self.now);
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
                        node.reconciler.on_message(i, message, &node.mirror, self.now);
                    }
                }
            }
            if quiet {
                break;
            }
        }
        self.now = self.now.plus(Duration::from_secs(1));
        for node in &mut self.nodes {
            if node.reconciler.next_deadline().is_some_and(|deadline| deadline <= self.now) {
                node.reconciler.on_deadline(self.now);
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
