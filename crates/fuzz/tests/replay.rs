//! Runs every file of the corpus, including every crash that was found, without a fuzzer.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use mailmesh_fuzz::TARGETS;

#[test]
fn every_file_of_the_corpus_passes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (name, target) in TARGETS {
        let dir = root.join(name);
        let mut count = 0;
        for entry in fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
            target(&fs::read(entry.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count > 0, "{name} has no corpus");
    }
}

#[test]
fn every_target_has_a_program() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/fuzz_targets");
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let programs: BTreeSet<_> =
        names.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    let targets: BTreeSet<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(programs, targets);
}

#[test]
fn no_fuzz_target_panics_on_arbitrary_bytes() {
    // A fixed pseudorandom sequence (xorshift64).
    let mut state = 1_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for (name, target) in TARGETS {
        let rounds = if name == "store" { 20 } else { 400 };
        for _ in 0..rounds {
            let len = (next() % 2_000) as usize;
            let bytes: Vec<u8> = (0..len).map(|_| (next() >> 32) as u8).collect();
            target(&bytes);
        }
    }
}
