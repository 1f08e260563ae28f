use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::copy::Copy;
use super::table::Core;

/// Longest that one program may run: one that does not end is caught too.
const LONGEST: Duration = Duration::from_secs(300);

/// Whether a fault was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Caught { after: u64, said: String },
    Survived,
}

/// Runs seeds, in rounds that grow, until one fails.
pub(crate) fn run(
    copy: &Copy,
    core: Core,
    first: u64,
    seeds: u64,
    nodes: &str,
) -> Result<Outcome, String> {
    let (mut done, mut round) = (0, 10);
    while done < seeds {
        let count = round.min(seeds - done);
        if let Some((after, said)) = run_round(copy, core, first + done, count, nodes)? {
            return Ok(Outcome::Caught { after: done + after, said });
        }
        done += count;
        round *= 2;
    }
    Ok(Outcome::Survived)
}

fn run_round(
    copy: &Copy,
    core: Core,
    first: u64,
    count: u64,
    nodes: &str,
) -> Result<Option<(u64, String)>, String> {
    let mut command = Command::new(copy.program());
    command.args(["--no-shrink", "--nodes", nodes]);
    match core {
        Core::Delivery => {}
        Core::AmongLiars => drop(command.arg("--liars")),
        Core::State => drop(command.arg("--mirrors")),
        Core::StateAmongLiars => drop(command.args(["--mirrors", "--liars"])),
    }
    command.args(["--seeds", &count.to_string(), "--seed", &first.to_string()]);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|e| format!("{}: {e}", copy.program().display()))?;
    let begin = Instant::now();
    // What it prints fits the pipe, so it need not be read before it ends.
    let status = loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) => break status,
            None if begin.elapsed() > LONGEST => {
                child.kill().and_then(|()| child.wait()).map_err(|error| error.to_string())?;
                return Ok(Some((count, "(does not end)".into())));
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let mut printed = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_string(&mut printed).map_err(|error| error.to_string())?;
    }
    if status.success() {
        return Ok(None);
    }
    Ok(Some(first_failure(&printed, first).unwrap_or((count, "(panics)".into()))))
}

/// How many seeds it took, and what was said of the first that failed.
fn first_failure(printed: &str, first: u64) -> Option<(u64, String)> {
    let failures = printed.lines().filter_map(|line| {
        let (seed, said) = line.strip_prefix("FAILED seed ")?.split_once(", ")?;
        let (_, said) = said.split_once(": ")?;
        Some((seed.parse::<u64>().ok()?.checked_sub(first)? + 1, said.to_owned()))
    });
    failures.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_seed_that_failed_counts() {
        let printed = "seeds 7 to 16\n\
            FAILED seed 12, after 3.2s: aa got 3..4 of bb urgent, but 5 is next\n\
            FAILED seed 9, after 1.5ms: aa and bb: both live on\n\
            8 passed, 2 failed";
        assert_eq!(first_failure(printed, 7), Some((3, "aa and bb: both live on".to_owned())));
        assert_eq!(first_failure("10 passed, 0 failed", 7), None);
    }
}
