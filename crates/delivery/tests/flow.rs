//! A sender does not run ahead of its receivers, and does not wait for a frozen one.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod common;

use common::*;
use mailmesh_delivery::*;

/// Publishes frames of 60 kB until the lane is closed; returns their number.
fn fill(mesh: &mut Mesh, n: u8) -> usize {
    let body = bytes::Bytes::from(vec![7; 60_000]);
    let mut sent = 0;
    while mesh.nodes[&id(n)].may_send(Lane::Events) {
        let node = mesh.nodes.get_mut(&id(n)).unwrap();
        let frame = node.send(at(mesh.now), Lane::Events, 1, body.clone()).unwrap();
        mesh.put(id(n), Destination::All, &frame);
        sent += 1;
        assert!(sent < 1_000, "the lane is never closed");
    }
    sent
}

#[test]
fn a_lane_closes_at_a_full_window_and_opens_as_receivers_acknowledge() {
    let mut mesh = Mesh::of_two();
    let sent = fill(&mut mesh, 1);
    assert_eq!(sent, (256 << 10) / 60_096 + 1);
    assert!(mesh.nodes[&id(1)].may_send(Lane::Urgent), "the other lane is not affected");
    // The receiver acknowledges what it has taken, without a delay.
    mesh.deadlines();
    assert!(mesh.nodes[&id(1)].may_send(Lane::Events));
    for _ in 0..20 {
        fill(&mut mesh, 1);
        mesh.deadlines();
    }
    assert_eq!(mesh.nodes[&id(1)].counters().receivers_excluded, 0);
    let delivered = deliveries(&mesh.take(2)).len();
    assert_eq!(delivered as u64, mesh.nodes[&id(1)].position(Lane::Events));
}

#[test]
fn small_frames_are_acknowledged_before_they_fill_the_window() {
    let mut mesh = Mesh::of_two();
    for _ in 0..10_000 {
        assert!(mesh.nodes[&id(1)].may_send(Lane::Events), "the lane stays open without a delay");
        mesh.publish(1, 1);
        mesh.deadlines();
    }
}

#[test]
fn a_frozen_receiver_is_excluded_after_500_ms_and_the_others_go_on() {
    let mut mesh = Mesh::of_two();
    mesh.start(3, "c");
    mesh.cut(1, 3);
    // The congestion window of c closes the lane for a moment.
    assert_eq!(fill(&mut mesh, 1), (256 << 10) / 60_128 + 1);
    mesh.run(124);
    assert!(!mesh.nodes[&id(1)].may_send(Lane::Events));
    mesh.run(2);
    // Until c is excluded, its window closes the lane.
    let mut sent = 0;
    while mesh.nodes[&id(1)].may_send(Lane::Events) {
        sent += fill(&mut mesh, 1);
        mesh.deadlines();
    }
    assert!((4 << 20) - sent * 60_128 < 300 << 10, "{sent}");
    mesh.run(372);
    assert!(!mesh.nodes[&id(1)].may_send(Lane::Events));
    mesh.run(4);
    assert!(mesh.nodes[&id(1)].may_send(Lane::Events));
    assert_eq!(mesh.nodes[&id(1)].counters().receivers_excluded, 1);
    // From now on only b is waited for.
    for _ in 0..5 {
        fill(&mut mesh, 1);
        mesh.deadlines();
        assert!(mesh.nodes[&id(1)].may_send(Lane::Events));
    }
    // c returns before it has failed: it requests what it missed, and is active again.
    mesh.cut.clear();
    mesh.run(2_000);
    let seen = mesh.take(3);
    assert_eq!(deliveries(&seen).len() as u64, mesh.nodes[&id(1)].position(Lane::Events));
    assert!(!seen.iter().any(|output| matches!(output, Output::Gap(_))));
    mesh.cut(1, 3);
    fill(&mut mesh, 1);
    mesh.deadlines();
    assert!(!mesh.nodes[&id(1)].may_send(Lane::Events), "c is active again");
}

#[test]
fn a_lost_acknowledgement_is_repeated_after_the_next_heartbeat() {
    let mut mesh = Mesh::of_two();
    mesh.run(3_000);
    mesh.cut.push((id(2), id(1)));
    fill(&mut mesh, 1);
    mesh.deadlines();
    mesh.cut.clear();
    assert!(!mesh.nodes[&id(1)].may_send(Lane::Events));
    mesh.run(22);
    assert!(mesh.nodes[&id(1)].may_send(Lane::Events));
}

#[test]
fn a_receiver_that_leaves_is_not_waited_for() {
    let mut mesh = Mesh::of_two();
    mesh.cut(1, 2);
    fill(&mut mesh, 1);
    mesh.cut.clear();
    mesh.nodes.get_mut(&id(2)).unwrap().leave();
    mesh.carry();
    assert!(mesh.nodes[&id(1)].may_send(Lane::Events));
}

/// More is published than the sender may retransmit. A receiver that was away for a while would
/// trail the replay buffer of the sender forever.
#[test]
fn a_receiver_that_cannot_catch_up_goes_on_with_live_events() {
    let mut settings = Settings::default();
    settings.replay_bytes = 256 << 10;
    (settings.repair_rate, settings.repair_rate_per_peer) = (64 << 10, 64 << 10);
    (settings.reorder_bytes, settings.relay_bytes) = (64 << 10, 256 << 10);
    let mut mesh = Mesh::new();
    mesh.start_with(1, "a", settings.clone());
    mesh.start_with(3, "c", settings.clone());
    mesh.run(100);
    // 1 MB a second, for `lasting` milliseconds.
    let body = bytes::Bytes::from(vec![7; 1_000]);
    let stream = |mesh: &mut Mesh, lasting: u64| {
        for _ in 0..lasting {
            let node = mesh.nodes.get_mut(&id(1)).unwrap();
            let frame = node.send(at(mesh.now), Lane::Events, 1, body.clone()).unwrap();
            mesh.put(id(1), Destination::All, &frame);
            mesh.run(1);
        }
    };
    mesh.cut(1, 3);
    stream(&mut mesh, 2_000);
    mesh.cut.clear();
    stream(&mut mesh, 3_000);
    mesh.take(3);
    stream(&mut mesh, 1_000);
    let seen = mesh.take(3);
    let gaps = seen.iter().filter(|output| matches!(output, Output::Gap(_))).count();
    assert_eq!((deliveries(&seen).len(), gaps), (1_000, 0));
}

/// 64 MB/s: a million events of 64 bytes a second.
#[test]
fn an_hour_without_a_peer_at_full_rate_stays_within_the_bounds() {
    let mut mesh = Mesh::of_two();
    mesh.start(3, "c");
    mesh.run(100);
    let (body, settings) = (bytes::Bytes::from(vec![7; 256_000]), Settings::default());
    mesh.cut(1, 3);
    let (mut most, mut late) = (0, 0);
    for _ in 0..90_000 {
        mesh.now += 40;
        for _ in 0..10 {
            if !mesh.nodes[&id(1)].may_send(Lane::Events) {
                // b has everything, and acknowledges it.
                mesh.deadlines();
            }
            let node = mesh.nodes.get_mut(&id(1)).unwrap();
            late += u32::from(!node.may_send(Lane::Events));
            let frame = node.send(at(mesh.now), Lane::Events, 1_000, body.clone()).unwrap();
            mesh.put(id(1), Destination::All, &frame);
        }
        mesh.deadlines();
        mesh.seen.values_mut().for_each(Vec::clear);
        most = most.max(mesh.nodes[&id(1)].replay_bytes());
        assert!(mesh.nodes[&id(2)].relay_bytes() <= settings.relay_bytes);
    }
    assert!(most > settings.replay_bytes * 9 / 10 && most <= settings.replay_bytes, "{most}");
    // c keeps the lane closed for half a second, once.
    assert!(late <= 150, "{late}");
    assert_eq!(mesh.nodes[&id(1)].position(Lane::Events), 900_000_000);
}

/// A member that requests everything again and again gets no more than its share. Another member
/// gets what it misses at once.
#[test]
fn a_peer_that_requests_everything_leaves_the_others_their_share() {
    let mut settings = Settings::default();
    (settings.repair_rate, settings.repair_rate_per_peer) = (4 << 20, 1 << 20);
    let mut mesh = Mesh::of_two_with(settings);
    mesh.start(3, "c");
    for _ in 0..2_000 {
        mesh.publish(1, 1);
    }
    mesh.run(100);
    let node = mesh.nodes.get_mut(&id(1)).unwrap();
    let mut ask = |peer: u8, number: u64, ms: u64| {
        let lane = 1_u8;
        let body = rmp_serde::to_vec(&(6_u8, (lane, 1_u64, u64::MAX))).unwrap();
        let (to, kind) = (Some(id(1)), FrameKind::Control);
        let (incarnation, count) = (id(peer), 0);
        let frame =
            Frame { incarnation, to, kind, first: number, count, body: body.into(), wire: None };
        let before = node.counters().retransmitted_frames;
        node.handle_frame(at(mesh.now + ms), frame);
        while node.poll_output().is_some() {}
        node.counters().retransmitted_frames - before
    };
    // Frames of 132 bytes, 7,943 to a MiB. In two seconds: the whole bucket and what it earns,
    // except half of a second's worth. Without a bound it would be some 30 million.
    let greedy: u64 = (0..20_000).map(|n| ask(2, 10_000 + n, n / 10)).sum();
    assert!((70_000..80_000).contains(&greedy), "{greedy}");
    // Another member has its share at once, and half of the rest.
    let fair: u64 = (0..20).map(|n| ask(3, 10_000 + n, 2_000)).sum();
    assert!((7_900..16_000).contains(&fair), "{fair}");
    assert_eq!(ask(2, 90_000, 2_000), 0);
}

/// An attacker makes up any number of nodes. They are admitted at the stated rate, and the members
/// are not affected.
#[test]
fn a_flood_of_new_nodes_is_admitted_at_the_stated_rate() {
    let mut settings = Settings::default();
    (settings.admission_burst, settings.admission_rate) = (20, 10);
    let mut mesh = Mesh::of_two_with(settings.clone());
    let node = mesh.nodes.get_mut(&id(1)).unwrap();
    let now = mesh.now;
    for n in 0..1_000_u32 {
        let incarnation = Incarnation(std::array::from_fn(|i| (n >> (8 * (i % 4))) as u8 ^ 0xA5));
        let name: NodeName = format!("n{n}").parse().unwrap();
        let mut newcomer =
            Endpoint::new(Identity::new(name, incarnation, 1), settings.clone(), Time::default());
        while let Some(output) = newcomer.poll_output() {
            if let Output::Transmit { mut frame, .. } = output {
                frame.to = Some(id(1));
                node.handle_frame(at(now + u64::from(n)), frame);
            }
        }
    }
    let admitted = node.peer_count() - 1;
    assert!((20..=31).contains(&admitted), "{admitted} in a second");
    assert!(node.counters().admissions_deferred > 900);
}
