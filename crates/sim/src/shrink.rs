//! Makes a plan that fails shorter.

use std::time::Duration;

use crate::{Plan, Simulation, Violation};

/// Most runs tried.
const MAX_RUNS: usize = 3_000;

/// The shortest plan found that still breaks the promise, and how it does: steps are
/// left out, in halves, quarters and so on down to one (delta debugging: Zeller and
/// Hildebrandt, 2002), then faults of the network. `None` if the plan breaks nothing.
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
    // What comes after the breach has no part in it, unless it shows at the end only.
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
        // At the last size, again and again while it helps.
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
