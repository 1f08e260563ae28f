//! The steps of continuous integration: those that fail soonest come first.

use crate::{alone, api, circles, deny, docs, layers, mutants, packages, sources, test};
use xtask::run::{cargo, run};

pub(crate) fn all() -> Result<(), String> {
    run(cargo(&["fmt", "--all", "--check"]))?;
    layers::run()?;
    circles::run()?;
    sources::run()?;
    deny::tree()?;
    packages::pack(false)?;
    run(cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    // The hostile peer and the rivals are of features of their own.
    let mut hostile = cargo(&["clippy", "--package", "mailmesh-contender", "--all-targets"]);
    hostile.args(["--features", "attacker,rivals", "--", "-D", "warnings"]);
    run(hostile)?;
    // Faults in the cores are of a build of their own.
    let mut planted = mutants::planted_cargo(&["clippy", "--package", "mailmesh-sim"]);
    planted.args(["--lib", "--examples", "--", "-D", "warnings"]);
    run(planted)?;
    // As users build it: without what only our tests turn on.
    run(cargo(&["clippy", "--workspace", "--lib", "--bins", "--", "-D", "warnings"]))?;
    docs::run_all()?;
    api::check()?;
    alone::run_all()?;
    test::run(false)
}
