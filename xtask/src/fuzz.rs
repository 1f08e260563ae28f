//! Runs the fuzzers one after the other, with `cargo fuzz` and a nightly compiler.

use std::process::Command;

use xtask::run::root;

/// Memory limits of a fuzzer, in MB: in total, and for one allocation.
const RSS_MB: u32 = 1_024;
const MALLOC_MB: u32 = 64;

/// Fuzzes each target whose name contains `filter` for `seconds`. New inputs stay in `target/fuzz`;
/// inputs that crash go to `fuzz/artifacts`.
pub(crate) fn run_all(filter: Option<&str>, seconds: u64) -> Result<(), String> {
    let mut wanted = targets()?;
    wanted.retain(|name| filter.is_none_or(|part| name.contains(part)));
    if wanted.is_empty() {
        return Err(format!("no fuzz target has `{}` in its name", filter.unwrap_or("")));
    }
    let mut failed = Vec::new();
    println!("| target | executions | a second | coverage | |\n|---|---|---|---|---|");
    for name in wanted {
        let found = root().join("target/fuzz").join(&name);
        std::fs::create_dir_all(&found).map_err(|e| format!("{}: {e}", found.display()))?;
        let output = Command::new("cargo")
            .args(["+nightly", "fuzz", "run", "--fuzz-dir", "fuzz", &name])
            .arg(&found)
            .arg(format!("fuzz/corpus/{name}"))
            .arg("--")
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-rss_limit_mb={RSS_MB}"))
            .arg(format!("-malloc_limit_mb={MALLOC_MB}"))
            .args(["-timeout=10", "-print_final_stats=1"])
            .current_dir(root())
            // The fuzzers need nightly, not the toolchain that is pinned for the workspace.
            .env_remove("RUSTUP_TOOLCHAIN")
            .env_remove("CARGO")
            .output()
            .map_err(|error| format!("cargo: {error}"))?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        if stderr.contains("no such command: `fuzz`") {
            return Err("cargo-fuzz is not installed: `cargo install cargo-fuzz`".into());
        }
        let stat = |name: &str| stderr.lines().rev().find_map(|line| line.split_once(name));
        let number = |name| stat(name).map_or("?", |(_, rest)| rest.trim());
        let coverage = stat(" cov: ").and_then(|(_, rest)| rest.split(' ').next()).unwrap_or("?");
        let (runs, rate) =
            (number("stat::number_of_executed_units:"), number("stat::average_exec_per_sec:"));
        let verdict = if output.status.success() { "nothing found" } else { "**failed**" };
        println!("| `{name}` | {runs} | {rate} | {coverage} | {verdict} |");
        if !output.status.success() {
            let tail: Vec<_> = stderr.lines().rev().take(40).collect();
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
            failed.push(name);
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

/// The names of all fuzz targets, sorted.
fn targets() -> Result<Vec<String>, String> {
    let dir = root().join("fuzz/fuzz_targets");
    let failed = |error| format!("{}: {error}", dir.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}
