//! A disk that is full when a node starts.

use super::site::{Site, Start, all_block};
use super::tmpfs::Tmpfs;
use super::{MEETING, SPREADING, Verdict};
use crate::contender::wait_until;
use crate::faults::pace::Pace;
use rustix::process::Signal;

use super::node::Node;

const STORED: [&str; 3] = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];
const WHILE_FULL: &str = "192.0.2.4";

/// It was stopped in good order.
pub(in crate::faults) fn after_stop(
    site: &Site,
    verdict: &mut Verdict,
    _: u64,
    _: Pace,
) -> Result<(), String> {
    starts_full(site, verdict, |node| {
        node.signal(Signal::TERM)?;
        let code = node.wait(MEETING)?;
        // Everything was on the disk before it was full.
        (code == Some(0)).then_some(()).ok_or_else(|| format!("it stopped with exit {code:?}"))
    })
}

/// It was killed.
pub(in crate::faults) fn after_kill(
    site: &Site,
    verdict: &mut Verdict,
    _: u64,
    _: Pace,
) -> Result<(), String> {
    starts_full(site, verdict, |node| {
        node.signal(Signal::KILL)?;
        node.wait(MEETING).map(drop)
    })
}

fn starts_full(
    site: &Site,
    verdict: &mut Verdict,
    end: impl Fn(&mut Node) -> Result<(), String>,
) -> Result<(), String> {
    let disk = Tmpfs::mount(site.path("disk"), site.sweeper())?;
    let store = disk.path().join("store");
    let start = Start::new(0, "n1").with_store(&store);
    let mut node = site.start(&start)?;
    for address in STORED {
        node.ok(&["block", "add", address])?;
    }
    wait_until("the blocks to be on the disk", SPREADING, || Ok(is_saved(&node)?.0))?;
    disk.fill()?;
    end(&mut node)?;
    drop(node);
    // Its end may have made some room.
    disk.fill()?;

    let mut node = site.spawn(&start)?;
    let runs = node.is_ready(MEETING)?;
    let code = node.ended()?.and_then(|status| status.code());
    let log = node.log()?;
    let seen = if runs { "it answers".to_owned() } else { format!("exit {code:?}: {log}") };
    verdict.check("a node runs that starts while the disk is full", runs, seen);
    if !runs {
        return Ok(());
    }
    node.ok(&["block", "add", WHILE_FULL])?;
    verdict.eventually("it says that it cannot save", SPREADING, || {
        let failure = node.status()?["store"]["failure"].clone();
        let said = node.logged("ERROR")?;
        Ok((failure.is_string() && said.is_some(), format!("{failure}; {said:?}")))
    });
    let in_force = node.blocks_address(WHILE_FULL)?;
    verdict.check("what is blocked meanwhile is in force", in_force, "");

    disk.make_room()?;
    verdict.eventually("once there is room it saves", MEETING, || is_saved(&node));
    let all = [STORED.as_slice(), &[WHILE_FULL]].concat();
    verdict.eventually("and has all of it", SPREADING, || all_block(&[&node], &all));
    node.signal(Signal::KILL)?;
    node.wait(MEETING)?;
    drop(node);
    let node = site.start(&start)?;
    verdict.eventually("killed and started again it has all of it", SPREADING, || {
        all_block(&[&node], &all)
    });
    Ok(())
}

/// Whether all that a node has is on its disk.
fn is_saved(node: &Node) -> Result<(bool, String), String> {
    let store = node.status()?["store"].clone();
    Ok((store["waiting"] == 0 && store["failure"].is_null(), store.to_string()))
}
