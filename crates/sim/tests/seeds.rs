//! Seeds: a few hundred fresh ones in each run, and every one that ever failed.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use std::time::{Duration, SystemTime};

use mailmesh_sim::{Faults, Simulation};

/// Seeds that once failed, with the number of nodes.
const REGRESSIONS: [(u64, usize); 1] = [
    // A frame from before a goodbye, come late, was taken for a second life.
    (1_795_564_547_547_452_326, 6),
];

#[test]
fn fresh_seeds_keep_the_promise() {
    let start = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    println!("first seed {start}");
    let mut total = mailmesh_sim::Report::default();
    for seed in start..start + 100 {
        let nodes = 2 + (seed % 6) as usize;
        match Simulation::run(seed, nodes, Faults::drawn(seed)) {
            Ok(report) => {
                total.delivered += report.delivered;
                total.missed += report.missed;
                total.failures += report.failures;
                total.restarts += report.restarts;
            }
            Err(violation) => panic!("{nodes} nodes, {violation}, {:?}", Faults::drawn(seed)),
        }
    }
    println!("{total:?}");
    // The runs are of no use if nothing went wrong in them.
    assert!(total.missed > 0 && total.failures > 0 && total.restarts > 0 && total.delivered > 0);
}

#[test]
fn seeds_that_once_failed_keep_the_promise() {
    for (seed, nodes) in REGRESSIONS {
        Simulation::run(seed, nodes, Faults::drawn(seed)).unwrap();
    }
}

#[test]
fn without_faults_nothing_is_missed_and_nobody_fails() {
    let report = Simulation::run(1, 8, Faults::default()).unwrap();
    assert_eq!((report.missed, report.failures), (0, 0));
    assert_eq!(report.delivered, report.published * 7);
}

#[test]
fn while_nobody_restarts_or_is_cut_off_every_event_arrives() {
    let start = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    println!("first seed {start}");
    for seed in start..start + 40 {
        let mut faults = Faults::drawn(seed);
        (faults.crashes, faults.goodbyes, faults.cuts) = (0, 0, 0);
        let report = Simulation::run(seed, 4, faults).unwrap();
        assert_eq!(report.missed, 0, "seed {seed}: {report:?}, {faults:?}");
        assert!(report.delivered > 0, "seed {seed}: {report:?}");
    }
}

#[test]
fn frames_that_are_only_reordered_are_all_delivered() {
    let mut faults = Faults::default();
    faults.jitter = Duration::from_millis(15);
    faults.duplication = 100;
    let report = Simulation::run(2, 4, faults).unwrap();
    assert_eq!(report.missed, 0);
    assert_eq!(report.delivered, report.published * 3);
}
