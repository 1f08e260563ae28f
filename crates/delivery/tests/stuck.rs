//! Isolation of peers: one peer's behaviour or reports must not delay or lose the events of others.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod common;

use common::*;
use mailmesh_delivery::*;

fn mesh_of(names: &[&str], settings: Settings) -> Mesh {
    let mut mesh = Mesh::new();
    for (n, name) in (1..).zip(names) {
        mesh.start_with(n, name, settings.clone());
    }
    (1..=names.len()).for_each(|n| drop(mesh.take(n as u8)));
    mesh
}

fn publish_large(mesh: &mut Mesh, n: u8, body: &bytes::Bytes) {
    let node = mesh.nodes.get_mut(&id(n)).unwrap();
    let frame = node.send(at(mesh.now), Lane::Events, 1, body.clone()).unwrap();
    mesh.put(id(n), Destination::All, &frame);
    mesh.carry();
}

fn missed(outputs: &[Output]) -> Vec<(u64, u64)> {
    let of = |output: &Output| match output {
        Output::Gap(gap) => Some((gap.first, gap.missed)),
        _ => None,
    };
    outputs.iter().filter_map(of).collect()
}

/// `b` hears no node until it queries all of them, `a` included, about whether `a` is alive.
fn b_has_queried_a_about_itself() -> Mesh {
    let mut settings = Settings::default();
    settings.replay_bytes = 0;
    let mut mesh = mesh_of(&["a", "b", "c"], settings);
    mesh.publish(1, 1);
    mesh.run(3_000);
    mesh.cut = vec![(id(1), id(2)), (id(3), id(2))];
    // `b` queries `failure_timeout - peer_query_timeout` after the last heartbeat, to the
    // millisecond.
    let heard = mesh.nodes[&id(2)].peers().find(|p| p.incarnation == id(1)).unwrap().last_heard;
    let queries_at = heard.elapsed().as_millis() as u64 + 2_700;
    while mesh.now + 1 < queries_at {
        mesh.run(1);
    }
    mesh.cut.clear();
    mesh.run(3_000);
    mesh.take(2);
    mesh
}

#[test]
fn a_sender_that_was_queried_about_itself_is_no_repair_source() {
    let mut mesh = b_has_queried_a_about_itself();
    mesh.cut = vec![(id(1), id(2)), (id(1), id(3))];
    mesh.publish(1, 1);
    mesh.cut.clear();
    mesh.publish(1, 1);
    mesh.run(200);
    assert_eq!(missed(&mesh.take(2)), [(2, 1)]);
}

#[test]
fn an_unfilled_hole_loses_no_other_events() {
    let mut settings = Settings::default();
    settings.replay_bytes = 64 << 20;
    let mut mesh = mesh_of(&["a", "b"], settings);
    let body = bytes::Bytes::from(vec![7; 10_000]);
    // `b` requests the first event in vain, because retransmissions to `b` are lost.
    mesh.cut = vec![(id(1), id(2))];
    publish_large(&mut mesh, 1, &body);
    mesh.cut.clear();
    mesh.deaf_to_repair = Some(id(2));
    for _ in 0..480 {
        publish_large(&mut mesh, 1, &body);
        mesh.run(10);
    }
    mesh.run(300);
    mesh.deaf_to_repair = None;
    mesh.run(3_000);
    let seen = mesh.take(2);
    assert_eq!(missed(&seen), [(1, 1)], "dropped frames are requested later");
    assert_eq!(deliveries(&seen).len(), 480);
}

#[test]
fn a_repair_source_that_lacked_an_event_is_asked_once_it_has_it() {
    for goodbye in [true, false] {
        let mut mesh = mesh_of(&["a", "b", "c", "d"], Settings::default());
        mesh.publish(1, 2);
        mesh.run(2_000);
        mesh.cut(2, 4);
        mesh.run(5_000);
        (1..=4).for_each(|n| drop(mesh.take(n)));
        // The last events of `a` reach only `d`, which `b` does not hear.
        mesh.cut.extend([(id(1), id(2)), (id(1), id(3))]);
        mesh.publish(1, 3);
        mesh.cut.retain(|cut| cut.0 != id(1));
        if goodbye {
            mesh.nodes.get_mut(&id(1)).unwrap().leave();
            mesh.carry();
        }
        mesh.nodes.remove(&id(1));
        mesh.run(10_000);
        for n in [2, 3, 4] {
            let seen = mesh.take(n);
            assert_eq!((deliveries(&seen), missed(&seen)), (vec![3], vec![]), "{n}, {goodbye}");
        }
    }
}

/// `b` acknowledges `events` events of `a` every 400 ms. Each frame of `a` has 60 kB and 1,000
/// events. Returns the frames that `a` sends in 30 s.
fn sent_while_b_acknowledges(events: u64) -> usize {
    let mut mesh = mesh_of(&["a", "b", "c"], Settings::default());
    mesh.nodes.remove(&id(2));
    let body = bytes::Bytes::from(vec![7; 60_000]);
    let (mut sent, mut acked) = (0, 0_u64);
    for round in 0..75 {
        acked += events;
        let mut ack = vec![0x92, 8, 0x91, 0x92, 0, 0xce];
        ack.extend((acked as u32).to_be_bytes());
        let (kind, body_of_ack) = (FrameKind::Control, ack.into());
        let first = 1_000_000 + round;
        let frame = Frame {
            incarnation: id(2),
            to: None,
            kind,
            first,
            count: 0,
            body: body_of_ack,
            wire: None,
        };
        mesh.nodes.get_mut(&id(1)).unwrap().handle_frame(at(mesh.now), frame);
        for _ in 0..400 {
            for _ in 0..10 {
                if mesh.nodes[&id(1)].may_send(Lane::Events) {
                    let node = mesh.nodes.get_mut(&id(1)).unwrap();
                    let frame = node.send(at(mesh.now), Lane::Events, 1_000, body.clone()).unwrap();
                    mesh.put(id(1), Destination::All, &frame);
                    mesh.seen.values_mut().for_each(Vec::clear);
                    sent += 1;
                }
            }
            mesh.deadlines();
            mesh.run(1);
        }
    }
    sent
}

#[test]
fn a_receiver_that_acknowledges_a_trickle_does_not_block_the_others() {
    for events in [1, 1_000] {
        let sent = sent_while_b_acknowledges(events);
        assert!(sent > 10_000, "{sent} frames while b acknowledges {events} events every 400 ms");
    }
}

#[test]
fn an_oversized_introduction_is_not_kept() {
    let identity = Identity::new("a".parse().unwrap(), id(1), 1);
    let mut node = Endpoint::new(identity, Settings::default(), at(0));
    let padding = bytes::Bytes::from(vec![7; 250_000]);
    let mut body = vec![0x93, 1, 0x95, 1, 0xa1, b'h', 1, 0x92, 0, 0, 0xc4, 0, 0xc6];
    body.extend(250_000_u32.to_be_bytes());
    body.extend(&padding);
    let wire = bytes::Bytes::from(body.clone());
    let (kind, incarnation) = (FrameKind::Control, id(2));
    let frame = |to, first| Frame {
        to,
        incarnation,
        kind,
        first,
        count: 0,
        body: body.clone().into(),
        wire: Some(wire.clone()),
    };
    // The sender proves that it is alive, then broadcasts a status that may be relayed.
    node.handle_frame(at(1), frame(Some(id(1)), 1));
    node.handle_frame(at(2), frame(None, 2));
    assert_eq!(node.peer_count(), 1);
    while node.poll_output().is_some() {}
    assert!(wire.is_unique(), "no part of the frame is kept");
}

#[test]
fn a_recorded_relay_message_keeps_no_peer_alive() {
    let mut mesh = mesh_of(&["a", "b", "c"], Settings::default());
    mesh.publish(1, 1);
    mesh.run(1_000);
    // `c` hears `a` through `b`, and an attacker records what `b` relays.
    mesh.cut(1, 3);
    for _ in 0..300 {
        mesh.publish(1, 1);
        mesh.run(10);
    }
    let (via, frame) = mesh.relayed.last().unwrap().clone();
    assert_eq!((via.peer, frame.incarnation), (id(2), id(1)));
    mesh.cut.clear();
    mesh.run(3_000);
    mesh.take(3);
    mesh.nodes.remove(&id(2));
    for _ in 0..20 {
        mesh.nodes.get_mut(&id(3)).unwrap().handle_relayed(at(mesh.now), via, frame.clone());
        mesh.run(400);
    }
    assert_eq!(left(&mesh.take(3)), [(id(2), LeaveReason::Failed)]);
}

#[test]
fn a_late_digest_does_not_make_a_departed_peer_a_repair_source() {
    let mut settings = Settings::default();
    settings.replay_bytes = 0;
    let mut mesh = mesh_of(&["a", "b", "c"], settings);
    mesh.cut = vec![(id(1), id(3))];
    mesh.publish(1, 1);
    // The goodbye of `b` overtakes its last heartbeat, which reports that event. An event of `b` is
    // lost, so that `c` queries the others before `b` leaves.
    mesh.now += 500;
    let b = mesh.nodes.get_mut(&id(2)).unwrap();
    b.handle_deadline(at(mesh.now));
    let mut late = Vec::new();
    while let Some(output) = b.poll_output() {
        if let Output::Transmit { to: Destination::All, frame } = output {
            late.push(frame);
        }
    }
    assert_eq!(late.len(), 1, "the heartbeat of b");
    b.send(at(mesh.now), Lane::Events, 1, "lost".into()).unwrap();
    b.leave();
    mesh.carry();
    mesh.put(id(2), Destination::One(id(3)), &late[0]);
    mesh.nodes.remove(&id(2));
    mesh.cut.clear();
    mesh.run(1_500);
    let seen = mesh.take(3);
    assert_eq!(left(&seen), [(id(2), LeaveReason::Bye)]);
    assert_eq!(missed(&seen), [(1, 1), (1, 1)], "one gap of `b` and one of `a`: {seen:?}");
}

#[test]
fn a_request_replayed_to_another_node_gets_no_answer() {
    let mut mesh = mesh_of(&["a", "b", "c"], Settings::default());
    mesh.cut = vec![(id(2), id(3))];
    mesh.publish(2, 3);
    mesh.cut.clear();
    // `c` detects the hole when the next event arrives, and asks `b`.
    let now = at(mesh.now);
    let next = mesh.nodes.get_mut(&id(2)).unwrap().send(now, Lane::Events, 1, "x".into()).unwrap();
    let c = mesh.nodes.get_mut(&id(3)).unwrap();
    c.handle_frame(now, next);
    c.handle_deadline(at(mesh.now + 2));
    let mut requests = Vec::new();
    while let Some(output) = c.poll_output() {
        if let Output::Transmit { to: Destination::One(_), frame } = output {
            requests.push(frame);
        }
    }
    assert_eq!(requests.len(), 1, "the request of c");
    // An attacker replays the request to `a`, which has sent nothing yet. If `a` answered that it
    // no longer has these events, `c` would not wait for them later.
    let a = mesh.nodes.get_mut(&id(1)).unwrap();
    let request = requests.remove(0);
    a.handle_frame(now, request.clone());
    assert_eq!(a.counters().misdirected, 1);
    // The same holds for frames that are not sealed for one node, as in an open mesh.
    a.handle_frame(now, Frame { to: None, ..request });
    assert!(!std::iter::from_fn(|| a.poll_output()).any(|o| matches!(o, Output::Transmit { .. })));
    assert_eq!(a.counters().malformed, 1);
}
