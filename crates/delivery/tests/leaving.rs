//! Before its goodbye a node waits until the others have what it sent last.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod common;

use common::*;
use mailmesh_delivery::*;

fn lingers(mesh: &Mesh, n: u8) -> Option<u128> {
    let until = mesh.nodes[&id(n)].drain_until(at(mesh.now));
    until.map(|until| until.elapsed().as_millis())
}

#[test]
fn who_has_said_nothing_may_leave_at_once() {
    let mut mesh = Mesh::of_two();
    assert_eq!(lingers(&mesh, 1), None);
    // Nor does it wait for a late joiner to confirm what came before it.
    mesh.publish(1, 5);
    mesh.run(100);
    mesh.start(3, "c");
    assert_eq!(lingers(&mesh, 1), None);
}

#[test]
fn a_node_that_lingers_repairs_what_was_lost_last() {
    let mut mesh = Mesh::of_two();
    mesh.run(1_000);
    mesh.cut.push((id(1), id(2)));
    mesh.publish(1, 3);
    assert_eq!(lingers(&mesh, 1), Some(1_500));
    mesh.cut.clear();
    let mut waited = 0;
    while lingers(&mesh, 1).is_some() {
        mesh.run(1);
        waited += 1;
    }
    // A heartbeat tells of them, they are asked for, and confirmed.
    assert!((20..300).contains(&waited), "{waited} ms");
    mesh.nodes.get_mut(&id(1)).unwrap().leave();
    mesh.carry();
    let seen = mesh.take(2);
    assert_eq!((deliveries(&seen), gaps(&seen)), (vec![1], vec![]));
    assert_eq!(left(&seen), [(id(1), LeaveReason::Bye)]);
    assert_eq!(lingers(&mesh, 1), None);
}

#[test]
fn who_confirms_nothing_is_waited_for_half_a_second_after_the_last_event() {
    let mut mesh = Mesh::of_two();
    mesh.cut(1, 2);
    mesh.publish(1, 1);
    mesh.run(300);
    mesh.publish(1, 1);
    assert_eq!(lingers(&mesh, 1), Some(800));
    mesh.run(500);
    assert_eq!(lingers(&mesh, 1), None);
    let lacking: Vec<_> = mesh.nodes[&id(1)].unacknowledged().map(|p| p.incarnation).collect();
    assert_eq!(lacking, [id(2)]);
}

#[test]
fn a_goodbye_that_comes_before_the_return_of_who_was_cut_off_tells_what_was_missed() {
    for others in [true, false] {
        let mut mesh = Mesh::of_two();
        if others {
            mesh.start(3, "c");
        }
        mesh.run(1_000);
        mesh.cut(1, 2);
        mesh.cut(3, 2);
        mesh.run(4_000);
        mesh.publish(1, 5);
        assert_eq!(left(&mesh.take(2)).len(), 1 + usize::from(others));
        mesh.cut.clear();
        let goodbye = |mesh: &mut Mesh| {
            mesh.nodes.get_mut(&id(1)).unwrap().leave();
            mesh.carry();
            mesh.nodes.remove(&id(1));
        };
        goodbye(&mut mesh);
        mesh.run(3_000);
        let seen = mesh.take(2);
        let expected = if others { (vec![1], vec![]) } else { (vec![], vec![1]) };
        assert_eq!((deliveries(&seen), gaps(&seen)), expected, "{seen:?}");
        assert_eq!(left(&seen).last(), Some(&(id(1), LeaveReason::Bye)));
    }
}
