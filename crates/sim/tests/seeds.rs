//! Fresh seeds in each run, and every seed that failed before.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use std::time::{Duration, SystemTime};

use mailmesh_sim::{Action, Faults, Plan, Report, Simulation, Step};

/// Seeds that failed once, with the number of nodes. The causes, in order of discovery:
///
/// - A node is away while another ends: it hears a node in one direction only and admits it through
///   a third node, or it is cut off for less than the failure timeout during a goodbye or a crash.
/// - A node that said goodbye is queried for ever, since a heartbeat with a report of it came late.
/// - A node that has the last events of another ends too.
/// - A goodbye reaches a node that is not a member again yet after a cut.
/// - A relay leaves.
/// - A request reaches another node than the one it was sent to.
const REGRESSIONS: [(u64, usize); 10] = [
    (1_795_609_108_984, 3),
    (1_795_609_109_665, 4),
    (1_795_609_111_625, 4),
    (1_795_611_600_035, 6),
    (1_795_611_614_874, 5),
    (1_795_611_605_408, 3),
    (1_795_612_428_994, 13),
    (1_795_612_429_323, 20),
    (1_795_612_430_043, 12),
    (1_795_620_257_972, 3),
];

/// The same with liars: a live node is given up after a lie; the events of a returned node are lost
/// after a lie; a node that ends is kept as a member; an invented node of the same name prevents
/// requests to a node.
const REGRESSIONS_AMONG_LIARS: [(u64, usize); 4] = [(1016, 3), (1011, 5), (1122, 4), (1057, 2)];

/// A seed that no run had before. The test prints it, so that a failure can be reproduced.
fn fresh() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seed = now.as_nanos() as u64;
    println!("first seed {seed}");
    seed
}

fn keep_the_promise(plans: impl Iterator<Item = Plan>) -> Report {
    let mut total = Report::default();
    for plan in plans {
        match Simulation::run(&plan) {
            Ok(report) => total.add(&report),
            Err(violation) => panic!(
                "{violation}; cargo xtask sim --seeds 1 --seed {} --nodes {}{}",
                plan.seed,
                plan.nodes,
                if plan.mirrors { " --mirrors" } else { "" }.to_owned()
                    + if plan.liars > 0 { " --liars" } else { "" }
            ),
        }
    }
    println!("{total:?}");
    total
}

#[test]
fn fresh_seeds_keep_the_delivery_promise() {
    let first = fresh();
    let total = keep_the_promise(
        (first..first + 100).map(|seed| Plan::from_seed(seed, 2 + (seed % 11) as usize)),
    );
    // Runs without faults would prove nothing.
    assert!(total.missing > 0 && total.failures > 0 && total.restarts > 0 && total.delivered > 0);
    assert!(total.reach_changes > 0 && total.refused > 0);
}

#[test]
fn mirrors_converge_and_lose_nothing_despite_wrong_clocks() {
    let first = fresh();
    let plans = (first..first + 60).map(|seed| Plan::from_seed(seed, 2 + (seed % 7) as usize));
    let total = keep_the_promise(plans.map(Plan::with_mirrors));
    assert!(total.changes > 0 && total.restarts > 0 && total.failures > 0);
}

#[test]
fn honest_members_keep_the_promise_among_liars() {
    let first = fresh();
    let plans = (first..first + 60).map(|seed| Plan::from_seed(seed, 2 + (seed % 7) as usize));
    let total = keep_the_promise(plans.map(Plan::with_liars));
    assert!(total.lies > 0 && total.missing > 0 && total.delivered > 0);
    let plans = (first..first + 20).map(|seed| Plan::from_seed(seed, 2 + (seed % 7) as usize));
    keep_the_promise(plans.map(Plan::with_mirrors).map(Plan::with_liars));
}

#[test]
fn seeds_that_failed_once_pass() {
    for (seed, nodes) in REGRESSIONS {
        Simulation::run(&Plan::from_seed(seed, nodes)).unwrap();
    }
    for (seed, nodes) in REGRESSIONS_AMONG_LIARS {
        Simulation::run(&Plan::from_seed(seed, nodes).with_liars()).unwrap();
    }
}

#[test]
fn no_event_is_missed_and_no_node_fails_without_faults() {
    let report = Simulation::run(&Plan::with_faults(1, 8, Faults::default())).unwrap();
    assert_eq!((report.missing, report.failures, report.reach_changes), (0, 0, 0));
    assert_eq!(report.delivered, report.published * 7);
}

#[test]
fn every_event_arrives_if_no_node_restarts_or_is_cut_off() {
    let first = fresh();
    let total = keep_the_promise((first..first + 40).map(|seed| {
        let drawn = Faults::from_seed(seed);
        let mut faults = Faults::default();
        (faults.loss, faults.duplication, faults.jitter) =
            (drawn.loss, drawn.duplication, drawn.jitter);
        (faults.forgeries, faults.drift) = (drawn.forgeries, drawn.drift);
        Plan::with_faults(seed, 4, faults)
    }));
    // Events published before a lost introduction was repeated do not arrive.
    assert!(total.missing == 0 && total.delivered * 100 > total.published * 297, "{total:?}");
}

#[test]
fn a_node_that_was_cut_off_misses_nothing_in_the_end() {
    let first = fresh();
    let total = keep_the_promise((first..first + 20).map(|seed| {
        let mut plan = Plan::with_faults(seed, 4, Faults::default());
        let (node, duration) = ((seed % 4) as usize, Duration::from_secs(5));
        let cut_off = Action::Isolate { node, duration };
        let frozen = Action::Freeze { node: (node + 1) % 4, duration };
        for (at, action) in [(1, cut_off), (9, frozen)] {
            plan.steps.push(Step { at: Duration::from_secs(at), action });
        }
        plan.steps.sort_by_key(|step| step.at);
        plan
    }));
    assert_eq!((total.missing, total.delivered), (0, total.published * 3));
    assert!(total.failures > 0);
}

#[test]
fn cuts_of_single_pairs_cause_no_gap_and_no_failure() {
    let first = fresh();
    let total = keep_the_promise((first..first + 20).map(|seed| {
        let mut plan = Plan::with_faults(seed, 5, Faults::default());
        for i in 0..3 {
            let (from, to) = ((seed % 5) as usize, ((seed + 1 + i) % 5) as usize);
            let (both, duration) = ((seed + i) % 3 > 0, Duration::from_secs(5));
            let at = Duration::from_secs(1 + 6 * i);
            plan.steps.push(Step { at, action: Action::Cut { from, to, both, duration } });
        }
        plan.steps.sort_by_key(|step| step.at);
        plan
    }));
    assert_eq!((total.missing, total.failures, total.delivered), (0, 0, total.published * 4));
    assert!(total.reach_changes >= 40, "each cut changes the reach to a relay and back");
}

#[test]
fn reordered_and_duplicated_frames_are_all_delivered() {
    let mut faults = Faults::default();
    faults.jitter = Duration::from_millis(15);
    faults.duplication = 100;
    let report = Simulation::run(&Plan::with_faults(2, 4, faults)).unwrap();
    assert_eq!(report.missing, 0);
    assert_eq!(report.delivered, report.published * 3);
}
