//! The Rust blocks of README and the book, compiled and run as doc-tests of this crate
//! (`cargo xtask docs` checks that each page with such a block is here).

#[doc = include_str!("../../../README.md")]
mod readme {}

#[doc = include_str!("../../../docs/start/first-event.md")]
mod first_event {}

#[doc = include_str!("../../../docs/authors/building-in.md")]
mod building_in {}

#[doc = include_str!("../../../docs/authors/testing.md")]
mod testing {}
