//! Every run of a few messages between two or three nodes.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use mailmesh_sim::{Scope, explore};

#[test]
fn every_run_of_two_nodes_keeps_the_delivery_promise() {
    let explored = explore(Scope::TINY).unwrap_or_else(|error| panic!("{error}"));
    println!("{explored:?}");
    // An exploration that ends early proves nothing.
    assert!(explored.states > 1_000 && explored.recovery_runs > 100, "{explored:?}");
}

#[test]
fn every_run_of_one_sender_and_two_receivers_keeps_the_promise() {
    let mut scope = Scope::THREE;
    (scope.events, scope.losses) = (1, 1);
    let explored = explore(scope).unwrap_or_else(|error| panic!("{error}"));
    println!("{explored:?}");
    assert!(explored.states > 1_000 && explored.recovery_runs > 100, "{explored:?}");
}
