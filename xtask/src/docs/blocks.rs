//! Blocks of code: each is run or compiled by a test, or its info string says why not.

use std::path::Path;

use super::page::Page;

/// The file that compiles the Rust blocks, as doc-tests.
pub(super) const COMPILED: &str = "crates/mailmesh/src/book.rs";

/// Why a block of shell is not run, as its info string says it (`sh,as-root`). A block of `sh`
/// alone, in the book, is run by `crates/cli/tests/processes/book.rs`.
const REASONS: [&str; 4] = [
    "as-root",      // writes below /etc, or binds addresses of the host
    "builds",       // compiles the workspace
    "changes-keys", // the page is a procedure for one node of several that are in trouble
    "long",         // takes minutes
];

/// The page whose configurations and rules the tests of the facade and of the lists start.
const RECIPES: &str = "docs/operators/recipes.md";

/// Languages of short excerpts and of output.
const OTHERS: [&str; 5] = ["", "text", "console", "json", "toml"];

/// The faults of the blocks of one page.
pub(super) fn faults(file: &Path, page: &Page, compiled: &str) -> Vec<String> {
    let checked = |info: &String| {
        let fault = fault(file, info, compiled)?;
        Some(format!("{}: block `{info}`: {fault}", file.display()))
    };
    page.blocks.iter().filter_map(checked).collect()
}

fn fault(file: &Path, info: &str, compiled: &str) -> Option<String> {
    let (language, rest) = info.split_once(',').unwrap_or((info, ""));
    let in_book = file.starts_with("docs");
    match (language, rest) {
        // README has two commands: the demo, which the tests of the program run, and the tests.
        ("sh", "") if in_book || file == Path::new("README.md") => None,
        ("sh", "") => Some("only blocks of the book are run: say why not (`sh,builds`)".into()),
        ("sh", reason) if REASONS.contains(&reason) => None,
        ("sh", reason) => Some(format!("`{reason}` is not one of {}", REASONS.join(", "))),
        // The blocks of a crate's own README are that crate's.
        ("rust", _) if file.starts_with("crates") || file.starts_with("lab") => None,
        ("rust", "") if compiled.contains(&format!("/{}\"", file.display())) => None,
        ("rust", "") => Some(format!("{COMPILED} does not compile this page")),
        ("rust", _) => Some("a block of Rust is compiled and run; it has no other words".into()),
        ("json5" | "nft", "") if file == Path::new(RECIPES) => None,
        (other, "") if OTHERS.contains(&other) => None,
        _ => Some("no test knows this language".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_no_test_reads_is_a_fault() {
        let compiled = "include_str!(\"../../../docs/a.md\")";
        let found = |file: &str, info: &str| fault(Path::new(file), info, compiled).is_some();
        for (file, info) in [
            ("CONTRIBUTING.md", "sh"),
            ("docs/a.md", "sh,sometimes"),
            ("docs/a.md", "rust,ignore"),
            ("docs/b.md", "rust"),
            ("docs/a.md", "python"),
            ("docs/a.md", "json5"),
        ] {
            assert!(found(file, info), "{file} {info}");
        }
        for (file, info) in [
            ("README.md", "sh"),
            ("docs/a.md", "sh,builds"),
            ("docs/b.md", "sh"),
            ("docs/a.md", "rust"),
            ("crates/x/README.md", "rust,ignore"),
            (RECIPES, "json5"),
            ("docs/a.md", "toml"),
        ] {
            assert!(!found(file, info), "{file} {info}");
        }
    }
}
