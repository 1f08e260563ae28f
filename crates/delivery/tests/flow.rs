//! A sender does not run ahead of its receivers, nor wait for one that is frozen.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod common;

use common::*;
use mailmesh_delivery::*;

/// Publishes frames of 60 kB until the lane is closed.
fn fill(mesh: &mut Mesh, n: u8) -> usize {
    let body = bytes::Bytes::from(vec![7; 60_000]);
    let mut sent = 0;
    while mesh.nodes[&id(n)].is_open(Lane::Events) {
        let node = mesh.nodes.get_mut(&id(n)).unwrap();
        let frame = node.send(at(mesh.now), Lane::Events, 1, body.clone()).unwrap();
        mesh.put(id(n), Destination::All, &frame);
        sent += 1;
        assert!(sent < 1_000, "the lane is never closed");
    }
    sent
}

#[test]
fn a_lane_closes_a_window_ahead_and_opens_as_receivers_confirm() {
    let mut mesh = Mesh::of_two();
    let sent = fill(&mut mesh, 1);
    assert_eq!(sent, (4 << 20) / 60_096 + 1);
    assert!(mesh.nodes[&id(1)].is_open(Lane::Urgent), "the other lane does not notice");
    // What was taken is confirmed; no time need pass.
    mesh.deadlines();
    assert!(mesh.nodes[&id(1)].is_open(Lane::Events));
    for _ in 0..20 {
        fill(&mut mesh, 1);
        mesh.deadlines();
    }
    assert_eq!(mesh.nodes[&id(1)].counters().set_aside, 0);
    let delivered = deliveries(&mesh.take(2)).len();
    assert_eq!(delivered as u64, mesh.nodes[&id(1)].position(Lane::Events));
}

#[test]
fn a_frozen_receiver_is_set_aside_after_half_a_second_and_the_others_go_on() {
    let mut mesh = Mesh::of_two();
    mesh.start(3, "c");
    mesh.cut(1, 3);
    fill(&mut mesh, 1);
    mesh.run(498);
    assert!(!mesh.nodes[&id(1)].is_open(Lane::Events));
    mesh.run(4);
    assert!(mesh.nodes[&id(1)].is_open(Lane::Events));
    assert_eq!(mesh.nodes[&id(1)].counters().set_aside, 1);
    // From now on only b is waited for.
    for _ in 0..5 {
        fill(&mut mesh, 1);
        mesh.deadlines();
        assert!(mesh.nodes[&id(1)].is_open(Lane::Events));
    }
    // c is back before it has failed: it asks for all it missed, and is waited for again.
    mesh.cut.clear();
    mesh.run(2_000);
    let seen = mesh.take(3);
    assert_eq!(deliveries(&seen).len() as u64, mesh.nodes[&id(1)].position(Lane::Events));
    assert!(!seen.iter().any(|output| matches!(output, Output::Gap(_))));
    mesh.cut(1, 3);
    fill(&mut mesh, 1);
    mesh.deadlines();
    assert!(!mesh.nodes[&id(1)].is_open(Lane::Events), "c is active again");
}

#[test]
fn a_receiver_that_leaves_is_not_waited_for() {
    let mut mesh = Mesh::of_two();
    mesh.cut(1, 2);
    fill(&mut mesh, 1);
    mesh.cut.clear();
    mesh.nodes.get_mut(&id(2)).unwrap().leave();
    mesh.carry();
    assert!(mesh.nodes[&id(1)].is_open(Lane::Events));
}

/// 64 MB/s: a million events of 64 bytes a second.
#[test]
fn a_peer_that_is_gone_for_an_hour_at_full_rate_costs_what_the_bounds_say() {
    let mut mesh = Mesh::of_two();
    mesh.start(3, "c");
    mesh.run(100);
    let (body, settings) = (bytes::Bytes::from(vec![7; 256_000]), Settings::default());
    mesh.cut(1, 3);
    let (mut most, mut late) = (0, 0);
    for _ in 0..90_000 {
        mesh.now += 40;
        for _ in 0..10 {
            let node = mesh.nodes.get_mut(&id(1)).unwrap();
            late += u32::from(!node.is_open(Lane::Events));
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
