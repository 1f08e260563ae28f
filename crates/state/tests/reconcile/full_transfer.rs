//! A node takes over the whole content of a peer.

use std::time::Duration;

use mailmesh_events::*;
use mailmesh_state::*;

use super::{Pair, START, nearly_equal};

#[test]
fn a_joiner_takes_over_all_content_at_the_first_heartbeat() {
    let mut pair = Pair::new(0);
    pair.block(0, 20_000);
    assert_eq!(pair.seconds_until_equal(3), 1);
    assert_eq!(pair.nodes[1].mirror.digest().entries, 20_000);
}

#[test]
fn lost_messages_are_requested_again() {
    for loss in [5, 20, 50] {
        let mut pair = Pair::new(loss);
        pair.block(0, 20_000);
        pair.block(1, 10);
        let seconds = pair.seconds_until_equal(600);
        println!("{loss} % lost: equal after {seconds} s, {} messages", pair.messages);
    }
}

#[test]
fn entries_that_expire_during_a_transfer_shift_nothing() {
    let mut pair = Pair::new(0);
    // The first 2,000 keys expire during the transfer.
    for i in 0..20_000_u32 {
        let network = Network::single(std::net::Ipv4Addr::from(0x0a00_0000 + i).into());
        let mut block = RuleDetails::new("x", pair.now).unwrap();
        if i < 2_000 {
            block = block.with_expiry(pair.now.plus(Duration::from_secs(1)));
        }
        pair.nodes[0].mirror.block(network, block, pair.now).unwrap();
    }
    let [a, b] = &mut pair.nodes;
    b.reconciler.on_digest(0, a.mirror.digest(), b.mirror.digest(), Duration::ZERO);
    let mut now = pair.now;
    let mut requests = 0;
    loop {
        let queries = b.reconciler.take_outgoing();
        if queries.is_empty() {
            break;
        }
        for (_, message) in queries {
            a.reconciler.on_message(1, message, &a.mirror, now, Duration::ZERO);
            requests += 1;
        }
        for (_, message) in a.reconciler.take_outgoing() {
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
fn a_transfer_from_a_peer_that_left_continues_with_another() {
    let count = 20_000;
    let pair = nearly_equal(count, 0, 0);
    let [mut first, mut second] = pair.nodes;
    let mirror = Mirror::new(NodeId(3), [3; 16]);
    let mut joiner = Reconciler::new(2, ReconcileConfig::default());
    let digest = first.mirror.digest();
    let (at, mut received) = (Duration::ZERO, 0);
    for (peer, limit) in [(0, count as usize / 2), (1, usize::MAX)] {
        let source = if peer == 0 { &mut first } else { &mut second };
        joiner.on_joined(peer);
        joiner.on_digest(peer, digest, mirror.digest(), at);
        let begun = received;
        while joiner.is_busy() && received - begun < limit {
            let queries = joiner.take_outgoing();
            assert!(!queries.is_empty(), "the transfer stalls");
            for (to, message) in queries {
                assert_eq!(to, peer);
                source.reconciler.on_message(2, message, &source.mirror, START, at);
            }
            for (_, message) in source.reconciler.take_outgoing() {
                if let SyncMessage::Part { changes, .. } = &message {
                    received += changes.len();
                }
                joiner.on_message(peer, message, &mirror, START, at);
            }
        }
        joiner.take_outgoing();
        joiner.on_left(peer, at);
    }
    assert_eq!(mirror.digest(), digest);
    // The shares received before the first peer left are kept.
    assert_eq!(received, count as usize);
}

#[test]
fn a_transfer_restarts_with_a_much_larger_peer() {
    let small = nearly_equal(300, 0, 0);
    let large = nearly_equal(50_000, 0, 0);
    let mut sources =
        [small.nodes.into_iter().next().unwrap(), large.nodes.into_iter().next().unwrap()];
    let mirror = Mirror::new(NodeId(3), [3; 16]);
    let mut joiner = Reconciler::new(2, ReconcileConfig::default());
    let at = Duration::ZERO;
    joiner.on_joined(0);
    joiner.on_digest(0, sources[0].mirror.digest(), mirror.digest(), at);
    assert!(joiner.is_busy());
    joiner.take_outgoing();
    joiner.on_left(0, at);
    joiner.on_joined(1);
    let digest = sources[1].mirror.digest();
    joiner.on_digest(1, digest, mirror.digest(), at);
    let queries = joiner.take_outgoing();
    let bits = queries.iter().find_map(|(_, message)| match message {
        SyncMessage::Request { first, .. } => Some(first.bits),
        _ => None,
    });
    assert_eq!(bits, Some(7));
    for (_, message) in queries {
        let source = &mut sources[1];
        source.reconciler.on_message(2, message, &source.mirror, START, at);
    }
    assert!(!sources[1].reconciler.take_outgoing().is_empty());
}

#[test]
fn a_peer_that_ignores_symbols_is_asked_for_everything() {
    let mut pair = nearly_equal(500, 5, 0);
    let digests = pair.digests();
    let mut at = Duration::ZERO;
    let mut asked_for_all = false;
    let node = &mut pair.nodes[0];
    for _ in 0..100 {
        node.reconciler.on_digest(1, digests[1], digests[0], at);
        node.reconciler.on_deadline(at);
        let sent = node.reconciler.take_outgoing();
        asked_for_all |= sent.iter().any(|(_, m)| matches!(m, SyncMessage::Request { .. }));
        at += Duration::from_secs(1);
    }
    assert!(asked_for_all);
}

#[test]
fn a_peer_that_was_silent_once_is_compared_again() {
    let mut pair = nearly_equal(20_000, 1, 0);
    // No message of the peer but its digests arrives for as long as an exchange lasts.
    let node = &mut pair.nodes[0];
    let digests = [node.mirror.digest(), pair.nodes[1].mirror.digest()];
    for second in 0..14 {
        let at = Duration::from_secs(second);
        let node = &mut pair.nodes[0];
        node.reconciler.on_digest(1, digests[1], digests[0], at);
        node.reconciler.on_deadline(at);
        node.reconciler.take_outgoing();
    }
    pair.at = Duration::from_secs(60);
    pair.seconds_until_equal(200);
    for round in 0..3 {
        let network = Network::single([203, 0, 113, round].into());
        pair.nodes[1]
            .mirror
            .block(network, RuleDetails::new("new", pair.now).unwrap(), pair.now)
            .unwrap();
        pair.sent = [0; 2];
        pair.seconds_until_equal(200);
    }
    assert!(pair.sent[0] < 100, "{} entries for one", pair.sent[0]);
}
