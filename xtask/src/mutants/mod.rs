//! Faults planted in a copy of the delivery core and of the mirror: the simulator must
//! catch each.
//!
//! Nothing of this is in the core itself. A [`Mutation`] replaces a piece of the text
//! of one file; the copy lives in `target/mutants`, a workspace of its own.

mod copy;
mod runner;
mod table;

use copy::Copy;
use runner::Outcome;
use table::{Core, MUTATIONS, Mutation};

/// Plants each fault whose name contains `filter`, and runs seeds until one fails.
pub(crate) fn run_all(
    filter: Option<&str>,
    seeds: u64,
    first: u64,
    nodes: &str,
) -> Result<(), String> {
    let wanted = |mutation: &&Mutation| filter.is_none_or(|part| mutation.name.contains(part));
    let wanted: Vec<_> = MUTATIONS.iter().filter(wanted).collect();
    if wanted.is_empty() {
        return Err(format!("no planted fault has `{}` in its name", filter.unwrap_or("")));
    }
    let copy = Copy::make()?;
    // A fault is only caught if the core as it is passes.
    for core in [Core::Delivery, Core::AmongLiars, Core::State, Core::StateAmongLiars] {
        if !wanted.iter().any(|mutation| mutation.core == core) {
            continue;
        }
        let sound = copy.with(None, || runner::run(&copy, core, first, seeds, nodes))?;
        if let Outcome::Caught { after, said } = sound {
            return Err(format!("the {} as it is fails after {after} seeds: {said}", core.name()));
        }
        println!(
            "{} as it is: {seeds} seeds passed, from seed {first}, {nodes} nodes",
            core.name()
        );
    }
    println!();
    println!("| planted fault | caught | seeds | what the oracle said |\n|---|---|---|---|");
    let mut survived = 0;
    for mutation in &wanted {
        let outcome =
            copy.with(Some(mutation), || runner::run(&copy, mutation.core, first, seeds, nodes))?;
        let Mutation { name, what, .. } = mutation;
        match outcome {
            Outcome::Caught { after, said } => {
                println!("| `{name}`: {what} | yes | {after} | {said} |");
            }
            Outcome::Survived => {
                survived += 1;
                println!("| `{name}`: {what} | **no** | {seeds} | |");
            }
        }
    }
    println!("\n{} caught, {survived} survived", wanted.len() - survived);
    if survived == 0 { Ok(()) } else { Err("the simulator does not see every fault".into()) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_planted_fault_still_has_its_place() {
        let mut names = BTreeSet::new();
        for mutation in MUTATIONS {
            let text = copy::original(mutation).unwrap();
            let count = text.matches(mutation.original).count();
            assert_eq!(count, 1, "`{}` in {}", mutation.name, mutation.file);
            assert_ne!(mutation.original, mutation.replacement);
            assert!(names.insert(mutation.name), "`{}` is there twice", mutation.name);
        }
    }
}
