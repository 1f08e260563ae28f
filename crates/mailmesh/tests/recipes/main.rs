//! The configurations of `docs/operators/recipes.md`, read from that file: nodes over real links on
//! the loopback, and strangers that must not get in.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod certificates;
mod nodes;
mod open;
mod proxy;
mod tls;
