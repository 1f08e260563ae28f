//! Membership: peers join, fail, return and leave, and two nodes share one name.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod common;

use common::*;
use mailmesh_delivery::*;

#[test]
fn two_nodes_join_and_deliver_in_both_directions() {
    let mut mesh = Mesh::new();
    mesh.start(1, "a");
    mesh.start(2, "b");
    for n in [1, 2] {
        let seen = mesh.take(n);
        assert_eq!(seen.len(), 1, "{seen:?}");
        assert!(matches!(&seen[0], Output::Joined(peer) if peer.incarnation == id(3 - n)));
    }
    mesh.publish(1, 3);
    mesh.publish(2, 1);
    assert_eq!(deliveries(&mesh.take(2)), [1]);
    assert_eq!(deliveries(&mesh.take(1)), [1]);
}

#[test]
fn a_late_joiner_starts_at_the_current_position() {
    let mut mesh = Mesh::of_two();
    mesh.publish(1, 5);
    mesh.start(3, "c");
    mesh.publish(1, 1);
    let seen = mesh.take(3);
    assert_eq!(deliveries(&seen), [6]);
    assert!(!seen.iter().any(|output| matches!(output, Output::Gap(_))));
}

#[test]
fn events_that_overtake_the_introduction_are_delivered_after_it() {
    let mut mesh = Mesh::new();
    mesh.start(1, "a");
    let identity = Identity::new("b".parse().unwrap(), id(2), 2);
    let mut b = Endpoint::new(identity, Settings::default(), at(0));
    let Some(Output::Transmit { frame: hello, .. }) = b.poll_output() else { panic!() };
    let data = b.send(at(0), Lane::Events, 2, "body".into()).unwrap();
    let a = mesh.nodes.get_mut(&id(1)).unwrap();
    a.handle_frame(at(1), data);
    // A broadcast does not prove that its sender is alive, so `a` asks for a proof.
    a.handle_frame(at(2), hello);
    let answer_from_a = std::iter::from_fn(|| a.poll_output()).find_map(|output| match output {
        Output::Transmit { to: Destination::One(to), frame } if to == id(2) => Some(frame),
        _ => None,
    });
    assert_eq!((a.peer_count(), a.counters().unproven_introductions), (0, 1));
    b.handle_frame(at(3), answer_from_a.unwrap());
    let answer = std::iter::from_fn(|| b.poll_output()).find_map(|output| match output {
        Output::Transmit { frame, .. } if frame.to == Some(id(1)) => Some(frame),
        _ => None,
    });
    mesh.nodes.get_mut(&id(1)).unwrap().handle_frame(at(4), answer.unwrap());
    mesh.carry();
    let seen = mesh.take(1);
    assert!(matches!(seen[0], Output::Joined(_)));
    assert_eq!(deliveries(&seen), [1]);
}

#[test]
fn a_recorded_incarnation_does_not_join_a_node_that_started_later() {
    let mut mesh = Mesh::of_two();
    mesh.record = true;
    mesh.publish(1, 3);
    mesh.run(3_000);
    mesh.publish(1, 2);
    let recorded = std::mem::take(&mut mesh.recorded);
    assert!(recorded.iter().any(|frame| frame.to.is_none() && frame.kind == FrameKind::Control));
    assert!(recorded.iter().any(|frame| frame.to.is_some()));
    mesh.nodes.remove(&id(1));
    mesh.nodes.remove(&id(2));
    mesh.start(3, "c");
    for frame in recorded {
        let c = mesh.nodes.get_mut(&id(3)).unwrap();
        c.handle_frame(at(mesh.now), frame);
        mesh.run(10);
    }
    assert_eq!((mesh.take(3), mesh.nodes[&id(3)].peer_count()), (Vec::new(), 0));
    let counters = mesh.nodes[&id(3)].counters();
    assert!(counters.unproven_introductions > 0 && counters.misdirected > 0, "{counters:?}");
}

#[test]
fn a_goodbye_is_known_at_once() {
    let mut mesh = Mesh::of_two();
    mesh.publish(1, 1);
    mesh.nodes.get_mut(&id(1)).unwrap().leave();
    mesh.carry();
    let seen = mesh.take(2);
    assert_eq!(deliveries(&seen), [1]);
    assert_eq!(left(&seen), [(id(1), LeaveReason::Bye)]);
    let a = mesh.nodes.get_mut(&id(1)).unwrap();
    assert_eq!(a.next_deadline(), None);
    assert_eq!(a.send(at(1), Lane::Events, 1, "x".into()), Err(DeliveryError::HasLeft));
}

#[test]
fn a_goodbye_that_overtakes_events_waits_for_them_or_reports_a_gap() {
    let mut mesh = Mesh::of_two();
    let a = mesh.nodes.get_mut(&id(1)).unwrap();
    let frame = a.send(at(0), Lane::Events, 4, "body".into()).unwrap();
    a.leave();
    mesh.carry();
    assert_eq!(left(&mesh.take(2)), []);
    mesh.put(id(1), Destination::All, &frame);
    mesh.carry();
    let seen = mesh.take(2);
    assert_eq!((deliveries(&seen), left(&seen)), (vec![1], vec![(id(1), LeaveReason::Bye)]));

    let mut mesh = Mesh::of_two();
    let a = mesh.nodes.get_mut(&id(1)).unwrap();
    a.send(at(0), Lane::Events, 4, "lost".into()).unwrap();
    a.leave();
    mesh.run(60);
    let seen = mesh.take(2);
    assert!(matches!(seen[0], Output::Gap(Gap { first: 1, missed: 4, .. })), "{seen:?}");
    assert_eq!(left(&seen), [(id(1), LeaveReason::Bye)]);
}

#[test]
fn a_silent_peer_fails_after_3_s_and_its_return_reports_the_gap() {
    let mut mesh = Mesh::of_two_without_replay();
    let seen = mesh.cut_b_off_while_a_publishes();
    let gap = Gap {
        from: id(1),
        lane: Lane::Events,
        first: 3,
        missed: 100,
        reason: GapReason::Unreachable,
    };
    assert_eq!(seen[1], Output::Gap(gap));
    mesh.publish(1, 1);
    assert_eq!(deliveries(&mesh.take(2)), [103]);
}

#[test]
fn a_closed_link_causes_a_probe_and_only_a_dead_peer_fails_in_500_ms() {
    let mut mesh = Mesh::of_two();
    let link_down = |mesh: &mut Mesh| {
        let now = at(mesh.now);
        mesh.nodes.get_mut(&id(2)).unwrap().handle_link(now, id(1), Link::Down);
        mesh.carry();
    };
    link_down(&mut mesh);
    mesh.run(700);
    assert_eq!(left(&mesh.take(2)), []);
    mesh.nodes.remove(&id(1));
    link_down(&mut mesh);
    mesh.run(499);
    assert_eq!(left(&mesh.take(2)), []);
    mesh.run(1);
    assert_eq!(left(&mesh.take(2)), [(id(1), LeaveReason::Failed)]);
}

#[test]
fn a_restart_replaces_the_old_incarnation_without_a_conflict() {
    let mut mesh = Mesh::of_two();
    mesh.publish(1, 3);
    mesh.nodes.remove(&id(1));
    mesh.start(3, "a");
    mesh.publish(3, 1);
    mesh.run(600);
    let seen = mesh.take(2);
    assert_eq!(left(&seen), [(id(1), LeaveReason::Replaced)]);
    assert_eq!(deliveries(&seen), [1, 1]);
    assert!(!seen.iter().any(|output| matches!(output, Output::NameConflict(_))), "{seen:?}");
}

#[test]
fn every_node_reports_a_name_conflict_and_the_younger_node_loses() {
    let mut mesh = Mesh::of_two();
    mesh.start(3, "a");
    mesh.run(1_500);
    for n in [1, 2, 3] {
        let seen = mesh.take(n);
        let conflict = seen.iter().find_map(|output| match output {
            Output::NameConflict(conflict) => Some(conflict.clone()),
            _ => None,
        });
        let conflict = conflict.unwrap_or_else(|| panic!("node {n} saw no conflict: {seen:?}"));
        assert_eq!((conflict.winner, conflict.loser), (id(1), id(3)));
        assert_eq!(left(&seen), []);
    }
}

/// The elder node has no established peers, because it was cut off.
#[test]
fn the_node_that_works_with_more_peers_wins_a_name_conflict() {
    for works_for in [6_000, 60_000] {
        let mut mesh = Mesh::of_two();
        mesh.start(3, "c");
        mesh.run(1_000);
        mesh.cut = [2, 3, 4].iter().flat_map(|n| [(id(1), id(*n)), (id(*n), id(1))]).collect();
        mesh.run(6_000);
        mesh.start(4, "a");
        mesh.run(works_for);
        (1..=4).for_each(|n| drop(mesh.take(n)));
        mesh.cut.clear();
        mesh.run(3_000);
        for n in [1, 4] {
            let seen = mesh.take(n);
            let conflicts = seen.iter().filter_map(|output| match output {
                Output::NameConflict(conflict) => Some((conflict.winner, conflict.loser)),
                _ => None,
            });
            let conflicts: Vec<_> = conflicts.collect();
            assert!(!conflicts.is_empty(), "node {n} saw no conflict");
            assert!(conflicts.iter().all(|both| *both == (id(4), id(1))), "{conflicts:?}");
        }
    }
}

#[test]
fn the_goodbye_of_a_conflict_loser_names_the_winner() {
    let mut mesh = Mesh::of_two();
    // `c` hears nothing from the elder node, so only the goodbye can name the winner.
    mesh.start(4, "c");
    mesh.cut = vec![(id(1), id(4))];
    mesh.start(3, "a");
    mesh.run(1_500);
    mesh.take(4);
    mesh.nodes.get_mut(&id(3)).unwrap().leave();
    mesh.carry();
    let seen = mesh.take(4);
    let name = "a".parse().unwrap();
    assert_eq!(seen[0], Output::NameConflict(NameConflict { name, winner: id(1), loser: id(3) }));
    assert_eq!(left(&seen), [(id(3), LeaveReason::Bye)]);
}

#[test]
fn a_late_hello_of_an_ended_incarnation_is_no_name_conflict() {
    let mut mesh = Mesh::new();
    mesh.start(2, "b");
    // `b` does not know the first incarnation, which ended. Its hello arrives late.
    let identity = Identity::new("a".parse().unwrap(), id(1), 1);
    let mut ended = Endpoint::new(identity, Settings::default(), at(0));
    let Some(Output::Transmit { frame: late, .. }) = ended.poll_output() else { panic!() };
    mesh.start(3, "a");
    mesh.put(id(1), Destination::All, &late);
    mesh.run(4_000);
    for n in [2, 3] {
        let seen = mesh.take(n);
        assert!(!seen.iter().any(|output| matches!(output, Output::NameConflict(_))), "{seen:?}");
    }
    assert_eq!(mesh.nodes[&id(2)].peer_count(), 1);
    // The goodbye of an unknown node ends its incarnation for good. No later hello revives it.
    ended.leave();
    let Some(Output::Transmit { frame: bye, .. }) = ended.poll_output() else { panic!() };
    let identity = Identity::new("d".parse().unwrap(), id(5), 5);
    let mut fresh = Endpoint::new(identity, Settings::default(), at(mesh.now));
    fresh.handle_frame(at(mesh.now), bye);
    fresh.handle_frame(at(mesh.now), late);
    assert_eq!(fresh.peer_count(), 0);
}

#[test]
fn a_late_event_of_a_dead_node_of_the_same_name_is_no_conflict() {
    let mut mesh = Mesh::of_two();
    let a = mesh.nodes.get_mut(&id(1)).unwrap();
    let in_flight = a.send(at(0), Lane::Events, 1, "late".into()).unwrap();
    mesh.nodes.remove(&id(1));
    mesh.start(3, "a");
    mesh.put(id(1), Destination::All, &in_flight);
    mesh.run(1_500);
    let seen = mesh.take(2);
    assert_eq!(deliveries(&seen), [1]);
    assert_eq!(left(&seen), [(id(1), LeaveReason::Replaced)]);
    assert!(!seen.iter().any(|output| matches!(output, Output::NameConflict(_))), "{seen:?}");
}

#[test]
fn direct_messages_are_delivered_once_and_tags_are_reported() {
    let mut mesh = Mesh::of_two();
    mesh.nodes.get_mut(&id(1)).unwrap().set_tag("digest".into());
    let a = mesh.nodes.get_mut(&id(1)).unwrap();
    a.send_direct(id(2), "hi".into()).unwrap();
    let Some(Output::Transmit { to, frame }) = a.poll_output() else { panic!() };
    mesh.put(id(1), to, &frame);
    mesh.put(id(1), to, &frame);
    mesh.run(1_100);
    let seen = std::mem::take(mesh.seen.get_mut(&id(2)).unwrap());
    let directs = seen.iter().filter(|o| matches!(o, Output::Direct { body, .. } if body == "hi"));
    assert_eq!(directs.count(), 1);
    assert!(seen.iter().any(|o| matches!(o, Output::Tag { tag, .. } if tag == "digest")));
    let b = &mesh.nodes[&id(2)];
    assert_eq!(b.counters().replays_rejected, 1);
    let result = mesh.nodes.get_mut(&id(1)).unwrap().send_direct(id(9), "hi".into());
    assert_eq!(result, Err(DeliveryError::NotAMember));
}

/// Long messages queue behind events, and control messages overtake them.
#[test]
fn a_long_message_is_delivered_once_though_short_ones_overtake_it() {
    let mut mesh = Mesh::of_two();
    let direct = |mesh: &mut Mesh, len: usize| {
        let a = mesh.nodes.get_mut(&id(1)).unwrap();
        a.send_direct(id(2), vec![7; len].into()).unwrap();
        let Some(Output::Transmit { to, frame }) = a.poll_output() else { panic!() };
        (to, frame)
    };
    let (to, late) = direct(&mut mesh, 20_000);
    for _ in 0..3_000 {
        let (to, short) = direct(&mut mesh, 10);
        mesh.put(id(1), to, &short);
    }
    let (_, next) = direct(&mut mesh, 20_000);
    for frame in [&late, &next, &late, &next] {
        mesh.put(id(1), to, frame);
    }
    mesh.run(1);
    let seen = mesh.take(2);
    let long = |o: &&Output| matches!(o, Output::Direct { body, .. } if body.len() == 20_000);
    assert_eq!(seen.iter().filter(long).count(), 2);
    assert_eq!(mesh.nodes[&id(2)].counters().replays_rejected, 2);
}

#[test]
fn peers_past_the_limit_are_refused_and_counted() {
    let mut mesh = Mesh::new();
    let mut settings = Settings::default();
    settings.max_peers = 1;
    let identity = Identity::new("a".parse().unwrap(), id(1), 1);
    mesh.nodes.insert(id(1), Endpoint::new(identity, settings, at(0)));
    mesh.seen.insert(id(1), Vec::new());
    mesh.start(2, "b");
    mesh.start(3, "c");
    assert_eq!(mesh.nodes[&id(1)].peer_count(), 1);
    assert!(mesh.nodes[&id(1)].counters().too_many_peers > 0);
}

#[test]
fn a_goodbye_with_impossible_positions_is_malformed() {
    let mut mesh = Mesh::of_two();
    // [BYE, [[u64::MAX, 0]]]
    let mut body = vec![0x92, 3, 0x91, 0x92, 0xcf];
    body.extend([0xff; 8]);
    body.push(0);
    let frame = Frame {
        to: None,
        incarnation: id(1),
        kind: FrameKind::Control,
        first: 50,
        count: 0,
        body: body.into(),
        wire: None,
    };
    mesh.put(id(1), Destination::All, &frame);
    mesh.nodes.remove(&id(1));
    mesh.run(4_000);
    assert_eq!(left(&mesh.take(2)), [(id(1), LeaveReason::Failed)]);
    assert_eq!(mesh.nodes[&id(2)].counters().malformed, 1);
}

#[test]
fn event_numbers_near_the_maximum_do_not_overflow_a_counter() {
    let mut mesh = Mesh::of_two();
    mesh.start(3, "c");
    for n in [1, 3] {
        let frame = Frame {
            to: None,
            incarnation: id(n),
            kind: FrameKind::Data(Lane::Events),
            first: u64::MAX - 10,
            count: 5,
            body: "x".into(),
            wire: None,
        };
        mesh.put(id(n), Destination::All, &frame);
        mesh.nodes.remove(&id(n));
    }
    mesh.run(4_000);
    assert_eq!(mesh.nodes[&id(2)].counters().missed, u64::MAX);
}

#[test]
fn a_node_that_thaws_after_it_was_replaced_is_heard_again() {
    let mut mesh = Mesh::of_two();
    mesh.publish(1, 1);
    let frozen = mesh.nodes.remove(&id(1)).unwrap();
    mesh.start(3, "a");
    mesh.run(700);
    assert_eq!(left(&mesh.take(2)), [(id(1), LeaveReason::Replaced)]);
    // The frozen node thaws, and the younger one leaves.
    mesh.nodes.insert(id(1), frozen);
    mesh.run(1_500);
    mesh.nodes.get_mut(&id(3)).unwrap().leave();
    mesh.carry();
    mesh.take(2);
    mesh.publish(1, 1);
    assert_eq!(deliveries(&mesh.take(2)), [2]);
    assert_eq!(mesh.nodes[&id(2)].peer_count(), 1);
}

#[test]
fn a_recorded_heartbeat_does_not_revive_a_failed_peer() {
    let mut mesh = Mesh::of_two();
    let a = mesh.nodes.get_mut(&id(1)).unwrap();
    a.handle_deadline(at(1_200));
    let recorded = std::iter::from_fn(|| a.poll_output()).find_map(|output| match output {
        Output::Transmit { to: Destination::All, frame } => Some(frame),
        _ => None,
    });
    let recorded = recorded.unwrap();
    mesh.put(id(1), Destination::All, &recorded);
    mesh.nodes.remove(&id(1));
    mesh.run(4_000);
    assert_eq!(left(&mesh.take(2)), [(id(1), LeaveReason::Failed)]);
    for _ in 0..3 {
        mesh.put(id(1), Destination::All, &recorded);
        mesh.run(100);
    }
    assert_eq!(mesh.take(2), []);
}
