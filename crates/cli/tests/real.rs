//! The program as its users run it: real processes, each test's path has
//! `processes::` in it.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod processes;
