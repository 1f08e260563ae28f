//! Repair and relay between peers: events that a node cannot get from their sender come from
//! another peer.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::*;
use mailmesh_delivery::*;

/// Starts the nodes `a`, `b` and `c`, which know each other.
fn of_three() -> Mesh {
    let mut mesh = Mesh::new();
    for (n, name) in [(1, "a"), (2, "b"), (3, "c")] {
        mesh.start(n, name);
    }
    for n in 1..=3 {
        mesh.take(n);
    }
    mesh
}

fn numbers(seen: &[Output]) -> Vec<u64> {
    let mut numbers = Vec::new();
    for output in seen {
        if let Output::Deliver { first, count, .. } = output {
            numbers.extend(*first..first + u64::from(*count));
        }
    }
    numbers
}

fn reaches(seen: &[Output]) -> Vec<Reach> {
    let reach = |output: &Output| match output {
        Output::Reach { reach, .. } => Some(*reach),
        _ => None,
    };
    seen.iter().filter_map(reach).collect()
}

#[test]
fn a_node_relays_no_frame_that_is_addressed_to_it_alone() {
    let mut mesh = of_three();
    mesh.publish(1, 1);
    mesh.run(1_000);
    mesh.cut(1, 3);
    mesh.run(2_000);
    // An opening link causes a hello that is addressed to `b` alone.
    let a = mesh.nodes.get_mut(&id(1)).unwrap();
    a.handle_link(at(mesh.now), id(2), Link::Up);
    mesh.run(1_000);
    assert!(mesh.nodes[&id(2)].counters().relayed_frames > 0);
    assert_eq!(mesh.nodes[&id(3)].counters().malformed, 0);
}

#[test]
fn two_nodes_that_do_not_hear_each_other_miss_nothing_and_stay_members() {
    let mut mesh = of_three();
    mesh.publish(1, 1);
    mesh.run(1_000);
    mesh.cut(1, 3);
    let (mut sent, mut slowest) = (1, 0);
    for ms in 0..20_000 {
        if ms % 10 == 0 {
            mesh.publish(1, 1);
            mesh.publish(3, 1);
            sent += 1;
        }
        mesh.run(1);
        let has_delivered = mesh.nodes[&id(3)].peer_position(id(1), Lane::Events).unwrap();
        slowest = slowest.max((sent - has_delivered) * 10);
        // After the first second, `b` relays each event at once.
        assert!(ms < 1_000 || has_delivered == sent, "{has_delivered} of {sent} at {ms} ms");
    }
    assert!((100..=700).contains(&slowest), "{slowest} ms");
    for (n, other) in [(1, 3), (3, 1)] {
        assert_eq!(
            mesh.nodes[&id(n)].peer_position(id(other), Lane::Events).unwrap() + u64::from(n == 1),
            sent
        );
        let seen = mesh.take(n);
        assert_eq!((left(&seen), gaps(&seen)), (vec![], vec![]));
        assert_eq!(reaches(&seen), [Reach::Relayed { via: id(2) }]);
    }
    let relayed = mesh.nodes[&id(2)].counters().relayed_frames;
    mesh.cut.clear();
    mesh.run(1_100);
    assert_eq!(reaches(&mesh.take(3)), [Reach::Direct]);
    let after = mesh.nodes[&id(2)].counters().relayed_frames;
    for _ in 0..100 {
        mesh.publish(1, 1);
        mesh.run(1);
    }
    assert!(after - relayed < 20, "b continues to relay");
    assert_eq!(mesh.nodes[&id(2)].counters().relayed_frames, after);
}

#[test]
fn the_last_events_of_a_crashed_node_come_from_peers_that_have_them() {
    let mut mesh = of_three();
    mesh.publish(1, 5);
    mesh.run(1_000);
    mesh.take(3);
    mesh.cut(1, 3);
    mesh.publish(1, 7);
    mesh.nodes.remove(&id(1));
    for n in [2, 3] {
        mesh.nodes.get_mut(&id(n)).unwrap().handle_link(at(mesh.now), id(1), Link::Down);
    }
    mesh.run(520);
    for n in [2, 3] {
        let seen = mesh.take(n);
        assert_eq!(left(&seen), [(id(1), LeaveReason::Failed)]);
        assert_eq!(gaps(&seen), []);
        assert!(matches!(seen.last(), Some(Output::Left { .. })));
        assert_eq!(numbers(&seen).last(), Some(&12));
    }
}

#[test]
fn last_events_behind_an_unfillable_hole_reach_every_peer() {
    let mut mesh = of_three();
    mesh.publish(1, 2);
    mesh.run(1_000);
    // Events 3 and 4 reach no node. Events 5 to 7 reach only `b`, which holds them.
    mesh.cut = vec![(id(1), id(2)), (id(1), id(3))];
    mesh.publish(1, 2);
    mesh.cut.remove(0);
    mesh.publish(1, 3);
    mesh.nodes.remove(&id(1));
    mesh.run(3_100);
    for n in [2, 3] {
        let seen = mesh.take(n);
        assert_eq!(left(&seen), [(id(1), LeaveReason::Failed)]);
        assert_eq!((numbers(&seen), gaps(&seen)), (vec![1, 2, 5, 6, 7], vec![3]), "{n}");
    }
}

#[test]
fn a_node_that_cannot_hear_a_peer_meets_it_through_another() {
    let mut mesh = Mesh::new();
    mesh.start(1, "a");
    mesh.start(2, "b");
    mesh.publish(1, 3);
    mesh.cut(1, 3);
    mesh.start(3, "c");
    mesh.run(1_500);
    let seen = mesh.take(3);
    let met: Vec<_> =
        mesh.nodes[&id(3)].peers().map(|peer| peer.name.as_str().to_owned()).collect();
    assert_eq!(met, ["a", "b"]);
    assert_eq!(numbers(&seen), [0; 0], "a late joiner starts at the current position");
    mesh.publish(1, 2);
    mesh.run(1_000);
    let seen = mesh.take(3);
    assert_eq!((numbers(&seen), gaps(&seen)), (vec![4, 5], vec![]));
    // `a` stays a member of `c` as long as `b` hears `a`, and no longer.
    mesh.run(10_000);
    assert_eq!(left(&mesh.take(3)), []);
    mesh.nodes.remove(&id(1));
    mesh.run(5_000);
    assert_eq!(left(&mesh.take(3)), [(id(1), LeaveReason::Failed)]);
}

#[test]
fn events_that_the_sender_no_longer_has_come_from_another_peer() {
    let mut settings = Settings::default();
    settings.replay_bytes = 0;
    let mut mesh = Mesh::new();
    mesh.start_with(1, "a", settings);
    mesh.start(2, "b");
    mesh.start(3, "c");
    mesh.publish(1, 1);
    mesh.run(1_000);
    mesh.take(3);
    mesh.cut.push((id(1), id(3)));
    mesh.publish(1, 4);
    mesh.cut.clear();
    mesh.publish(1, 1);
    mesh.run(500);
    let seen = mesh.take(3);
    assert_eq!((numbers(&seen), gaps(&seen)), ((2..=6).collect(), vec![]));
}

#[test]
fn a_tail_lost_before_a_goodbye_comes_from_another_peer() {
    let mut mesh = of_three();
    mesh.publish(1, 1);
    mesh.run(100);
    mesh.cut.push((id(1), id(3)));
    mesh.publish(1, 4);
    mesh.cut.clear();
    mesh.nodes.get_mut(&id(1)).unwrap().leave();
    mesh.carry();
    mesh.run(100);
    let seen = mesh.take(3);
    assert_eq!((numbers(&seen), gaps(&seen)), ((1..=5).collect(), vec![]));
    assert_eq!(left(&seen), [(id(1), LeaveReason::Bye)]);
}

#[test]
fn digests_do_not_keep_a_dead_peer_alive() {
    let mut mesh = Mesh::new();
    for n in 1..=6 {
        mesh.start(n, &format!("n{n}"));
    }
    mesh.publish(1, 1);
    mesh.run(5_000);
    mesh.nodes.remove(&id(1));
    mesh.run(3_100);
    for n in 2..=6 {
        let seen = mesh.take(n);
        assert_eq!(left(&seen), [(id(1), LeaveReason::Failed)]);
        let joined =
            |output: &&Output| matches!(output, Output::Joined(peer) if peer.incarnation == id(1));
        assert_eq!(seen.iter().filter(joined).count(), 1);
    }
}

#[test]
fn a_peer_that_only_one_node_cannot_hear_stays_a_member() {
    let mut mesh = of_three();
    mesh.run(3_000);
    mesh.cut(1, 3);
    // The link closes, and the probe is lost.
    mesh.nodes.get_mut(&id(3)).unwrap().handle_link(at(mesh.now), id(1), Link::Down);
    mesh.run(10_000);
    let seen = mesh.take(3);
    assert_eq!(left(&seen), []);
    assert_eq!(reaches(&seen), [Reach::Relayed { via: id(2) }]);
}

#[test]
fn the_relay_buffer_is_bounded() {
    let mut settings = Settings::default();
    settings.relay_bytes = 10_000;
    let mut mesh = Mesh::new();
    mesh.start(1, "a");
    mesh.start_with(2, "b", settings);
    for _ in 0..200 {
        mesh.publish(1, 1);
    }
    let kept = mesh.nodes[&id(2)].relay_bytes();
    assert!((9_000..=10_000).contains(&kept), "{kept}");
}
