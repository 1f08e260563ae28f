//! The project's own tasks, one file each. `cargo xtask help` lists them.

mod bench;
mod ci;
mod faults;
mod layers;
mod model;
mod mutants;
mod namespaces;
mod run;
mod sim;
mod test;

use std::ffi::OsString;
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
    /// Whole clusters in virtual time, with faults drawn from seeds.
    ///
    /// `cargo xtask sim --help` lists what it takes, such as
    /// `--seeds 1000 --nodes 12`, or `--seeds 1 --seed 7 --trace` to see one run.
    #[command(disable_help_flag = true)]
    Sim {
        /// Arguments of the simulator.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Plant faults in a copy of the delivery core; the simulator must catch each.
    Mutants {
        /// Only those whose name contains this.
        name: Option<String>,
        /// Most seeds for each.
        #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
        seeds: u64,
        /// The first seed: the same for each, so that a table is had again.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Nodes of each cluster, or a range of which each seed has one.
        #[arg(long, default_value = "2-8")]
        nodes: String,
    },
    /// Explore every run of a few messages between two and three nodes.
    Model {
        /// Also larger scopes: some minutes.
        #[arg(long)]
        deep: bool,
    },
    /// Scenarios of failure between real processes.
    Faults {
        /// Only this one.
        name: Option<String>,
        /// List them.
        #[arg(long)]
        list: bool,
    },
}

fn main() -> ExitCode {
    let result = match Args::parse().task {
        Task::Test { quick } => test::run(quick),
        Task::Ci => ci::all(),
        Task::Bench { filter } => bench::run_benches(filter.as_deref()),
        Task::Layers => layers::run(),
        Task::Sim { args } => sim::run_seeds(&args),
        Task::Mutants { name, seeds, seed, nodes } => {
            mutants::run_all(name.as_deref(), seeds, seed, &nodes)
        }
        Task::Model { deep } => model::explore(deep),
        Task::Faults { name, list } => faults::run(name.as_deref(), list),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}
