//! Two nodes of one name.

use std::time::Duration;

use super::site::{Site, Start, all_block, each, hears, meet};
use super::{MEETING, SPREADING, Verdict};
use crate::contender::wait_until;
use crate::faults::pace::Pace;

/// The exit code of a node that stepped back.
const STEPPED_BACK: Option<i32> = Some(5);
/// A peer counts for who stays once it was worked with for 5 s.
const WORKED_TOGETHER: Duration = Duration::from_secs(10);
/// How long the one that stays is watched after the other has ended.
const STAYS: Duration = Duration::from_secs(10);

const BY_OLD: &str = "198.51.100.2";
const BY_NEW: &str = "198.51.100.4";

/// n2 is cut off, a new n2 on another host takes its place, and the cut heals.
pub(in crate::faults) fn returns(
    site: &Site,
    verdict: &mut Verdict,
    _: u64,
    _: Pace,
) -> Result<(), String> {
    let n1 = site.start(&Start::new(0, "n1"))?;
    let mut old = site.start(&Start::new(1, "n2"))?;
    let n3 = site.start(&Start::new(2, "n3"))?;
    meet(&[&n1, &old, &n3])?;
    site.network().cut(1)?;
    meet(&[&n1, &n3])?;
    wait_until("the one cut off to be alone", MEETING, || Ok(old.members()?.is_empty()))?;
    let mut new = site.start(&Start::new(3, "new").named("n2"))?;
    meet(&[&n1, &new, &n3])?;
    std::thread::sleep(WORKED_TOGETHER);
    old.ok(&["block", "add", BY_OLD])?;
    new.ok(&["block", "add", BY_NEW])?;
    site.network().heal(1)?;

    let code = old.wait(MEETING);
    let seen = format!("{code:?}: {}", old.log()?.lines().last().unwrap_or_default());
    verdict.check("the n2 that was cut off steps back, exit 5", code == Ok(STEPPED_BACK), seen);
    let what = "the n2 that took its place stays";
    match new.wait(STAYS) {
        Ok(code) => verdict.check(what, false, format!("exit {code:?}: {}", new.log()?.trim())),
        Err(_it_runs) => {
            let others = [&n1, &new, &n3];
            verdict.eventually(what, MEETING, || each(&others, |node| hears(node, &others)));
        }
    }
    verdict.eventually("what either wrote is kept", SPREADING, || {
        all_block(&[&n1, &n3], &[BY_OLD, BY_NEW])
    });
    Ok(())
}

/// A second n2 starts cut off and blocks some addresses; then it meets the others.
pub(in crate::faults) fn alone(
    site: &Site,
    verdict: &mut Verdict,
    rounds: u64,
    _: Pace,
) -> Result<(), String> {
    let n1 = site.start(&Start::new(0, "n1"))?;
    let mut n2 = site.start(&Start::new(1, "n2"))?;
    let n3 = site.start(&Start::new(2, "n3"))?;
    meet(&[&n1, &n2, &n3])?;
    std::thread::sleep(WORKED_TOGETHER);
    let mut written = Vec::new();
    for round in 1..=rounds {
        let id = format!("second{round}");
        site.network().cut(3)?;
        let mut second = site.start(&Start::new(3, &id).named("n2"))?;
        for host in 1..=5 {
            let address = format!("203.0.113.{}", round * 10 + host);
            second.ok(&["block", "add", &address])?;
            written.push(address);
        }
        site.network().heal(3)?;
        let code = second.wait(MEETING);
        let seen = format!("{code:?}: {}", second.log()?.lines().last().unwrap_or_default());
        let what = format!("round {round}: the second n2 steps back, exit 5");
        verdict.check(what, code == Ok(STEPPED_BACK), seen);
        let expected = written.iter().map(String::as_str).collect::<Vec<_>>();
        let what = format!("round {round}: the others have what it wrote alone");
        verdict.eventually(what, SPREADING, || all_block(&[&n1, &n3], &expected));
    }
    let ended = n2.ended()?;
    verdict.check("the first n2 runs", ended.is_none(), format!("{ended:?}"));
    Ok(())
}
