//! Leaving: before its goodbye, a node waits until the peers have its last events.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod common;

use common::*;
use mailmesh_delivery::*;

fn drains_until_ms(mesh: &Mesh, n: u8) -> Option<u128> {
    let until = mesh.nodes[&id(n)].drain_until(at(mesh.now));
    until.map(|until| until.elapsed().as_millis())
}

#[test]
fn a_node_that_has_sent_nothing_may_leave_at_once() {
    let mut mesh = Mesh::of_two();
    assert_eq!(drains_until_ms(&mesh, 1), None);
    // The node does not wait for a late joiner to acknowledge earlier events either.
    mesh.publish(1, 5);
    mesh.run(100);
    mesh.start(3, "c");
    assert_eq!(drains_until_ms(&mesh, 1), None);
}

#[test]
fn a_lingering_node_retransmits_its_last_events() {
    let mut mesh = Mesh::of_two();
    mesh.run(1_000);
    mesh.cut.push((id(1), id(2)));
    mesh.publish(1, 3);
    assert_eq!(drains_until_ms(&mesh, 1), Some(1_500));
    mesh.cut.clear();
    let mut waited = 0;
    while drains_until_ms(&mesh, 1).is_some() {
        mesh.run(1);
        waited += 1;
    }
    // A heartbeat announces the events. They are requested, retransmitted and acknowledged.
    assert!((20..300).contains(&waited), "{waited} ms");
    mesh.nodes.get_mut(&id(1)).unwrap().leave();
    mesh.carry();
    let seen = mesh.take(2);
    assert_eq!((deliveries(&seen), gaps(&seen)), (vec![1], vec![]));
    assert_eq!(left(&seen), [(id(1), LeaveReason::Bye)]);
    assert_eq!(drains_until_ms(&mesh, 1), None);
}

#[test]
fn a_node_waits_500_ms_after_its_last_event_for_acknowledgements() {
    let mut mesh = Mesh::of_two();
    mesh.cut(1, 2);
    mesh.publish(1, 1);
    mesh.run(300);
    mesh.publish(1, 1);
    assert_eq!(drains_until_ms(&mesh, 1), Some(800));
    mesh.run(500);
    assert_eq!(drains_until_ms(&mesh, 1), None);
    let unacknowledged: Vec<_> =
        mesh.nodes[&id(1)].unacknowledged().map(|p| p.incarnation).collect();
    assert_eq!(unacknowledged, [id(2)]);
}

#[test]
fn a_goodbye_after_a_cut_repairs_or_reports_the_missed_events() {
    for has_third_node in [true, false] {
        let mut mesh = Mesh::of_two();
        if has_third_node {
            mesh.start(3, "c");
        }
        mesh.run(1_000);
        mesh.cut(1, 2);
        mesh.cut(3, 2);
        mesh.run(4_000);
        mesh.publish(1, 5);
        assert_eq!(left(&mesh.take(2)).len(), 1 + usize::from(has_third_node));
        mesh.cut.clear();
        let goodbye = |mesh: &mut Mesh| {
            mesh.nodes.get_mut(&id(1)).unwrap().leave();
            mesh.carry();
            mesh.nodes.remove(&id(1));
        };
        goodbye(&mut mesh);
        mesh.run(3_000);
        let seen = mesh.take(2);
        let expected = if has_third_node { (vec![1], vec![]) } else { (vec![], vec![1]) };
        assert_eq!((deliveries(&seen), gaps(&seen)), expected, "{seen:?}");
        assert_eq!(left(&seen).last(), Some(&(id(1), LeaveReason::Bye)));
    }
}
