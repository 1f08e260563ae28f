//! Tests with real processes of the program. `processes::` is in the path of each test, so that
//! quick runs can skip them.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod processes;
