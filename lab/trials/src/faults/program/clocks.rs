//! Wrong wall clocks. Timers stay right: they use the monotonic clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::faketime::Clock;
use super::node::Node;
use super::testbed::{Start, Testbed, all_block, observe_each, sees_members, wait_for_members};
use super::{CONVERGENCE_TIMEOUT, DISCOVERY_TIMEOUT, Verdict};
use crate::contender::wait_until;
use crate::faults::run_length::RunLength;

const BY_N1: &str = "192.0.2.1";
const BY_N2: &str = "192.0.2.2";
const LATER: &str = "192.0.2.3";
const BY_N3: &str = "198.51.100.1";

/// Nodes query each other's time every 10 s, and report a difference that lasts 10 s.
const ALARM_TIMEOUT: Duration = Duration::from_secs(60);
/// Tolerance for clocks that agree, in seconds.
const MAX_DIFFERENCE_S: f64 = 60.0;
/// Time after the correction in which a node must enforce again the blocks that its wrong clock had
/// expired.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(120);

/// The clock of one of two nodes jumps ahead by a day. Neither node can tell whose clock is right.
pub(in crate::faults) fn ahead(
    testbed: &Testbed,
    verdict: &mut Verdict,
    _: u64,
    _: RunLength,
) -> Result<(), String> {
    let clock = Clock::new(testbed, "n2", "+0")?;
    let mut n1 = testbed.start(&Start::new(0, "n1"))?;
    let n2 = testbed.start(&Start::new(1, "n2").with_prefix(clock.command_prefix()))?;
    wait_for_members(&[&n1, &n2])?;
    // A difference is found only between clocks that were compared before.
    for node in [&n1, &n2] {
        wait_until("clocks to be compared", DISCOVERY_TIMEOUT, || {
            Ok(node.json(&["members", "--json"])?[0]["clock_ahead_ms"].is_i64())
        })?;
    }
    n1.run_ok(&["block", "add", BY_N1, "--ttl", "2h"])?;
    n2.run_ok(&["block", "add", BY_N2, "--ttl", "2h"])?;
    wait_until("both nodes to have the blocks", CONVERGENCE_TIMEOUT, || {
        Ok(all_block(&[&n1, &n2], &[BY_N1, BY_N2])?.0)
    })?;

    n1.mark_log()?;
    clock.set("+1d")?;
    let mut not_blocked = Vec::new();
    verdict.eventually(
        "n1, whose clock is right, reports that n2's clock differs",
        ALARM_TIMEOUT,
        || {
            for address in [BY_N1, BY_N2] {
                if !n1.blocks_address(address)? {
                    not_blocked.push(address);
                }
            }
            let output = n1.find_log_line("clocks differ, and no majority")?;
            let names_n2 = output.as_ref().is_some_and(|output| output.contains("n2"));
            let agreed = n1.status()?["clock_agreed"].clone();
            Ok((names_n2 && agreed == false, output.unwrap_or_else(|| format!("agreed: {agreed}"))))
        },
    );
    let blocks = all_block(&[&n1], &[BY_N1, BY_N2])?;
    verdict.check(
        "meanwhile n1 enforces all its blocks",
        not_blocked.is_empty() && blocks.0,
        blocks.1,
    );
    let correction_line = n1.find_log_line("this node's clock is")?;
    verdict.check(
        "n1 is not asked to correct its own clock",
        correction_line.is_none(),
        or_no_line(correction_line),
    );

    n1.run_ok(&["block", "add", LATER, "--ttl", "1h"])?;
    let ends = ends_in(&n1, LATER)?;
    let seen = format!("ends in {ends:.0} s");
    verdict.check(
        "a new block of n1 for 1 h expires in 1 h",
        (ends - 3_600.0).abs() < MAX_DIFFERENCE_S,
        seen,
    );

    clock.set("+0")?;
    verdict.eventually("after the correction both agree on the time", ALARM_TIMEOUT, || {
        observe_each(&[&n1, &n2], |node| {
            let agreed = node.status()?["clock_agreed"] == true;
            Ok((agreed, format!("{}: {agreed}", node.id())))
        })
    });
    let begin = Instant::now();
    let back = verdict.eventually("and both enforce all blocks again", RECOVERY_TIMEOUT, || {
        all_block(&[&n1, &n2], &[BY_N1, BY_N2, LATER])
    });
    let took = back.then(|| begin.elapsed().as_secs_f64());
    verdict.figure("both enforce all blocks again after", took, "s");
    verdict
        .eventually("their mirrors are the same", CONVERGENCE_TIMEOUT, || same_mirror(&[&n1, &n2]));
    Ok(())
}

/// A node without a battery-backed clock starts cut off, two days ahead. It changes some entries,
/// its clock is corrected, and it reconnects.
pub(in crate::faults) fn alone(
    testbed: &Testbed,
    verdict: &mut Verdict,
    _: u64,
    _: RunLength,
) -> Result<(), String> {
    let n1 = testbed.start(&Start::new(0, "n1"))?;
    let n2 = testbed.start(&Start::new(1, "n2"))?;
    wait_for_members(&[&n1, &n2])?;
    n1.run_ok(&["block", "add", BY_N1, "--reason", "spam"])?;
    testbed.network().cut(2)?;
    let clock = Clock::new(testbed, "n3", "+2d")?;
    let n3 = testbed.start(&Start::new(2, "n3").with_prefix(clock.command_prefix()))?;
    n3.run_ok(&["block", "add", BY_N3])?;
    n3.run_ok(&["block", "add", BY_N1])?;
    n3.run_ok(&["block", "remove", BY_N1])?;
    clock.set("+0")?;
    testbed.network().heal(2)?;
    let all = [&n1, &n2, &n3];
    verdict.eventually("all three see each other", DISCOVERY_TIMEOUT, || {
        observe_each(&all, |node| sees_members(node, &all))
    });
    verdict.eventually("all mirrors become the same", CONVERGENCE_TIMEOUT, || same_mirror(&all));
    verdict.eventually("no change was refused", Duration::ZERO, || {
        observe_each(&all, |node| {
            let status = node.status()?;
            let (refused, ahead) = (&status["mirror_refused"], &status["mirror_ahead"]);
            Ok((*refused == 0, format!("{}: refused {refused}, ahead {ahead}", node.id())))
        })
    });
    verdict.eventually(
        "n1 blocks an address that n3 removed: in force on all",
        CONVERGENCE_TIMEOUT,
        || {
            n1.run_ok(&["block", "add", BY_N1, "--reason", "again"])?;
            all_block(&all, &[BY_N1, BY_N3])
        },
    );
    verdict.eventually("n1 removes a block of n3: removed on all", CONVERGENCE_TIMEOUT, || {
        if n1.blocks_address(BY_N3)? {
            n1.run_ok(&["block", "remove", BY_N3])?;
        }
        all_block(&all, &[BY_N1])
    });
    n3.run_ok(&["block", "add", BY_N3])?;
    verdict.eventually("n3 blocks it again: in force on all", CONVERGENCE_TIMEOUT, || {
        all_block(&all, &[BY_N1, BY_N3])
    });
    verdict.eventually("all mirrors are the same at the end", CONVERGENCE_TIMEOUT, || {
        same_mirror(&all)
    });
    Ok(())
}

/// Whether all mirrors have the same content, judged by their fingerprints.
fn same_mirror(nodes: &[&Node]) -> Result<(bool, String), String> {
    let mut prints = Vec::new();
    for node in nodes {
        prints.push(node.status()?["mirror_fingerprint"].as_str().unwrap_or_default().to_owned());
    }
    let held = prints.first().is_some_and(|first| !first.is_empty())
        && prints.windows(2).all(|two| two[0] == two[1]);
    Ok((held, prints.join(", ")))
}

/// Seconds until a block expires, by the clock of this machine.
fn ends_in(node: &Node, address: &str) -> Result<f64, String> {
    let output = node.run(&["block", "check", address, "--json"])?;
    let output: serde_json::Value = serde_json::from_str(&output.stdout)
        .map_err(|error| format!("{:?}: {error}", output.stdout))?;
    let ends = output["block"]["expires"].as_u64().ok_or_else(|| format!("no end: {output}"))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| error.to_string())?;
    Ok(ends as f64 / 1e3 - now.as_secs_f64())
}

fn or_no_line(line: Option<String>) -> String {
    line.unwrap_or_else(|| "no such line".to_owned())
}
