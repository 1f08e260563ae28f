//! Checks licences, sources, duplicates and advisories of the dependency tree with `cargo deny` and
//! `deny.toml`. A check that cannot run here is reported as skipped.

use std::process::Command;

use xtask::run::{cargo, show};

/// Errors of `cargo deny` when its input is missing, and the reason to report.
const MISSING_INPUTS: [(&str, &str); 2] = [
    ("failed to gather crates", "not all crates are downloaded, and there is no network"),
    ("failed to fetch advisory database", "the database RustSec/advisory-db cannot be fetched"),
];

/// Runs all checks.
pub(crate) fn all() -> Result<(), String> {
    tree()?;
    check(&["advisories"])
}

/// Runs the checks that need no network.
pub(crate) fn tree() -> Result<(), String> {
    check(&["licenses", "bans", "sources"])
}

fn check(what: &[&str]) -> Result<(), String> {
    let version = cargo(&["deny", "--version"]).output();
    if !version.is_ok_and(|output| output.status.success()) {
        skipped(what, "`cargo deny` is not installed: `cargo install cargo-deny --locked`");
        return Ok(());
    }
    let mut command: Command = cargo(&["deny", "check"]);
    command.args(what);
    eprintln!("$ {}", show(&command));
    let output = command.output().map_err(|error| format!("cargo deny: {error}"))?;
    let output_text = String::from_utf8_lossy(&output.stderr);
    if let Some(missing_input) = missing_input(&output_text).filter(|_| !output.status.success()) {
        skipped(what, missing_input);
        return Ok(());
    }
    eprint!("{output_text}{}", String::from_utf8_lossy(&output.stdout));
    if output.status.success() {
        return Ok(());
    }
    Err(format!("`{}` failed", show(&command)))
}

fn missing_input(output_text: &str) -> Option<&'static str> {
    // A finding counts even if other input is missing.
    let found = output_text.lines().any(|line| line.starts_with("error["));
    MISSING_INPUTS
        .into_iter()
        .find(|(words, _)| !found && output_text.contains(words))
        .map(|(_, missing_input)| missing_input)
}

fn skipped(what: &[&str], why: &str) {
    eprintln!("\n==== SKIPPED: {}: {why} ====\n", what.join(", "));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_input_is_distinguished_from_findings() {
        let lacking = "2026-11-26 01:21:17 [ERROR] failed to fetch advisory database \
                       https://github.com/RustSec/advisory-db: An IO error occurred";
        assert!(missing_input(lacking).is_some());
        assert!(
            missing_input("[ERROR] failed to gather crates: `cargo metadata` exited").is_some()
        );
        assert!(
            missing_input("error[vulnerability]: use after free\n\nadvisories FAILED").is_none()
        );
        assert!(missing_input("error[rejected]: failed to fetch advisory database").is_none());
    }
}
