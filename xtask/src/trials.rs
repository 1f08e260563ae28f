//! Tasks of the laboratory, which the program of `lab/trials` runs: comparisons, faults, attacks.

use std::convert::Infallible;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;

use xtask::run::{cargo, root};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Arguments of the trial; `--help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

/// Replaces this process by the trial, so that signals reach the trial, and its exit code is that
/// of the task. Paths in the arguments are relative to the folder of the caller.
///
/// # Errors
/// If cargo does not start.
pub(crate) fn run(trial: &str, args: &Args) -> Result<Infallible, String> {
    let mut command = cargo(&["run", "--quiet", "--package", "mailmesh-trials", "--manifest-path"]);
    command.arg(root().join("Cargo.toml")).args(["--", trial]).args(&args.args).current_dir(".");
    Err(format!("`cargo xtask {trial}`: cargo did not start: {}", command.exec()))
}
