//! False reports: a member that lies about a peer must not disturb the traffic between that peer
//! and others.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod common;

use common::*;
use mailmesh_delivery::*;

/// Position that `c` invents.
const MADE_UP: u32 = 1_000_000_000;

/// Starts `a`, `b` and `c`, which know each other; `a` has published one event.
fn mesh_of_three() -> Mesh {
    let mut mesh = Mesh::new();
    (1..).zip(["a", "b", "c"]).for_each(|(n, name)| mesh.start(n, name));
    mesh.publish(1, 1);
    mesh.run(1_000);
    (1..=3).for_each(|n| drop(mesh.take(n)));
    mesh
}

/// `c` reports to `b` that `a` has sent [`MADE_UP`] events. `number` is the message number.
fn lie(mesh: &mut Mesh, number: u64, is_suspected: bool) {
    lie_of(mesh, number, is_suspected, [0, MADE_UP]);
}

/// Like [`lie`], with a position for each lane.
fn lie_of(mesh: &mut Mesh, number: u64, is_suspected: bool, [urgent, events]: [u32; 2]) {
    report_a(mesh, number, 1, is_suspected, [urgent, events]);
}

/// Like [`lie_of`], with a heartbeat number.
fn report_a(
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

/// Starts `a`, `b`, `c` and `d`. The link between `a` and `b` is cut, so they hear each other only
/// through a relay.
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
fn false_reports_about_a_live_peer_cause_no_gap() {
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
fn false_reports_about_a_departing_peer_cause_no_gap() {
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

/// While `a` is out of reach, no node can tell a lie from what `a` really sent. So `b` reports the
/// invented events as missing. Once `a` is back, its own position counts.
#[test]
fn false_reports_about_an_unreachable_peer_end_with_its_return() {
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
fn ever_higher_reports_do_not_keep_a_dead_peer_a_member() {
    let mut mesh = mesh_of_three();
    mesh.nodes.remove(&id(1));
    for number in 0..150 {
        let more = MADE_UP + number as u32;
        // The holes of the two lanes begin at different times, so that one is always open.
        let events = if number > 25 { more } else { 1 };
        lie_of(&mut mesh, number, true, [more, events]);
        mesh.run(100);
    }
    let seen = mesh.take(2);
    assert!(left(&seen).contains(&(id(1), LeaveReason::Failed)), "{seen:?}");
}

#[test]
fn a_relayed_peer_is_delivered_again_after_a_false_report() {
    let mut mesh = mesh_with_a_detour();
    mesh.run(4_000);
    // No node hears `a` for a while.
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
fn a_false_heartbeat_number_does_not_prevent_a_relay() {
    let mut mesh = mesh_with_a_detour();
    mesh.cut.clear();
    mesh.run(1_000);
    report_a(&mut mesh, 0, u64::MAX, false, [0; 2]);
    mesh.cut(1, 2);
    mesh.take(2);
    for _ in 0..10 {
        mesh.run(1_000);
        mesh.publish(1, 1);
    }
    mesh.run(1_000);
    let seen = mesh.take(2);
    assert!(!left(&seen).iter().any(|(peer, _)| *peer == id(1)), "{seen:?}");
    assert_eq!((deliveries(&seen).len(), missed(&seen)), (10, vec![]));
}

#[test]
fn a_false_report_that_cuts_a_frame_costs_only_the_rest_of_it() {
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
fn forged_goodbyes_evict_no_remembered_peer() {
    let mut settings = Settings::default();
    settings.max_former_peers = 8;
    let mut mesh = Mesh::new();
    (1..).zip(["a", "b", "c"]).for_each(|(n, name)| mesh.start_with(n, name, settings.clone()));
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
fn a_restarted_node_that_missed_a_probe_is_probed_again() {
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

/// `c` reports to `b` that it has no events of `a` below `before`.
fn report_unavailable(mesh: &mut Mesh, number: u64, before: u32) {
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

/// A hole stays open while `c` reports a thousand times in a second that it lacks the event.
#[test]
fn repeated_unavailable_reports_cause_one_request_per_retry_at_most() {
    let mut mesh = mesh_of_three();
    mesh.deaf_to_repair = Some(id(2));
    let a = mesh.nodes.get_mut(&id(1)).unwrap();
    a.send(at(mesh.now), Lane::Events, 1, "lost".into()).unwrap();
    mesh.publish(1, 1);
    mesh.run(10);
    let before = mesh.nodes[&id(2)].counters().naks;
    for number in 0..1_000 {
        report_unavailable(&mut mesh, number, 2);
        mesh.run(1);
    }
    let counters = mesh.nodes[&id(2)].counters();
    assert_eq!(counters.malformed, 0);
    let requests = counters.naks - before;
    // One request per 20 ms because of `c`, and the regular ones.
    assert!((5..=60).contains(&requests), "{requests} requests in a second");
    mesh.deaf_to_repair = None;
    mesh.run(300);
    let seen = mesh.take(2);
    assert_eq!((deliveries(&seen), missed(&seen)), (vec![2, 3], vec![]));
}

/// The same for reports about a peer that failed.
#[test]
fn ever_higher_reports_cause_one_request_per_retry_at_most() {
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
    let requests = mesh.nodes[&id(2)].counters().naks - before;
    assert!((1..=60).contains(&requests), "{requests} requests in a second");
}
