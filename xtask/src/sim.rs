//! Runs the simulator with the given arguments.

use std::ffi::OsString;

use xtask::run::{cargo, run};

/// Passes all arguments to the program that runs seeds, `--help` too.
pub(crate) fn run_seeds(args: &[OsString]) -> Result<(), String> {
    let mut command =
        cargo(&["run", "--release", "--quiet", "-p", "mailmesh-sim", "--example", "seeds", "--"]);
    command.args(args);
    run(command)
}
