//! Runs the criterion benches.

use xtask::run::{cargo, run};

pub(crate) fn run_benches(filter: Option<&str>) -> Result<(), String> {
    let mut command = cargo(&["bench", "--package", "mailmesh-benches"]);
    if let Some(filter) = filter {
        command.args(["--", filter]);
    }
    run(command)
}
