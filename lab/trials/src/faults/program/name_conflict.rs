//! Two nodes with the same name.

use std::time::Duration;

use super::testbed::{Start, Testbed, all_block, observe_each, sees_members, wait_for_members};
use super::{CONVERGENCE_TIMEOUT, DISCOVERY_TIMEOUT, Verdict};
use crate::contender::wait_until;
use crate::faults::run_length::RunLength;

/// The exit code of a node that lost a name conflict.
const NAME_CONFLICT_EXIT: Option<i32> = Some(5);
/// Time until peers are established: a peer counts in a name conflict after 5 s of traffic.
const ESTABLISHED_AFTER: Duration = Duration::from_secs(10);
/// Time for which the winner is watched after the other node has ended.
const WATCH_TIME: Duration = Duration::from_secs(10);

const BY_OLD: &str = "198.51.100.2";
const BY_NEW: &str = "198.51.100.4";

/// n2 is cut off, a new n2 on another host takes its place, and the network heals.
pub(in crate::faults) fn returns(
    testbed: &Testbed,
    verdict: &mut Verdict,
    _: u64,
    _: RunLength,
) -> Result<(), String> {
    let n1 = testbed.start(&Start::new(0, "n1"))?;
    let mut old = testbed.start(&Start::new(1, "n2"))?;
    let n3 = testbed.start(&Start::new(2, "n3"))?;
    wait_for_members(&[&n1, &old, &n3])?;
    testbed.network().cut(1)?;
    wait_for_members(&[&n1, &n3])?;
    wait_until("the isolated node to see no members", DISCOVERY_TIMEOUT, || {
        Ok(old.members()?.is_empty())
    })?;
    let mut new = testbed.start(&Start::new(3, "new").named("n2"))?;
    wait_for_members(&[&n1, &new, &n3])?;
    std::thread::sleep(ESTABLISHED_AFTER);
    old.run_ok(&["block", "add", BY_OLD])?;
    new.run_ok(&["block", "add", BY_NEW])?;
    testbed.network().heal(1)?;

    let code = old.wait(DISCOVERY_TIMEOUT);
    let seen = format!("{code:?}: {}", old.log()?.lines().last().unwrap_or_default());
    verdict.check("the isolated n2 stops with exit 5", code == Ok(NAME_CONFLICT_EXIT), seen);
    let claim = "the new n2 stays";
    match new.wait(WATCH_TIME) {
        Ok(code) => verdict.check(claim, false, format!("exit {code:?}: {}", new.log()?.trim())),
        Err(_it_runs) => {
            let others = [&n1, &new, &n3];
            verdict.eventually(claim, DISCOVERY_TIMEOUT, || {
                observe_each(&others, |node| sees_members(node, &others))
            });
        }
    }
    verdict.eventually("the entries of both are kept", CONVERGENCE_TIMEOUT, || {
        all_block(&[&n1, &n3], &[BY_OLD, BY_NEW])
    });
    Ok(())
}

/// A second n2 starts cut off and blocks some addresses. Then it is connected.
pub(in crate::faults) fn alone(
    testbed: &Testbed,
    verdict: &mut Verdict,
    rounds: u64,
    _: RunLength,
) -> Result<(), String> {
    let n1 = testbed.start(&Start::new(0, "n1"))?;
    let mut n2 = testbed.start(&Start::new(1, "n2"))?;
    let n3 = testbed.start(&Start::new(2, "n3"))?;
    wait_for_members(&[&n1, &n2, &n3])?;
    std::thread::sleep(ESTABLISHED_AFTER);
    let mut written = Vec::new();
    for round in 1..=rounds {
        let id = format!("second{round}");
        testbed.network().cut(3)?;
        let mut second = testbed.start(&Start::new(3, &id).named("n2"))?;
        for host in 1..=5 {
            let address = format!("203.0.113.{}", round * 10 + host);
            second.run_ok(&["block", "add", &address])?;
            written.push(address);
        }
        testbed.network().heal(3)?;
        let code = second.wait(DISCOVERY_TIMEOUT);
        let seen = format!("{code:?}: {}", second.log()?.lines().last().unwrap_or_default());
        let claim = format!("round {round}: the second n2 stops with exit 5");
        verdict.check(claim, code == Ok(NAME_CONFLICT_EXIT), seen);
        let expected = written.iter().map(String::as_str).collect::<Vec<_>>();
        let claim = format!("round {round}: the others have the entries it wrote while isolated");
        verdict.eventually(claim, CONVERGENCE_TIMEOUT, || all_block(&[&n1, &n3], &expected));
    }
    let exit_status = n2.exit_status()?;
    verdict.check("the first n2 still runs", exit_status.is_none(), format!("{exit_status:?}"));
    Ok(())
}
