//! What hostile bytes may do, one function for each decoder and state machine: they may be
//! refused, and nothing else. `cargo xtask fuzz` runs each under libFuzzer; the tests of this
//! crate put every file of the corpus through, without it.
//!
//! A function panics where something is wrong: a crash for the fuzzer, a failed test here.

mod decoders;
mod delivery;
mod mirror;
mod text;

/// Takes any bytes.
pub type Target = fn(&[u8]);

/// Every target, by the name of its program in `fuzz/fuzz_targets` and of its corpus.
pub const TARGETS: [(&str, Target); 12] = [
    ("frame", decoders::frame),
    ("discovery", decoders::discovery),
    ("handshake", decoders::handshake),
    ("events", decoders::events),
    ("sync", decoders::sync),
    ("record", decoders::record),
    ("lists", decoders::lists),
    ("store", decoders::store),
    ("delivery", delivery::run),
    ("mirror", mirror::run),
    ("config", text::config),
    ("control", text::control),
];

/// Runs a target.
///
/// # Panics
/// If something is wrong, or there is no such target.
pub fn run(name: &str, data: &[u8]) {
    let found = TARGETS.into_iter().find(|(target, _)| *target == name);
    let (_, target) = found.unwrap_or_else(|| panic!("there is no target `{name}`"));
    target(data);
}
