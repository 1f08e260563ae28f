//! Fuzz targets, one function for each decoder and state machine. Hostile bytes may be refused, but
//! must have no other effect. `cargo xtask fuzz` runs each target under libFuzzer. The tests of
//! this crate run every file of the corpus without a fuzzer.
//!
//! A target panics if it finds a fault: a crash for the fuzzer, a failed test here.

mod decoders;
mod delivery;
mod mirror;
mod text;

/// A target: takes any bytes and panics if it finds a fault.
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

/// Runs the target of this name.
///
/// # Panics
/// If the target finds a fault, or if no target has this name.
pub fn run(name: &str, data: &[u8]) {
    let found = TARGETS.into_iter().find(|(target, _)| *target == name);
    let (_, target) = found.unwrap_or_else(|| panic!("there is no target `{name}`"));
    target(data);
}
