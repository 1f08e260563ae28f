//! Runs the model explorer, which tries every run of a small scope.

use crate::mutants::planted_cargo;
use xtask::run::{cargo, run};

pub(crate) fn explore(deep: bool, planted: Option<&str>) -> Result<(), String> {
    let args = ["run", "--release", "--quiet", "-p", "mailmesh-sim", "--example", "model", "--"];
    let mut command = if planted.is_some() { planted_cargo(&args) } else { cargo(&args) };
    if deep {
        command.arg("--deep");
    }
    if let Some(name) = planted {
        command.args(["--planted", name]);
    }
    run(command)
}
