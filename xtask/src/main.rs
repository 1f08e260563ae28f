//! The project's own tasks, one file each. `cargo xtask help` lists them.

mod bench;
mod ci;
mod compare;
mod contender;
mod faults;
mod layers;
mod loopback;
mod namespaces;
mod run;
mod sweeper;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tasks of the mailmesh project.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run every test; ends with the count of those passed and failed.
    Test {
        /// Leave out the tests that start real processes.
        #[arg(long)]
        quick: bool,
    },
    /// Format, lints, docs and tests, what fails soonest first.
    Ci,
    /// Run the criterion benches, one a layer.
    Bench {
        /// Only benches whose name contains this.
        filter: Option<String>,
    },
    /// Check which crate depends on which.
    Layers,
    /// mailmesh against bare Zenoh on the loopback: events a second, round trips.
    Compare {
        /// How many rounds.
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// Write what each round gave to this file.
        #[arg(long)]
        json: Option<PathBuf>,
    },
    /// Scenarios of failure between real processes.
    Faults(faults::Options),
    /// Cleans up after another task; not for people.
    #[command(hide = true, name = sweeper::TASK)]
    Sweep,
}

fn main() -> ExitCode {
    let done = |()| ExitCode::SUCCESS;
    let result = match Args::parse().task {
        Task::Test { quick } => test::run(quick).map(done),
        Task::Ci => ci::all().map(done),
        Task::Bench { filter } => bench::run_benches(filter.as_deref()).map(done),
        Task::Compare { rounds, json } => compare::run(rounds, json.as_deref()).map(done),
        Task::Sweep => sweeper::sweep().map(done),
        Task::Layers => layers::run().map(done),
        Task::Faults(options) => faults::run(&options),
    };
    result.unwrap_or_else(|message| {
        eprintln!("error: {message}");
        ExitCode::FAILURE
    })
}
