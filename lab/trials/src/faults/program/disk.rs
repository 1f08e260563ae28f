//! A node that starts on a full disk.

use std::time::Duration;

use rustix::process::Signal;

use super::node::Node;
use super::testbed::{Start, Testbed};
use super::tmpfs::Tmpfs;
use super::verdict::Observation;
use super::{CONVERGENCE_TIMEOUT, DISCOVERY_TIMEOUT, Verdict};
use crate::contender::wait_until;
use crate::faults::run_length::RunLength;

const STORED: [&str; 3] = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];
/// One of the addresses that are imported while the disk is full.
const WHILE_FULL: &str = "198.18.1.1";
/// More entries than fit into the space that the store already has on the disk.
const IMPORTED: u32 = 20_000;
/// Upper bound for a save: a node retries at least once a minute.
const SAVE_TIMEOUT: Duration = Duration::from_secs(120);

/// The node was stopped in good order (SIGTERM).
pub(in crate::faults) fn after_stop(
    testbed: &Testbed,
    verdict: &mut Verdict,
    _: u64,
    _: RunLength,
) -> Result<(), String> {
    starts_full(testbed, verdict, |node| {
        node.signal(Signal::TERM)?;
        let code = node.wait(DISCOVERY_TIMEOUT)?;
        // All entries were saved before the disk was full, so the exit code is 0.
        (code == Some(0)).then_some(()).ok_or_else(|| format!("it stopped with exit {code:?}"))
    })
}

/// The node was killed (SIGKILL).
pub(in crate::faults) fn after_kill(
    testbed: &Testbed,
    verdict: &mut Verdict,
    _: u64,
    _: RunLength,
) -> Result<(), String> {
    starts_full(testbed, verdict, |node| {
        node.signal(Signal::KILL)?;
        node.wait(DISCOVERY_TIMEOUT).map(drop)
    })
}

fn starts_full(
    testbed: &Testbed,
    verdict: &mut Verdict,
    end: impl Fn(&mut Node) -> Result<(), String>,
) -> Result<(), String> {
    let disk = Tmpfs::mount(testbed.path("disk"), testbed.sweeper())?;
    let store = disk.path().join("store");
    let start = Start::new(0, "n1").with_store(&store);
    let mut node = testbed.start(&start)?;
    for address in STORED {
        node.run_ok(&["block", "add", address])?;
    }
    wait_until("the blocks to be saved", CONVERGENCE_TIMEOUT, || Ok(is_saved(&node)?.0))?;
    disk.fill()?;
    end(&mut node)?;
    drop(node);
    // The end of the node may have freed some space.
    disk.fill()?;

    let mut node = testbed.spawn(&start)?;
    let runs = node.is_ready(DISCOVERY_TIMEOUT)?;
    let code = node.exit_status()?.and_then(|status| status.code());
    let log = node.log()?;
    let seen = if runs { "it answers".to_owned() } else { format!("exit {code:?}: {log}") };
    verdict.check("a node that starts on a full disk runs", runs, seen);
    if !runs {
        return Ok(());
    }
    let list = testbed.path("list");
    let addresses = (0..IMPORTED).map(|n| format!("198.18.{}.{}\n", n / 256, n % 256));
    std::fs::write(&list, addresses.collect::<String>()).map_err(|error| error.to_string())?;
    node.run_ok(&["block", "import", &list.to_string_lossy()])?;
    verdict.eventually("the node reports that it cannot save", CONVERGENCE_TIMEOUT, || {
        let failure = node.status()?["store"]["failure"].clone();
        let output = node.find_log_line("ERROR")?;
        Ok((failure.is_string() && output.is_some(), format!("{failure}; {output:?}")))
    });
    let in_force = node.blocks_address(WHILE_FULL)?;
    verdict.check("blocks added meanwhile are in force", in_force, WHILE_FULL);

    disk.make_room()?;
    verdict.eventually("the node saves once there is space", SAVE_TIMEOUT, || is_saved(&node));
    verdict.eventually("and has all entries", CONVERGENCE_TIMEOUT, || has_all(&node));
    node.signal(Signal::KILL)?;
    node.wait(DISCOVERY_TIMEOUT)?;
    drop(node);
    let node = testbed.start(&start)?;
    verdict.eventually(
        "killed and restarted, the node has all entries",
        CONVERGENCE_TIMEOUT,
        || has_all(&node),
    );
    Ok(())
}

/// Whether a node has all stored and all imported entries.
fn has_all(node: &Node) -> Result<Observation, String> {
    let entries = node.status()?["mirror_entries"].as_u64().unwrap_or(0);
    let mut held = entries == STORED.len() as u64 + u64::from(IMPORTED);
    for address in STORED.into_iter().chain([WHILE_FULL]) {
        held &= node.blocks_address(address)?;
    }
    Ok((held, format!("{entries} entries")))
}

/// Whether a node has saved all its entries.
fn is_saved(node: &Node) -> Result<Observation, String> {
    let store = node.status()?["store"].clone();
    Ok((store["waiting"] == 0 && store["failure"].is_null(), store.to_string()))
}
