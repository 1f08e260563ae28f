//! The simulator, with arguments of its own.

use std::ffi::OsString;

use crate::run::{cargo, run};

/// All arguments go to the program that runs seeds, `--help` among them.
pub(crate) fn run_seeds(args: &[OsString]) -> Result<(), String> {
    let mut command =
        cargo(&["run", "--release", "--quiet", "-p", "mailmesh-sim", "--example", "seeds", "--"]);
    command.args(args);
    run(command)
}
