//! Runs the tests and sums up the counts of all test binaries.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use xtask::namespaces;
use xtask::run::{cargo, show};

/// The module name that every test with real processes has in its path.
const PROCESSES: &str = "processes::";

pub(crate) fn run(quick: bool) -> Result<(), String> {
    if !quick && let Err(why) = namespaces::available() {
        eprintln!("\n==== SKIPPED: tests in network namespaces: {why} ====");
        eprintln!("==== they need root and iproute2; the loopback tests still run ====\n");
    }
    // `--no-fail-fast`: all tests count, even if one fails.
    let mut args = vec!["test", "--workspace", "--no-fail-fast", "--", "--color", "never"];
    if quick {
        args.extend(["--skip", PROCESSES]);
    }
    let mut command = cargo(&args);
    eprintln!("$ {}", show(&command));
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|e| format!("cargo: {e}"))?;
    let mut counts = Counts::default();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line.map_err(|error| format!("reading cargo's output: {error}"))?;
            counts.add(&line);
            println!("{line}");
        }
    }
    let status = child.wait().map_err(|error| format!("cargo: {error}"))?;
    let Counts { passed, failed, ignored } = counts;
    if ignored > 0 {
        println!("{ignored} ignored");
    }
    println!("{passed} passed, {failed} failed");
    if status.success() && failed == 0 && passed > 0 {
        Ok(())
    } else {
        Err(format!("the tests did not pass: {status}"))
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u32,
    failed: u32,
    ignored: u32,
}

impl Counts {
    /// Adds a line like "test result: ok. 3 passed; 0 failed; 1 ignored; ...".
    fn add(&mut self, line: &str) {
        let Some((_, results)) =
            line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for part in results.split("; ") {
            let Some((number, what)) = part.split_once(' ') else {
                continue;
            };
            let Ok(number) = number.parse::<u32>() else {
                continue;
            };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_result_lines_of_test_binaries_add_up() {
        let mut counts = Counts::default();
        for line in [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.01s",
            "test a::b ... ok",
            "test result: FAILED. 5 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.2s",
        ] {
            counts.add(line);
        }
        assert_eq!(counts, Counts { passed: 8, failed: 2, ignored: 1 });
    }
}
