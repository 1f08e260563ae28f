//! Events that are lost, or missed while a link is cut, are retransmitted or reported missing.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod common;

use common::*;
use mailmesh_delivery::*;

#[test]
fn lost_frames_are_retransmitted_within_100_ms() {
    let mut mesh = Mesh::of_two();
    mesh.run(2_000);
    let lose = |mesh: &mut Mesh, count| {
        let a = mesh.nodes.get_mut(&id(1)).unwrap();
        a.send(at(mesh.now), Lane::Events, count, "lost".into()).unwrap();
    };
    lose(&mut mesh, 3);
    mesh.publish(1, 2);
    lose(&mut mesh, 4);
    mesh.run(100);
    let seen = mesh.take(2);
    assert_eq!(deliveries(&seen), [1, 4, 6]);
    assert!(!seen.iter().any(|output| matches!(output, Output::Gap(_))), "{seen:?}");
    let counters = (mesh.nodes[&id(2)].counters(), mesh.nodes[&id(1)].counters());
    assert_eq!((counters.0.naks, counters.1.retransmitted_frames), (2, 2));
}

#[test]
fn a_long_repair_continues_in_bursts_until_it_is_complete() {
    let mut mesh = Mesh::of_two();
    let body = bytes::Bytes::from(vec![7; 60_000]);
    for _ in 0..200 {
        let a = mesh.nodes.get_mut(&id(1)).unwrap();
        a.send(at(mesh.now), Lane::Events, 10, body.clone()).unwrap();
    }
    mesh.run(400);
    let seen = mesh.take(2);
    assert_eq!(deliveries(&seen), (0..200).map(|i| 1 + 10 * i).collect::<Vec<_>>());
}

#[test]
fn a_node_that_is_not_a_member_gets_no_retransmissions() {
    let mut mesh = Mesh::of_two();
    mesh.publish(1, 3);
    let identity = Identity::new("c".parse().unwrap(), id(3), 3);
    let mut c = Endpoint::new(identity, Settings::default(), at(0));
    let a = mesh.nodes.get_mut(&id(1)).unwrap();
    // A NAK in the name of c, which is not a member. Later the same NAK in the name of b, which is.
    let Some(Output::Transmit { frame, .. }) = c.poll_output() else { panic!() };
    let nak = Frame { body: vec![0x92, 6, 0x93, 1, 1, 3].into(), ..frame };
    a.handle_frame(at(1), nak.clone());
    assert!(a.poll_output().is_none());
    a.handle_frame(at(1), Frame { incarnation: id(2), first: 1_000, ..nak });
    assert!(matches!(a.poll_output(), Some(Output::Transmit { frame, .. }) if frame.first == 1));
}

#[test]
fn a_lost_tail_that_no_peer_has_is_reported_within_100_ms() {
    let mut mesh = Mesh::of_two_without_replay();
    mesh.run(2_000);
    mesh.take(2);
    mesh.nodes.get_mut(&id(1)).unwrap().send(at(mesh.now), Lane::Events, 7, "lost".into()).unwrap();
    mesh.run(100);
    let seen = mesh.take(2);
    assert!(matches!(
        seen[..],
        [Output::Gap(Gap { first: 1, missed: 7, reason: GapReason::Lost, .. })]
    ));
}

#[test]
fn a_peer_that_was_cut_off_gets_every_event_it_missed() {
    let mut mesh = Mesh::of_two();
    let seen = mesh.cut_b_off_while_a_publishes();
    assert_eq!(deliveries(&seen), (0..10).map(|i| 3 + 10 * i).collect::<Vec<_>>());
    assert!(!seen.iter().any(|output| matches!(output, Output::Gap(_))), "{seen:?}");
    mesh.publish(1, 1);
    assert_eq!(deliveries(&mesh.take(2)), [103]);
}
