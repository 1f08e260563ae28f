//! The simulator's program, built with the faults that it can plant.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::fault::{self, Fault, Group};
use xtask::run::{cargo, executables, root};

/// Base time limit of a run. With the time for each seed it is far more than a loaded machine
/// needs. Only a run that never ends exceeds it, and counts as caught.
const MIN_RUN_TIMEOUT: Duration = Duration::from_secs(300);
/// Additional time limit for each seed.
const TIMEOUT_PER_SEED: Duration = Duration::from_secs(10);
/// The exit code for invalid arguments.
const USAGE_ERROR: i32 = 2;

/// A build of the simulator's program with planted faults.
#[derive(Debug)]
pub(crate) struct Program {
    path: PathBuf,
}

/// The seeds of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seeds<'a> {
    pub(crate) first: u64,
    pub(crate) count: u64,
    /// Nodes of each cluster, or a range from which each seed draws one.
    pub(crate) nodes: &'a str,
}

/// The first failure of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Seeds run until the failure, itself included.
    pub(crate) after: u64,
    pub(crate) message: String,
}

/// A cargo command for builds with planted faults. It has its own target folder, so that its flags
/// do not invalidate other builds.
pub(crate) fn planted_cargo(args: &[&str]) -> Command {
    let mut command = cargo(args);
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    command.env("RUSTFLAGS", format!("{flags} --cfg planted").trim_start());
    command.env("CARGO_TARGET_DIR", root().join("target").join("mutants"));
    command
}

impl Program {
    pub(crate) fn build() -> Result<Self, String> {
        let args = ["build", "--release", "--package", "mailmesh-sim", "--example", "seeds"];
        let path = executables(planted_cargo(&args))?.into_iter().next_back();
        Ok(Self { path: path.ok_or("cargo built no program `seeds`")? })
    }

    /// Lists the faults that the program can plant.
    pub(crate) fn faults(&self) -> Result<Vec<Fault>, String> {
        let output = Command::new(&self.path).arg("--list-planted").output();
        let output = output.map_err(|error| format!("{}: {error}", self.path.display()))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        fault::parse(&String::from_utf8_lossy(&output.stdout))
    }

    /// Runs seeds with a planted fault, or with none.
    pub(crate) fn run(
        &self,
        group: Group,
        fault: Option<&Fault>,
        seeds: Seeds<'_>,
    ) -> Result<Option<Failure>, String> {
        let mut command = Command::new(&self.path);
        command.args(["--no-shrink", "--nodes", seeds.nodes]).args(group.args());
        command.args(["--seeds", &seeds.count.to_string(), "--seed", &seeds.first.to_string()]);
        if let Some(fault) = fault {
            command.args(["--planted", &fault.name]);
        }
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|e| format!("{}: {e}", self.path.display()))?;
        let begin = Instant::now();
        let timeout =
            MIN_RUN_TIMEOUT + TIMEOUT_PER_SEED * u32::try_from(seeds.count).unwrap_or(u32::MAX);
        // The output fits into the pipe, so reading it after the end is safe.
        let status = loop {
            match child.try_wait().map_err(|error| error.to_string())? {
                Some(status) => break status,
                None if begin.elapsed() > timeout => {
                    child.kill().and_then(|()| child.wait()).map_err(|error| error.to_string())?;
                    return Ok(Some(Failure {
                        after: seeds.count,
                        message: "(does not end)".into(),
                    }));
                }
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        let mut printed = String::new();
        if let Some(mut stdout) = child.stdout.take() {
            stdout.read_to_string(&mut printed).map_err(|error| error.to_string())?;
        }
        match status.code() {
            Some(0) => Ok(None),
            Some(USAGE_ERROR) => Err(format!("{} refuses its arguments", self.path.display())),
            _ => {
                let panics = Failure { after: seeds.count, message: "(panics)".into() };
                Ok(Some(first_failure(&printed, seeds.first).unwrap_or(panics)))
            }
        }
    }
}

/// The first seed that failed, and the message of the oracle.
fn first_failure(printed: &str, first: u64) -> Option<Failure> {
    let failures = printed.lines().filter_map(|line| {
        let (seed, message) = line.strip_prefix("FAILED seed ")?.split_once(", ")?;
        let (_, message) = message.split_once(": ")?;
        let after = seed.parse::<u64>().ok()?.checked_sub(first)? + 1;
        Some(Failure { after, message: message.to_owned() })
    });
    failures.min_by_key(|failure| failure.after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_failed_seed_is_the_first_failure() {
        let printed = "seeds 7 to 16\n\
            FAILED seed 12, after 3.2s: aa got 3..4 of bb urgent, but 5 is next\n\
            FAILED seed 9, after 1.5ms: aa and bb: both live on\n\
            8 passed, 2 failed";
        let failure = Failure { after: 3, message: "aa and bb: both live on".to_owned() };
        assert_eq!(first_failure(printed, 7), Some(failure));
        assert_eq!(first_failure("10 passed, 0 failed", 7), None);
    }
}
