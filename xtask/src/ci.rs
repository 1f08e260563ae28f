//! What continuous integration runs, what fails soonest first.

use crate::run::{cargo, run};
use crate::{layers, test};

pub(crate) fn all() -> Result<(), String> {
    run(cargo(&["fmt", "--all", "--check"]))?;
    layers::run()?;
    run(cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    let mut docs = cargo(&["doc", "--workspace", "--no-deps"]);
    docs.env("RUSTDOCFLAGS", "-D warnings");
    run(docs)?;
    test::run(false)
}
