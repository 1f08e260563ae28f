//! Nodes that start and end many times: the memory that other nodes keep for them is bounded.

use std::time::Instant;

use super::node::Node;
use super::testbed::{Start, Testbed, wait_for_members};
use super::{DISCOVERY_TIMEOUT, Verdict};
use crate::contender::wait_until;
use crate::faults::run_length::RunLength;

/// Hosts whose nodes run all the time.
const STABLE_HOSTS: usize = 2;
/// Hosts whose nodes are started and killed.
const TRANSIENT_HOSTS: usize = 8;
/// Parts of a run whose memory growth is compared.
const PARTS: u64 = 4;
/// Growth of both nodes together that counts as noise, in KiB.
const NOISE_KB: u64 = 2 * 1024;

/// Starts and kills nodes, and measures the memory of the two stable nodes after each part.
pub(in crate::faults) fn many_incarnations(
    testbed: &Testbed,
    verdict: &mut Verdict,
    incarnations: u64,
    length: RunLength,
) -> Result<(), String> {
    let begin = Instant::now();
    let n1 = testbed.start(&Start::new(0, "n1"))?;
    let n2 = testbed.start(&Start::new(1, "n2"))?;
    wait_for_members(&[&n1, &n2])?;
    let incarnations = length.events(incarnations);
    let mut memory = vec![memory_of(&n1, &n2)?];
    let mut ended = 0;
    for part in 1..=PARTS {
        while ended < incarnations * part / PARTS {
            ended += run_wave(testbed, &n1, &n2)?;
        }
        memory.push(memory_of(&n1, &n2)?);
        let mib = |kb: &u64| format!("{:.1}", *kb as f64 / 1024.0);
        let seen = memory.iter().map(mib).collect::<Vec<_>>().join(", ");
        println!(
            "{:<20}{ended} incarnations, {:.0} s: {seen} MiB",
            "",
            begin.elapsed().as_secs_f64()
        );
    }
    verdict.eventually("only the stable nodes are members at the end", DISCOVERY_TIMEOUT, || {
        let (of_n1, of_n2) = (n1.members()?, n2.members()?);
        Ok((of_n1 == ["n2"] && of_n2 == ["n1"], format!("n1 sees {of_n1:?}, n2 {of_n2:?}")))
    });
    let growth = memory.windows(2).map(|two| two[1].saturating_sub(two[0])).collect::<Vec<_>>();
    let per_incarnation = |kb: u64| kb as f64 * PARTS as f64 / ended as f64 / 2.0;
    let first = growth.first().copied().unwrap_or(0);
    let last = growth.last().copied().unwrap_or(0);
    let rest = memory_of(&n1, &n2)?;
    verdict.figure("lives", ended as f64, "");
    verdict.figure("memory of both before", memory[0] as f64 / 1024.0, "MiB");
    verdict.figure("at the end", rest as f64 / 1024.0, "MiB");
    verdict.figure("a life costs each node in the first quarter", per_incarnation(first), "KiB");
    verdict.figure("in the last", per_incarnation(last), "KiB");
    if length == RunLength::Full {
        // In the last quarter old incarnations are dropped: a node remembers 4,096
        // (`max_former_peers`).
        let seen = format!("grew by {first} KiB in the first quarter, by {last} in the last");
        verdict.check("memory levels off", levels_off(first, last), seen);
    }
    Ok(())
}

/// Starts a node on each transient host, and kills all once both stable nodes have admitted them.
/// Returns the number of nodes.
fn run_wave(testbed: &Testbed, n1: &Node, n2: &Node) -> Result<u64, String> {
    let before = [joined(n1)?, joined(n2)?];
    let names = (0..TRANSIENT_HOSTS).map(|node| format!("m{node}")).collect::<Vec<_>>();
    let starts = names.iter().enumerate().map(|(node, name)| Start::new(STABLE_HOSTS + node, name));
    let nodes = starts.map(|start| testbed.spawn(&start)).collect::<Result<Vec<_>, _>>()?;
    for (stable, before) in [n1, n2].into_iter().zip(before) {
        wait_until("the nodes to be admitted", DISCOVERY_TIMEOUT, || {
            Ok(joined(stable)? >= before + TRANSIENT_HOSTS as u64)
        })?;
    }
    Ok(nodes.len() as u64)
}

/// Nodes that this node has admitted since its start.
fn joined(node: &Node) -> Result<u64, String> {
    let status = node.status()?;
    status["nodes_joined"].as_u64().ok_or_else(|| format!("{}: no `nodes_joined`", node.id))
}

/// Memory of both nodes, in KiB.
fn memory_of(n1: &Node, n2: &Node) -> Result<u64, String> {
    Ok(n1.rss_kb()? + n2.rss_kb()?)
}

/// Whether the last incarnations cost far less memory than the first ones.
fn levels_off(first_kb: u64, last_kb: u64) -> bool {
    last_kb <= NOISE_KB.max(first_kb / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_levels_off_if_the_last_quarter_grows_a_fourth_of_the_first() {
        assert!(levels_off(40_000, 10_000));
        assert!(!levels_off(40_000, 10_001));
        assert!(levels_off(100, NOISE_KB));
        assert!(!levels_off(100, NOISE_KB + 1));
    }
}
