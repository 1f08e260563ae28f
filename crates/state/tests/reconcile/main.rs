//! Two mirrors that differ become equal despite message loss.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod comparison;
mod full_transfer;
mod hostile;

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
    /// Entries and coded symbols sent so far.
    sent: [usize; 2],
    /// Percentage of messages that are lost.
    loss: usize,
}

impl Pair {
    fn new(loss: usize) -> Self {
        let node = |n| Node {
            mirror: Mirror::new(NodeId(n), [3; 16]),
            reconciler: Reconciler::new(n as usize - 1, ReconcileConfig::default()),
        };
        let mut pair = Self {
            nodes: [node(1), node(2)],
            now: START,
            at: Duration::ZERO,
            messages: 0,
            sent: [0; 2],
            loss,
        };
        pair.nodes[0].reconciler.on_joined(1);
        pair.nodes[1].reconciler.on_joined(0);
        pair
    }

    fn block(&self, node: usize, count: u32) {
        for i in 0..count {
            let base = if node == 0 { 0x0a00_0000 } else { 0x1400_0000 };
            let address = std::net::Ipv4Addr::from(base + i);
            let block = RuleDetails::new("x", self.now).unwrap();
            let network = Network::single(address.into());
            self.nodes[node].mirror.block(network, block, self.now).unwrap();
        }
    }

    fn digests(&self) -> [MirrorDigest; 2] {
        [self.nodes[0].mirror.digest(), self.nodes[1].mirror.digest()]
    }

    /// One second passes: heartbeats, messages until none is left, deadlines.
    fn second(&mut self) {
        let digests = self.digests();
        for (i, node) in self.nodes.iter_mut().enumerate() {
            node.reconciler.on_digest(1 - i, digests[1 - i], digests[i], self.at);
        }
        loop {
            let mut quiet = true;
            for i in 0..2 {
                for (to, message) in self.nodes[i].reconciler.take_outgoing() {
                    quiet = false;
                    self.messages += 1;
                    match &message {
                        SyncMessage::Part { changes, .. }
                        | SyncMessage::Entries { changes, .. } => {
                            self.sent[0] += changes.len();
                        }
                        SyncMessage::Symbols { symbols, .. } => self.sent[1] += symbols.len(),
                        _ => {}
                    }
                    // Pseudo-random, and the same in every run.
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
            node.mirror.sweep(self.now);
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

/// Two nodes that share `both` entries and each have `each` entries that the other lacks.
fn nearly_equal(both: u32, each: u32, loss: usize) -> Pair {
    let mut pair = Pair::new(loss);
    pair.block(0, both);
    let [a, b] = &mut pair.nodes;
    b.mirror.apply_all(a.mirror.content(), START);
    for (node, base) in [(0, 0x3000_0000), (1, 0x4000_0000)] {
        for i in 0..each {
            let network = Network::single(std::net::Ipv4Addr::from(base + i).into());
            pair.nodes[node]
                .mirror
                .block(network, RuleDetails::new("new", START).unwrap(), START)
                .unwrap();
        }
    }
    pair
}
