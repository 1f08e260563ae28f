//! The project's own tasks, one file each. `cargo xtask help` lists them.

mod alone;
mod api;
mod bench;
mod ci;
mod circles;
mod deny;
mod docs;
mod fuzz;
mod layers;
mod model;
mod mutants;
mod packages;
mod picture;
mod sim;
mod sources;
mod test;
mod trials;

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
    /// Check which crate depends on which, that files use each other in no circle and say their
    /// job, and that no core reads a clock.
    Layers,
    /// Check the links of the Markdown files, and build the book in `docs/` as HTML.
    Docs,
    /// Pack the published crates as `cargo publish` would; fails if cargo warns.
    Package {
        /// Also build each crate from its package.
        #[arg(long)]
        verify: bool,
    },
    /// Run the demo, and write its output as a picture for README.
    Picture(picture::Options),
    /// Build the docs, and write the public items of each published library to `docs/api/`.
    Api {
        /// Write nothing; fail with the differences if the files are not up to date.
        #[arg(long)]
        check: bool,
    },
    /// Build and run an example of each published library as a package outside the workspace.
    Alone,
    /// Check licences, sources, duplicates and advisories of what is in the tree (needs
    /// `cargo install cargo-deny --locked`; says so if it is not there).
    Deny,
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
    /// Plant faults in the delivery core and in the mirror; the simulator must catch each.
    Mutants(mutants::Options),
    /// Fuzz every decoder and state machine in turn (needs `cargo install cargo-fuzz` and a
    /// nightly compiler).
    Fuzz {
        /// Only those whose name contains this.
        name: Option<String>,
        /// Seconds for each.
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
        seconds: u64,
    },
    /// Explore every run of a few messages between two and three nodes.
    Model {
        /// Also larger scopes: some minutes.
        #[arg(long)]
        deep: bool,
        /// Plant this fault of the delivery core first (`mutants` has the names): the task
        /// then fails, and prints the run that shows the fault.
        #[arg(long, value_name = "NAME")]
        planted: Option<String>,
    },
    /// Compare mailmesh with its rivals on the loopback: events a second, losses, processor time,
    /// round trips.
    #[command(disable_help_flag = true)]
    Compare(trials::Args),
    /// Scenarios of failure between real processes.
    #[command(disable_help_flag = true)]
    Faults(trials::Args),
    /// Hostile peers against honest nodes, real processes on the loopback.
    #[command(disable_help_flag = true)]
    Hostile(trials::Args),
}

fn main() -> ExitCode {
    let done = |()| ExitCode::SUCCESS;
    let result = match Args::parse().task {
        Task::Test { quick } => test::run(quick).map(done),
        Task::Ci => ci::all().map(done),
        Task::Bench { filter } => bench::run_benches(filter.as_deref()).map(done),
        Task::Layers => {
            layers::run().and_then(|()| circles::run()).and_then(|()| sources::run()).map(done)
        }
        Task::Docs => docs::run_all().map(done),
        Task::Package { verify } => packages::pack(verify).map(done),
        Task::Picture(options) => picture::run(&options).map(done),
        Task::Api { check: true } => api::check().map(done),
        Task::Api { check: false } => api::write().map(done),
        Task::Alone => alone::run_all().map(done),
        Task::Deny => deny::all().map(done),
        Task::Fuzz { name, seconds } => fuzz::run_all(name.as_deref(), seconds).map(done),
        Task::Sim { args } => sim::run_seeds(&args).map(done),
        Task::Mutants(options) => mutants::run(&options).map(done),
        Task::Model { deep, planted } => model::explore(deep, planted.as_deref()).map(done),
        Task::Compare(args) => trials::run("compare", &args).map(|never| match never {}),
        Task::Faults(args) => trials::run("faults", &args).map(|never| match never {}),
        Task::Hostile(args) => trials::run("hostile", &args).map(|never| match never {}),
    };
    result.unwrap_or_else(|message| {
        eprintln!("error: {message}");
        ExitCode::FAILURE
    })
}
