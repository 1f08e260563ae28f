//! Peers that lie or break the protocol.

use std::time::Duration;

use mailmesh_events::*;
use mailmesh_state::*;

use super::{Node, START, nearly_equal};

/// Regression: a peer that claims a billion entries, and answers with the same part forever or with
/// a new part now and then, kept a node from all other peers.
#[test]
fn an_endless_exchange_does_not_block_other_peers() {
    for does_progress in [false, true] {
        let (ours, honest) = (Mirror::new(NodeId(1), [3; 16]), Mirror::new(NodeId(2), [3; 16]));
        let network = |n: u32| Network::single(std::net::Ipv4Addr::from(0x0a00_0000 + n).into());
        for n in 0..100 {
            honest.block(network(n), RuleDetails::new("x", START).unwrap(), START).unwrap();
        }
        let [mut us, mut them] = [0, 2].map(|own| Reconciler::new(own, ReconcileConfig::default()));
        [1, 2].into_iter().for_each(|peer| us.on_joined(peer));
        them.on_joined(0);
        let lie = MirrorDigest { entries: 1_000_000_000, ..honest.digest() };
        let (mut seconds, mut requests) = (0, Vec::new());
        while ours.digest() != honest.digest() {
            assert!(seconds < 120, "the node never compares with the honest peer");
            let at = Duration::from_secs(seconds);
            us.on_digest(1, lie, ours.digest(), at);
            us.on_digest(2, honest.digest(), ours.digest(), at);
            if us.next_deadline().is_some_and(|deadline| deadline <= at) {
                us.on_deadline(at);
            }
            for (to, message) in us.take_outgoing() {
                if to == 2 {
                    them.on_message(0, message, &honest, START, at);
                } else if let SyncMessage::Request { round, first, .. } = message {
                    requests.push((round, first));
                }
            }
            if let Some((round, share)) = requests.last().copied() {
                let (part, more) = (if does_progress { seconds as u16 } else { 0 }, true);
                let part = SyncMessage::Part { round, share, part, changes: Vec::new(), more };
                us.on_message(1, part, &ours, START, at);
            }
            for (_, message) in them.take_outgoing() {
                us.on_message(2, message, &ours, START, at);
            }
            seconds += 1;
        }
    }
}

/// Regression: a transfer from a peer that claims 2^23 entries uses small shares, so continuing it
/// asked an honest peer for 32,768 of them.
#[test]
fn a_transfer_sized_by_a_liar_is_not_continued() {
    let (ours, honest) = (Mirror::new(NodeId(1), [3; 16]), Mirror::new(NodeId(2), [3; 16]));
    for n in 0..1_000_u32 {
        let network = Network::single(std::net::Ipv4Addr::from(0x0a00_0000 + n).into());
        honest.block(network, RuleDetails::new("x", START).unwrap(), START).unwrap();
    }
    let [mut us, mut them] = [0, 2].map(|own| Reconciler::new(own, ReconcileConfig::default()));
    [1, 2].into_iter().for_each(|peer| us.on_joined(peer));
    them.on_joined(0);
    let lie = MirrorDigest { entries: 1 << 23, ..honest.digest() };
    us.on_digest(1, lie, ours.digest(), Duration::ZERO);
    let requests = us.take_outgoing();
    let [(1, SyncMessage::Request { round, first, .. }), ..] = requests[..] else {
        panic!("{requests:?}");
    };
    assert_eq!(first.bits, 15);
    let (changes, more) = (Vec::new(), false);
    let part = SyncMessage::Part { round, share: first, part: 0, changes, more };
    us.on_message(1, part, &ours, START, Duration::ZERO);
    us.take_outgoing();

    let (at, mut shares) = (Duration::from_secs(31), 0);
    us.on_digest(2, honest.digest(), ours.digest(), at);
    while us.is_busy() {
        let requests = us.take_outgoing();
        assert!(!requests.is_empty(), "the exchange stalls");
        for (to, message) in requests {
            assert_eq!(to, 2);
            if let SyncMessage::Request { shares: count, .. } = message {
                shares += count;
            }
            assert!(shares <= 4, "the honest peer is asked for {shares} shares, and more");
            them.on_message(0, message, &honest, START, at);
        }
        for (_, message) in them.take_outgoing() {
            us.on_message(2, message, &ours, START, at);
        }
    }
    assert_eq!(ours.digest(), honest.digest());
}

#[test]
fn invalid_or_excessive_queries_get_no_answer() {
    let mut pair = nearly_equal(10_000, 0, 0);
    let Node { mirror, reconciler } = &mut pair.nodes[0];
    let mut ask = |bits, index, shares, from, count| {
        let first = Share { bits, index };
        let message = SyncMessage::AskSymbols { round: 1, first, shares, from, count };
        reconciler.on_message(1, message, mirror, START, Duration::ZERO);
        reconciler.take_outgoing().len()
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
        // Half of the content, which no peer needs and which is expensive.
        (1, 0, 1, 0, 64),
    ] {
        assert_eq!(
            ask(bits, index, shares, from, count),
            0,
            "{bits} {index} {shares} {from} {count}"
        );
    }
    // The token bucket bounds the answers per second, whichever peer asks.
    let answered: usize = (0..8_000).map(|_| ask(0, 0, 1, 0, 64)).sum();
    assert!(answered < 4_096, "{answered}");
    let mut request = |bits, index, shares| {
        let first = Share { bits, index };
        let message = SyncMessage::Request { round: 1, first, shares };
        reconciler.on_message(1, message, mirror, START, Duration::from_secs(9));
        reconciler.take_outgoing().len()
    };
    assert_eq!(request(6, 60, 4), 4);
    let none = [(6, 60, 5), (6, 64, 1), (6, 0, 0), (8, 0, 65), (40, 0, 1), (0, 0, 1), (1, 1, 1)];
    for (bits, index, shares) in none {
        assert_eq!(request(bits, index, shares), 0, "{bits} {index} {shares}");
    }
}
