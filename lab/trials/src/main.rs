//! Trials with real processes: comparisons with rivals, faults of networks and hosts, attacks.
//! `cargo xtask compare`, `faults` and `hostile` run this program. Builds of the product do not
//! compile it.

mod compare;
mod contender;
mod faults;
mod folder;
mod hostile;
mod log;
mod loopback;
mod sweeper;

use std::process::ExitCode;

use clap::Parser;

/// Trials of mailmesh with real processes.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Trial {
    /// mailmesh and what else one could use, on the loopback: events a second, what is lost,
    /// processor time, round trips.
    Compare(compare::Options),
    /// Scenarios of failure between real processes.
    Faults(faults::Options),
    /// Hostile peers against honest nodes, real processes on the loopback.
    Hostile(hostile::Options),
    /// Cleans up after a trial; not for people.
    #[command(hide = true, name = sweeper::TASK)]
    Sweep,
}

fn main() -> ExitCode {
    let done = |()| ExitCode::SUCCESS;
    let result = match Trial::parse() {
        Trial::Compare(options) => compare::run(&options).map(done),
        Trial::Faults(options) => faults::run(&options),
        Trial::Hostile(options) => hostile::run(&options),
        Trial::Sweep => sweeper::sweep().map(done),
    };
    result.unwrap_or_else(|message| {
        eprintln!("error: {message}");
        ExitCode::FAILURE
    })
}
