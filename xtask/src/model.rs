//! The explorer of every run at a small scope.

use crate::run::{cargo, run};

pub(crate) fn explore(deep: bool) -> Result<(), String> {
    let mut command =
        cargo(&["run", "--release", "--quiet", "-p", "mailmesh-sim", "--example", "model"]);
    if deep {
        command.args(["--", "--deep"]);
    }
    run(command)
}
