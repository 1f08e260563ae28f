//! A member that lies about another does not come between that and the rest.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod common;

use common::*;
use mailmesh_delivery::*;

/// What c makes up.
const MADE_UP: u32 = 1_000_000_000;

/// a, b and c, who know each other; a has published one event.
fn mesh_of_three() -> Mesh {
    let mut mesh = Mesh::new();
    (1..).zip(["a", "b", "c"]).for_each(|(n, name)| mesh.start(n, name));
    mesh.publish(1, 1);
    mesh.run(1_000);
    (1..=3).for_each(|n| drop(mesh.take(n)));
    mesh
}

/// c tells b that a has sent [`MADE_UP`] events, in the message of this number.
fn lie(mesh: &mut Mesh, number: u64, is_suspected: bool) {
    lie_of(mesh, number, is_suspected, [0, MADE_UP]);
}

/// The same, of each lane so many.
fn lie_of(mesh: &mut Mesh, number: u64, is_suspected: bool, [urgent, events]: [u32; 2]) {
    say_of_a(mesh, number, 1, is_suspected, [urgent, events]);
}

/// The same, with a sign of life.
fn say_of_a(
    mesh: &mut Mesh,
    number: u64,
    heartbeat_seq: u64,
    is_suspected: bool,
    [urgent, events]: [u32; 2],
) {
    let mut body = vec![0x92, 10, 0x91, 0x95, 0xc4, 16];
    body.extend([1; 16]);
    body.push(0xcf);
    body.extend(heartbeat_seq.to_be_bytes());
    let (urgent, events) = (urgent.to_be_bytes(), events.to_be_bytes());
    let positions = [&[0x92, 0xce][..], &urgent, &[0xce], &events].concat();
    body.extend(&positions);
    body.push(if is_suspected { 0xc3 } else { 0xc2 });
    body.extend(&positions);
    let (kind, incarnation, to) = (FrameKind::Control, id(3), Some(id(2)));
    let first = 1_000_000 + number;
    let frame = Frame { incarnation, to, kind, first, count: 0, body: body.into(), wire: None };
    mesh.nodes.get_mut(&id(2)).unwrap().handle_frame(at(mesh.now), frame);
    mesh.carry();
}

/// a, b, c and d; a and b do not hear each other, but for d.
fn mesh_with_a_detour() -> Mesh {
    let mut mesh = Mesh::new();
    (1..).zip(["a", "b", "c", "d"]).for_each(|(n, name)| mesh.start(n, name));
    mesh.publish(1, 1);
    mesh.run(1_000);
    mesh.cut(1, 2);
    mesh
}

fn missed(outputs: &[Output]) -> Vec<(u64, u64)> {
    let of = |output: &Output| match output {
        Output::Gap(gap) => Some((gap.first, gap.missed)),
        _ => None,
    };
    outputs.iter().filter_map(of).collect()
}

#[test]
fn of_a_node_that_lives_nothing_is_missed_on_anothers_word() {
    let mut mesh = mesh_of_three();
    for number in 0..200 {
        lie(&mut mesh, number, number % 2 == 0);
        mesh.run(100);
    }
    mesh.publish(1, 1);
    mesh.run(8_000);
    mesh.publish(1, 1);
    mesh.run(8_000);
    let seen = mesh.take(2);
    assert_eq!((deliveries(&seen), missed(&seen)), (vec![2, 3], vec![]));
}

#[test]
fn of_who_says_goodbye_nothing_is_missed_on_anothers_word() {
    let mut mesh = mesh_of_three();
    lie(&mut mesh, 0, false);
    mesh.run(1_000);
    mesh.nodes.get_mut(&id(1)).unwrap().leave();
    mesh.carry();
    mesh.nodes.remove(&id(1));
    lie(&mut mesh, 1, true);
    mesh.run(10_000);
    let seen = mesh.take(2);
    assert_eq!(missed(&seen), []);
    assert!(left(&seen).contains(&(id(1), LeaveReason::Bye)));
}

/// While a is out of reach nobody can tell a lie from what a really sent, so b is told that
/// it missed that; when a is back, its word counts.
#[test]
fn what_was_told_of_a_node_out_of_reach_does_not_outlast_its_return() {
    let mut mesh = mesh_of_three();
    mesh.cut(1, 2);
    mesh.cut(1, 3);
    for number in 0..100 {
        lie(&mut mesh, number, true);
        mesh.run(100);
    }
    mesh.publish(1, 1);
    assert_eq!(missed(&mesh.take(2)), [(2, u64::from(MADE_UP) - 1)]);
    mesh.cut.clear();
    mesh.run(3_000);
    for _ in 0..3 {
        mesh.publish(1, 1);
    }
    mesh.run(1_000);
    let seen = mesh.take(2);
    assert_eq!((deliveries(&seen), missed(&seen)), (vec![3, 4, 5], vec![]));
}

#[test]
fn who_ended_is_not_kept_by_who_says_ever_more_of_it() {
    let mut mesh = mesh_of_three();
    mesh.nodes.remove(&id(1));
    for number in 0..150 {
        let more = MADE_UP + number as u32;
        // The holes of the lanes begin at different times, so that one is always open.
        let events = if number > 25 { more } else { 1 };
        lie_of(&mut mesh, number, true, [more, events]);
        mesh.run(100);
    }
    let seen = mesh.take(2);
    assert!(left(&seen).contains(&(id(1), LeaveReason::Failed)), "{seen:?}");
}

#[test]
fn who_is_heard_through_another_alone_is_heard_again_after_a_lie() {
    let mut mesh = mesh_with_a_detour();
    mesh.run(4_000);
    // Nobody hears a for a while.
    (3..=4).for_each(|n| mesh.cut(1, n));
    for number in 0..60 {
        lie(&mut mesh, number, true);
        mesh.run(100);
    }
    assert!(missed(&mesh.take(2)).contains(&(2, u64::from(MADE_UP) - 1)));
    mesh.cut.clear();
    mesh.cut(1, 2);
    mesh.run(8_000);
    for _ in 0..3 {
        mesh.publish(1, 1);
        mesh.run(100);
    }
    mesh.run(2_000);
    let seen = mesh.take(2);
    assert_eq!((deliveries(&seen), missed(&seen)), (vec![2, 3, 4], vec![]));
}

#[test]
fn a_lie_about_a_sign_of_life_hides_no_way_through_another() {
    let mut mesh = mesh_with_a_detour();
    mesh.cut.clear();
    mesh.run(1_000);
    say_of_a(&mut mesh, 0, u64::MAX, false, [0; 2]);
    mesh.cut(1, 2);
    mesh.take(2);
    for _ in 0..10 {
        mesh.run(1_000);
        mesh.publish(1, 1);
    }
    mesh.run(1_000);
    let seen = mesh.take(2);
    assert!(!left(&seen).iter().any(|(who, _)| *who == id(1)), "{seen:?}");
    assert_eq!((deliveries(&seen).len(), missed(&seen)), (10, vec![]));
}

#[test]
fn a_lie_that_cuts_through_a_frame_costs_the_rest_of_it_and_no_time() {
    let mut mesh = mesh_of_three();
    mesh.cut(1, 2);
    mesh.cut(1, 3);
    for number in 0..60 {
        lie_of(&mut mesh, number, true, [0, 3]);
        mesh.run(100);
    }
    assert_eq!(missed(&mesh.take(2)), [(2, 2)]);
    mesh.publish(1, 5);
    mesh.cut.clear();
    mesh.run(1_100);
    mesh.publish(1, 1);
    mesh.run(100);
    let seen = mesh.take(2);
    assert_eq!((deliveries(&seen), missed(&seen)), (vec![7], vec![(4, 3)]));
}

#[test]
fn made_up_goodbyes_push_nobody_out_of_memory() {
    let mut settings = Settings::default();
    settings.max_former_peers = 8;
    let mut mesh = Mesh::new();
    (1..).zip(["a", "b", "c"]).for_each(|(n, name)| mesh.start_with(n, name, settings));
    mesh.publish(1, 1);
    mesh.run(1_000);
    mesh.cut(1, 2);
    mesh.cut(1, 3);
    mesh.run(4_000);
    for n in 0..100 {
        let (kind, body) = (FrameKind::Control, vec![0x92, 3, 0x91, 0x92, 0, 0].into());
        let incarnation = Incarnation([100 + n; 16]);
        let frame = Frame { incarnation, to: None, kind, first: 1, count: 0, body, wire: None };
        mesh.nodes.get_mut(&id(2)).unwrap().handle_frame(at(mesh.now), frame);
    }
    mesh.publish(1, 1);
    mesh.take(2);
    mesh.cut.clear();
    mesh.run(3_000);
    assert_eq!(deliveries(&mesh.take(2)), [2]);
}

#[test]
fn a_restarted_node_that_a_question_did_not_reach_is_asked_again() {
    let mut mesh = Mesh::new();
    mesh.start(1, "a");
    mesh.start(2, "b");
    mesh.run(1_000);
    mesh.take(2);
    mesh.nodes.remove(&id(1));
    mesh.deaf_to_probes = Some(id(3));
    mesh.start(3, "a");
    mesh.run(600);
    mesh.deaf_to_probes = None;
    mesh.run(4_000);
    assert_eq!(left(&mesh.take(2)), [(id(1), LeaveReason::Replaced)]);
}

/// c says to b that it has none of a's events before `before`.
fn lack(mesh: &mut Mesh, number: u64, before: u32) {
    let mut body = vec![0x92, 12, 0x93, 0xc4, 16];
    body.extend([1; 16]);
    body.extend([1, 0xce]);
    body.extend(before.to_be_bytes());
    let (kind, incarnation, to) = (FrameKind::Control, id(3), Some(id(2)));
    let first = 1_000_000 + number;
    let frame = Frame { incarnation, to, kind, first, count: 0, body: body.into(), wire: None };
    mesh.nodes.get_mut(&id(2)).unwrap().handle_frame(at(mesh.now), frame);
    mesh.deadlines();
}

/// A hole that stays open, while c says a thousand times in a second that it does not have it.
#[test]
fn a_member_that_repeats_what_it_lacks_causes_one_request_a_retry_at_most() {
    let mut mesh = mesh_of_three();
    mesh.deaf_to_repair = Some(id(2));
    let a = mesh.nodes.get_mut(&id(1)).unwrap();
    a.send(at(mesh.now), Lane::Events, 1, "lost".into()).unwrap();
    mesh.publish(1, 1);
    mesh.run(10);
    let before = mesh.nodes[&id(2)].counters().naks;
    for number in 0..1_000 {
        lack(&mut mesh, number, 2);
        mesh.run(1);
    }
    let counters = mesh.nodes[&id(2)].counters();
    assert_eq!(counters.malformed, 0);
    let asked = counters.naks - before;
    // One in 20 ms on c's word, and those that are due anyway.
    assert!((5..=60).contains(&asked), "{asked} requests in a second");
    mesh.deaf_to_repair = None;
    mesh.run(300);
    let seen = mesh.take(2);
    assert_eq!((deliveries(&seen), missed(&seen)), (vec![2, 3], vec![]));
}

/// The same of what others say of a node that ended.
#[test]
fn a_member_that_tells_ever_more_of_an_ended_node_causes_one_request_a_retry_at_most() {
    let mut mesh = Mesh::new();
    (1..).zip(["a", "b", "c", "d"]).for_each(|(n, name)| mesh.start(n, name));
    mesh.publish(1, 1);
    mesh.run(1_000);
    mesh.nodes.remove(&id(1));
    mesh.run(2_600);
    let before = mesh.nodes[&id(2)].counters().naks;
    for number in 0..1_000 {
        lie_of(&mut mesh, number, true, [0, 10 + number as u32]);
        mesh.deadlines();
        mesh.run(1);
    }
    let asked = mesh.nodes[&id(2)].counters().naks - before;
    assert!((1..=60).contains(&asked), "{asked} requests in a second");
}
