//! Shrinks a failing plan.

use std::time::Duration;

use crate::{Plan, Simulation, Violation};

/// Most runs that one shrinking takes.
const MAX_RUNS: usize = 3_000;

/// The shortest plan found that still fails, with its violation. Removes steps in halves, quarters
/// and so on down to single steps (delta debugging: Zeller and Hildebrandt, 2002), then faults of
/// the network. Returns `None` if the plan passes.
#[must_use]
pub fn shrink(plan: &Plan) -> Option<(Plan, Violation)> {
    let mut best = (plan.clone(), Simulation::run(plan).err()?);
    let mut runs = 0;
    let mut attempt = |best: &mut (Plan, Violation), candidate: Plan| {
        runs += 1;
        if runs > MAX_RUNS || candidate == best.0 {
            return false;
        }
        let Err(violation) = Simulation::run(&candidate) else { return false };
        *best = (candidate, violation);
        true
    };
    // Steps after the violation did not cause it, unless only the checks at the end show it.
    let mut early = best.0.clone();
    early.steps.retain(|step| step.at <= best.1.at);
    attempt(&mut best, early);
    let mut size = best.0.steps.len().div_ceil(2);
    while size > 0 {
        let mut begin = 0;
        let mut shorter = false;
        while begin < best.0.steps.len() {
            let mut candidate = best.0.clone();
            let end = (begin + size).min(candidate.steps.len());
            candidate.steps.drain(begin..end);
            if attempt(&mut best, candidate) {
                shorter = true;
            } else {
                begin += size;
            }
        }
        // Repeat single steps as long as that removes some.
        size = if size == 1 && shorter { 1 } else { size / 2 };
    }
    for simplify in [
        |plan: &mut Plan| plan.faults.duplication = 0,
        |plan: &mut Plan| plan.faults.loss = 0,
        |plan: &mut Plan| plan.faults.jitter = Duration::ZERO,
        |plan: &mut Plan| plan.faults.drift = 0,
        |plan: &mut Plan| plan.faults.small_bounds = false,
    ] {
        let mut candidate = best.0.clone();
        simplify(&mut candidate);
        attempt(&mut best, candidate);
    }
    Some(best)
}
