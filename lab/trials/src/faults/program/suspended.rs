//! A node that is suspended: stopped, starved of CPU time, or on a machine that sleeps.

use std::time::Duration;

use rustix::process::Signal;

use super::testbed::{Start, Testbed, all_block, observe_each, sees_members, wait_for_members};
use super::{CONVERGENCE_TIMEOUT, DISCOVERY_TIMEOUT, Verdict};
use crate::contender::wait_until;
use crate::faults::run_length::RunLength;

const WHILE_STILL: &str = "192.0.2.1";
/// Time for which it is watched once all nodes see each other.
const WATCH_TIME: Duration = Duration::from_secs(10);

/// One of three nodes is stopped for `seconds`, then continued.
pub(in crate::faults) fn stopped(
    testbed: &Testbed,
    verdict: &mut Verdict,
    seconds: u64,
    length: RunLength,
) -> Result<(), String> {
    let n1 = testbed.start(&Start::new(0, "n1"))?;
    let n2 = testbed.start(&Start::new(1, "n2"))?;
    let mut n3 = testbed.start(&Start::new(2, "n3"))?;
    wait_for_members(&[&n1, &n2, &n3])?;
    n3.mark_log()?;
    n3.signal(Signal::STOP)?;
    wait_until("the others to detect it", DISCOVERY_TIMEOUT, || {
        Ok(sees_members(&n1, &[&n1, &n2])?.0 && sees_members(&n2, &[&n1, &n2])?.0)
    })?;
    n1.run_ok(&["block", "add", WHILE_STILL])?;
    // At least 10 s: shorter stops end no link.
    std::thread::sleep(length.seconds(seconds).max(Duration::from_secs(10)));
    n3.signal(Signal::CONT)?;

    verdict.eventually(
        "the node reports that it was suspended, and for how long",
        CONVERGENCE_TIMEOUT,
        || {
            let output = n3.find_log_line("this node stood still for")?;
            Ok((output.is_some(), output.unwrap_or_else(|| "no such line".to_owned())))
        },
    );
    let all = [&n1, &n2, &n3];
    verdict.eventually("all three see each other again", DISCOVERY_TIMEOUT, || {
        observe_each(&all, |node| sees_members(node, &all))
    });
    verdict.eventually("the node has the block added meanwhile", CONVERGENCE_TIMEOUT, || {
        all_block(&all, &[WHILE_STILL])
    });
    // The failure detector reports a node after 3 s without a heartbeat.
    std::thread::sleep(WATCH_TIME);
    let failure_line = n3.find_log_line("node left")?;
    let seen = failure_line.clone().unwrap_or_else(|| "no such line".to_owned());
    verdict.check("the node reports no other node as failed", failure_line.is_none(), seen);
    Ok(())
}
