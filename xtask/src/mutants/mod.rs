//! Faults planted in the delivery core and in the mirror: the simulator must catch each.
//!
//! The cores list and plant their faults themselves, in builds with `--cfg planted` alone: see
//! decision 27. One such build serves for all faults.

mod fault;
mod program;

use std::path::PathBuf;

use fault::{Fault, Group};
pub(crate) use program::planted_cargo;
use program::{Failure, Program, Seeds};
use xtask::markdown::{self, grouped};

/// Seeds in the first round; each further round doubles the number.
const FIRST_ROUND_SEEDS: u64 = 10;
/// Maximum length of an oracle message in the table, in characters.
const MAX_MESSAGE_CHARS: usize = 100;

/// Options of the task `mutants`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Plant only faults whose name contains this.
    name: Option<String>,
    /// Maximum number of seeds for each fault.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// The first seed for each fault; the same value gives the same table.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Nodes of each cluster, or a range from which each seed draws one.
    #[arg(long, default_value = "2-8")]
    nodes: String,
    /// Write the table into this file, between the lines `<!-- mutants: begin -->` and `<!--
    /// mutants: end -->`. With NAME only the rows of those faults are replaced.
    #[arg(long)]
    markdown: Option<PathBuf>,
}

/// Plants each fault in turn, and runs seeds until one fails.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let program = Program::build()?;
    let filter = options.name.as_deref();
    let mut wanted = program.faults()?;
    wanted.retain(|fault| filter.is_none_or(|part| fault.name.contains(part)));
    if wanted.is_empty() {
        return Err(format!("no planted fault has `{}` in its name", filter.unwrap_or("")));
    }
    // A failure shows the fault only if the core passes without it.
    for group in Group::ALL {
        if wanted.iter().any(|fault| fault.group == group) {
            check_sound(&program, group, options)?;
        }
    }
    println!();
    let head = head();
    print!("{head}");
    let (mut rows, mut survived) = (Vec::new(), 0);
    for fault in &wanted {
        let failure = rounds(&program, fault.group, Some(fault), options)?;
        survived += usize::from(failure.is_none());
        let row = row(fault, failure.as_ref(), options.seeds);
        print!("{row}");
        rows.push(row);
    }
    println!("\n{} caught, {survived} survived", wanted.len() - survived);
    if let Some(path) = &options.markdown {
        markdown::write(path, "mutants", |old| match filter {
            Some(_) => markdown::updated(old, &rows),
            None => head + &rows.concat(),
        })?;
    }
    if survived == 0 { Ok(()) } else { Err("the simulator missed a fault".into()) }
}

fn check_sound(program: &Program, group: Group, options: &Options) -> Result<(), String> {
    let Options { seeds, seed, nodes, .. } = options;
    let name = group.name();
    if let Some(Failure { after, message }) = rounds(program, group, None, options)? {
        return Err(format!("{name} without a fault fails after {after} seeds: {message}"));
    }
    println!("{name} without a fault: {seeds} seeds passed, from seed {seed}, {nodes} nodes");
    Ok(())
}

/// Runs seeds in growing rounds until one fails.
fn rounds(
    program: &Program,
    group: Group,
    fault: Option<&Fault>,
    options: &Options,
) -> Result<Option<Failure>, String> {
    let (mut done, mut round) = (0, FIRST_ROUND_SEEDS);
    while done < options.seeds {
        let count = round.min(options.seeds - done);
        let seeds = Seeds { first: options.seed + done, count, nodes: &options.nodes };
        if let Some(failure) = program.run(group, fault, seeds)? {
            return Ok(Some(Failure { after: done + failure.after, ..failure }));
        }
        done += count;
        round *= 2;
    }
    Ok(None)
}

fn head() -> String {
    let cells = ["fault", "seeds run with", "with it", "caught after", "the oracle says"];
    let cells = cells.map(str::to_owned);
    markdown::line(&cells) + &markdown::rule(cells.len())
}

/// The row of a fault. Its first two cells identify the row of an earlier run, which it replaces.
fn row(fault: &Fault, failure: Option<&Failure>, seeds: u64) -> String {
    let run_with = match fault.group.args() {
        [] => "nothing else".to_owned(),
        args => format!("`{}`", args.join(" ")),
    };
    let (after, message) = match failure {
        Some(failure) => (grouped(failure.after), shown(&failure.message)),
        None => (format!("**never**, {} run", grouped(seeds)), String::new()),
    };
    markdown::line(&[
        format!("`{}`", fault.name),
        run_with,
        fault.behaviour.clone(),
        after,
        message,
    ])
}

/// An oracle message, escaped and shortened for a cell.
fn shown(message: &str) -> String {
    let text = message.replace('|', "\\|");
    match text.char_indices().nth(MAX_MESSAGE_CHARS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_the_seeds_until_a_fault_was_caught_or_never() {
        let fault =
            |group| Fault { name: "held-lost".into(), group, behaviour: "It drops.".into() };
        let failure = Failure { after: 1_234, message: "aa | bb".into() };
        assert_eq!(
            row(&fault(Group::Delivery), Some(&failure), 2_000),
            "| `held-lost` | nothing else | It drops. | 1,234 | aa \\| bb |\n"
        );
        assert_eq!(
            row(&fault(Group::StateAmongLiars), None, 2_000),
            "| `held-lost` | `--mirrors --liars` | It drops. | **never**, 2,000 run |  |\n"
        );
        let failure = Failure { after: 1, message: "ä".repeat(MAX_MESSAGE_CHARS + 1) };
        assert!(row(&fault(Group::State), Some(&failure), 1).contains("ä... |"));
    }
}
