//! The configurations of `docs/recipes.md`, as they stand there: nodes over real links of the
//! loopback, and strangers that must not get in.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod certificates;
mod nodes;
mod open;
mod proxy;
mod tls;
