//! The book in `docs/`: checks that it is whole, then builds it.
//!
//! The builder is a workspace of its own (`xtask/book`), so that neither this program nor the
//! product waits for the crates that render HTML.

mod blocks;
mod check;
mod fields;
mod page;

use xtask::run::{cargo, root, run};

/// The path of the built book.
const BOOK: &str = "target/book";

/// Checks the book and builds it into [`BOOK`].
pub(crate) fn run_all() -> Result<(), String> {
    check::all(&root())?;
    let missing = fields::faults(&root())?;
    if !missing.is_empty() {
        return Err(missing.join("\n"));
    }
    let builder = ["run", "--quiet", "--locked", "--manifest-path", "xtask/book/Cargo.toml"];
    let mut command = cargo(&builder);
    command.args(["--target-dir", "target/book-builder", "--", "docs", BOOK]);
    run(command)?;
    println!("the book is in {BOOK}/index.html");
    Ok(())
}
