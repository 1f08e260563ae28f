//! A node that stands still: stopped, starved of the processor, or on a machine that sleeps.

use std::time::Duration;

use rustix::process::Signal;

use super::site::{Site, Start, all_block, each, hears, meet};
use super::{MEETING, SPREADING, Verdict};
use crate::contender::wait_until;
use crate::faults::pace::Pace;

const WHILE_STILL: &str = "192.0.2.1";
/// How long it is watched after all hear each other.
const WATCHED: Duration = Duration::from_secs(10);

/// One of three is stopped for so many seconds, then continued.
pub(in crate::faults) fn stopped(
    site: &Site,
    verdict: &mut Verdict,
    seconds: u64,
    pace: Pace,
) -> Result<(), String> {
    let n1 = site.start(&Start::new(0, "n1"))?;
    let n2 = site.start(&Start::new(1, "n2"))?;
    let mut n3 = site.start(&Start::new(2, "n3"))?;
    meet(&[&n1, &n2, &n3])?;
    n3.mark()?;
    n3.signal(Signal::STOP)?;
    wait_until("the others to notice", MEETING, || {
        Ok(hears(&n1, &[&n1, &n2])?.0 && hears(&n2, &[&n1, &n2])?.0)
    })?;
    n1.ok(&["block", "add", WHILE_STILL])?;
    // Not less than what is noticed: links end after 10 s.
    std::thread::sleep(pace.seconds(seconds).max(Duration::from_secs(10)));
    n3.signal(Signal::CONT)?;

    verdict.eventually("it says that it stood still, and for how long", SPREADING, || {
        let said = n3.logged("this node stood still for")?;
        Ok((said.is_some(), said.unwrap_or_else(|| "no such line".to_owned())))
    });
    let all = [&n1, &n2, &n3];
    verdict.eventually("all three hear each other again", MEETING, || {
        each(&all, |node| hears(node, &all))
    });
    verdict.eventually("it has what was blocked meanwhile", SPREADING, || {
        all_block(&all, &[WHILE_STILL])
    });
    // A node is taken for failed after 3 s without a sign of life.
    std::thread::sleep(WATCHED);
    let accused = n3.logged("node left")?;
    let seen = accused.clone().unwrap_or_else(|| "no such line".to_owned());
    verdict.check("it reports no other node as failed", accused.is_none(), seen);
    Ok(())
}
