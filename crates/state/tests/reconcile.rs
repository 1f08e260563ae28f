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
    /// Entries and coded symbols that were sent.
    sent: [usize; 2],
    /// How many of a hundred messages are lost.
    loss: usize,
}

impl Pair {
    fn new(loss: usize) -> Self {
        let node = |n| Node {
            mirror: Mirror::new(NodeId(n), [3; 16]),
            reconciler: Reconciler::new(n as usize - 1, Timing::default()),
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
                    match &message {
                        SyncMessage::Part { changes, .. }
                        | SyncMessage::Entries { changes, .. } => {
                            self.sent[0] += changes.len();
                        }
                        SyncMessage::Symbols { symbols, .. } => self.sent[1] += symbols.len(),
                        _ => {}
                    }
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
    let left = pair.nodes[1].mirror.networks(Rule::Block, pair.now);
    assert_eq!(left.len(), 2);
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

/// Mirrors sweep at times of their own. A comparison in between brought back what one of them had
/// dropped, as an ended entry that is remembered for 24 h.
#[test]
fn what_ends_is_gone_though_mirrors_sweep_at_different_times() {
    let mut pair = Pair::new(0);
    for n in 0..600 {
        let network = Network::single(std::net::Ipv4Addr::from(0x0a00_0000 + n).into());
        let end = pair.now.plus(Duration::from_millis(100 * u64::from(n) + 1));
        let block = Block::new("x", pair.now).unwrap().expiring_at(end);
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
    assert!(pair.sent[0] > 0, "they were compared in between");
}

/// A peer that claims a billion entries and answers with one part for ever, or with a new one
/// now and then, kept a node from all others.
#[test]
fn a_peer_that_never_ends_does_not_keep_a_node_from_the_others() {
    for does_progress in [false, true] {
        let (ours, honest) = (Mirror::new(NodeId(1), [3; 16]), Mirror::new(NodeId(2), [3; 16]));
        let network = |n: u32| Network::single(std::net::Ipv4Addr::from(0x0a00_0000 + n).into());
        for n in 0..100 {
            honest.block(network(n), Block::new("x", START).unwrap(), START).unwrap();
        }
        let [mut us, mut them] = [0, 2].map(|own| Reconciler::new(own, Timing::default()));
        [1, 2].into_iter().for_each(|peer| us.on_joined(peer));
        them.on_joined(0);
        let lie = MirrorDigest { entries: 1_000_000_000, ..honest.digest() };
        let (mut seconds, mut asked) = (0, Vec::new());
        while ours.digest() != honest.digest() {
            assert!(seconds < 120, "it is never compared with the honest one");
            let at = Duration::from_secs(seconds);
            us.on_digest(1, lie, ours.digest(), at);
            us.on_digest(2, honest.digest(), ours.digest(), at);
            if us.next_deadline().is_some_and(|deadline| deadline <= at) {
                us.on_deadline(at);
            }
            for (to, message) in us.take_to_send() {
                if to == 2 {
                    them.on_message(0, message, &honest, START, at);
                } else if let SyncMessage::Request { round, first, .. } = message {
                    asked.push((round, first));
                }
            }
            if let Some((round, share)) = asked.last().copied() {
                let (part, more) = (if does_progress { seconds as u16 } else { 0 }, true);
                let part = SyncMessage::Part { round, share, part, changes: Vec::new(), more };
                us.on_message(1, part, &ours, START, at);
            }
            for (_, message) in them.take_to_send() {
                us.on_message(2, message, &ours, START, at);
            }
            seconds += 1;
        }
    }
}

#[test]
fn wall_clocks_that_step_back_do_not_keep_mirrors_apart() {
    let mut pair = Pair::new(0);
    pair.block(0, 20_000);
    pair.second();
    pair.now = UnixMillis(pair.now.0 - 50_000);
    assert!(pair.seconds_until_equal(10) < 10);
}

/// Two nodes that both have these many entries, and each so many that the other lacks.
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
                .block(network, Block::new("new", START).unwrap(), START)
                .unwrap();
        }
    }
    pair
}

#[test]
fn a_few_differences_cost_what_differs() {
    let mut pair = nearly_equal(20_000, 5, 0);
    // As after the join: no longer urgent.
    for node in 0..2 {
        pair.nodes[node].reconciler.on_left(1 - node, pair.at);
    }
    pair.nodes[0].reconciler.on_joined(1);
    assert_eq!(pair.seconds_until_equal(5), 1);
    // A question and an answer for the symbols, for the entries, and what the other lacks.
    assert_eq!((pair.messages, pair.sent), (5, [10, 64]));
}

#[test]
fn many_differences_cost_what_differs_too() {
    let (both, each) = (20_000, 3_000);
    let mut pair = nearly_equal(both, each, 0);
    pair.nodes[1].reconciler.on_left(0, pair.at);
    pair.seconds_until_equal(5);
    assert_eq!(pair.nodes[0].mirror.digest().entries, u64::from(both + 2 * each));
    let [entries, symbols] = pair.sent;
    assert_eq!(entries, 2 * each as usize, "each once");
    assert!(symbols < 2 * 2 * each as usize + 1_024, "{symbols} symbols");
}

#[test]
fn differences_are_found_though_messages_are_lost() {
    for (each, loss) in [(5, 30), (1_000, 20)] {
        let mut pair = nearly_equal(5_000, each, loss);
        let seconds = pair.seconds_until_equal(900);
        println!("{each} each, {loss} % lost: equal after {seconds} s, {} messages", pair.messages);
    }
}

#[test]
fn what_one_removed_goes_at_the_other_that_still_has_it() {
    let mut pair = nearly_equal(1_000, 0, 0);
    let network = Network::single("10.0.0.7".parse().unwrap());
    pair.nodes[0].mirror.remove(Rule::Block, network, pair.now).unwrap();
    // Either may be the one that compares.
    pair.nodes[0].reconciler.on_left(1, pair.at);
    pair.seconds_until_equal(5);
    assert!(!pair.nodes[1].mirror.is_blocked("10.0.0.7".parse().unwrap(), pair.now));
    pair.nodes[1].mirror.block(network, Block::new("again", pair.now).unwrap(), pair.now).unwrap();
    pair.nodes[0].reconciler.on_joined(1);
    pair.seconds_until_equal(10);
    assert!(pair.nodes[0].mirror.is_blocked("10.0.0.7".parse().unwrap(), pair.now));
}

#[test]
fn a_peer_that_knows_no_symbols_is_asked_for_everything() {
    let mut pair = nearly_equal(500, 5, 0);
    let digests = pair.digests();
    let mut at = Duration::ZERO;
    let mut asked_for_all = false;
    let node = &mut pair.nodes[0];
    for _ in 0..100 {
        node.reconciler.on_digest(1, digests[1], digests[0], at);
        node.reconciler.on_deadline(at);
        let sent = node.reconciler.take_to_send();
        asked_for_all |= sent.iter().any(|(_, m)| matches!(m, SyncMessage::Request { .. }));
        at += Duration::from_secs(1);
    }
    assert!(asked_for_all);
}

#[test]
fn questions_that_break_the_protocol_or_ask_for_too_much_get_no_answer() {
    let mut pair = nearly_equal(10_000, 0, 0);
    let Node { mirror, reconciler } = &mut pair.nodes[0];
    let mut ask = |bits, index, shares, from, count| {
        let first = Share { bits, index };
        let message = SyncMessage::AskSymbols { round: 1, first, shares, from, count };
        reconciler.on_message(1, message, mirror, START, Duration::ZERO);
        reconciler.take_to_send().len()
    };
    assert_eq!(ask(0, 0, 1, 0, 1_024), 1);
    assert_eq!(ask(4, 15, 1, 0, 64), 1);
    for (bits, index, shares, from, count) in [
        (0, 0, 1, 0, 0),
        (0, 0, 0, 0, 1),
        (0, 0, 1, 1, 1_024),
        (0, 0, 2, 0, 1),
        (4, 15, 2, 0, 1),
        (4, 16, 1, 0, 1),
        (4, 0, 16, 0, 1_000),
        (4, 0, 1, 0, 2_049),
        (4, 0, 1, u16::MAX, u16::MAX),
        (40, 0, 1, 0, 1),
        // Half of all there is, which no peer needs and costs much.
        (1, 0, 1, 0, 64),
    ] {
        assert_eq!(
            ask(bits, index, shares, from, count),
            0,
            "{bits} {index} {shares} {from} {count}"
        );
    }
    // In a second, no more than its share of work, whoever asks.
    let answered: usize = (0..8_000).map(|_| ask(0, 0, 1, 0, 64)).sum();
    assert!(answered < 4_096, "{answered}");
    let mut request = |bits, index, shares| {
        let first = Share { bits, index };
        let message = SyncMessage::Request { round: 1, first, shares };
        reconciler.on_message(1, message, mirror, START, Duration::from_secs(9));
        reconciler.take_to_send().len()
    };
    assert_eq!(request(6, 60, 4), 4);
    let none = [(6, 60, 5), (6, 64, 1), (6, 0, 0), (8, 0, 65), (40, 0, 1), (0, 0, 1), (1, 1, 1)];
    for (bits, index, shares) in none {
        assert_eq!(request(bits, index, shares), 0, "{bits} {index} {shares}");
    }
}

#[test]
fn what_was_begun_with_a_peer_that_died_goes_on_with_another() {
    let count = 20_000;
    let pair = nearly_equal(count, 0, 0);
    let [mut first, mut second] = pair.nodes;
    let mirror = Mirror::new(NodeId(3), [3; 16]);
    let mut joiner = Reconciler::new(2, Timing::default());
    let digest = first.mirror.digest();
    let (at, mut received) = (Duration::ZERO, 0);
    for (peer, limit) in [(0, count as usize / 2), (1, usize::MAX)] {
        let source = if peer == 0 { &mut first } else { &mut second };
        joiner.on_joined(peer);
        joiner.on_digest(peer, digest, mirror.digest(), at);
        let begun = received;
        while joiner.is_busy() && received - begun < limit {
            let asked = joiner.take_to_send();
            assert!(!asked.is_empty(), "it stands still");
            for (to, message) in asked {
                assert_eq!(to, peer);
                source.reconciler.on_message(2, message, &source.mirror, START, at);
            }
            for (_, message) in source.reconciler.take_to_send() {
                if let SyncMessage::Part { changes, .. } = &message {
                    received += changes.len();
                }
                joiner.on_message(peer, message, &mirror, START, at);
            }
        }
        joiner.take_to_send();
        joiner.on_left(peer, at);
    }
    assert_eq!(mirror.digest(), digest);
    // All that came before the first died is used.
    assert_eq!(received, count as usize);
}

#[test]
fn what_was_begun_with_a_small_peer_begins_anew_with_one_that_has_much_more() {
    let small = nearly_equal(300, 0, 0);
    let large = nearly_equal(50_000, 0, 0);
    let mut sources =
        [small.nodes.into_iter().next().unwrap(), large.nodes.into_iter().next().unwrap()];
    let mirror = Mirror::new(NodeId(3), [3; 16]);
    let mut joiner = Reconciler::new(2, Timing::default());
    let at = Duration::ZERO;
    joiner.on_joined(0);
    joiner.on_digest(0, sources[0].mirror.digest(), mirror.digest(), at);
    assert!(joiner.is_busy());
    joiner.take_to_send();
    joiner.on_left(0, at);
    joiner.on_joined(1);
    let digest = sources[1].mirror.digest();
    joiner.on_digest(1, digest, mirror.digest(), at);
    let asked = joiner.take_to_send();
    let bits = asked.iter().find_map(|(_, message)| match message {
        SyncMessage::Request { first, .. } => Some(first.bits),
        _ => None,
    });
    assert_eq!(bits, Some(7));
    for (_, message) in asked {
        let source = &mut sources[1];
        source.reconciler.on_message(2, message, &source.mirror, START, at);
    }
    assert!(!sources[1].reconciler.take_to_send().is_empty());
}

#[test]
fn a_peer_that_was_silent_once_is_not_asked_for_everything_from_then_on() {
    let mut pair = nearly_equal(20_000, 1, 0);
    // Nothing of it comes for as long as an exchange lasts, but for its digests.
    let node = &mut pair.nodes[0];
    let digests = [node.mirror.digest(), pair.nodes[1].mirror.digest()];
    for second in 0..14 {
        let at = Duration::from_secs(second);
        let node = &mut pair.nodes[0];
        node.reconciler.on_digest(1, digests[1], digests[0], at);
        node.reconciler.on_deadline(at);
        node.reconciler.take_to_send();
    }
    pair.at = Duration::from_secs(60);
    pair.seconds_until_equal(200);
    for round in 0..3 {
        let network = Network::single([203, 0, 113, round].into());
        pair.nodes[1]
            .mirror
            .block(network, Block::new("new", pair.now).unwrap(), pair.now)
            .unwrap();
        pair.sent = [0; 2];
        pair.seconds_until_equal(200);
    }
    assert!(pair.sent[0] < 100, "{} entries for one", pair.sent[0]);
}
