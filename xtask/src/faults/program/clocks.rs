//! Wall clocks that are wrong. Timers are not: they go by the monotonic clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::faketime::Clock;
use super::node::Node;
use super::site::{Site, Start, all_block, each, hears, meet};
use super::{MEETING, SPREADING, Verdict};
use crate::contender::wait_until;
use crate::faults::pace::Pace;

const BY_N1: &str = "192.0.2.1";
const BY_N2: &str = "192.0.2.2";
const LATER: &str = "192.0.2.3";
const BY_N3: &str = "198.51.100.1";

/// Nodes ask each other for the time every 10 s, and say that clocks differ after 10 s of it.
const ALARM: Duration = Duration::from_secs(60);
/// How far apart two clocks may be that agree.
const APART: f64 = 60.0;
/// What a node took for ended by a wrong time is in force again once the time was right for a
/// while.
const BACK: Duration = Duration::from_secs(120);

/// Of two nodes the clock of one jumps ahead by a day. Nobody can tell which of two is right.
pub(in crate::faults) fn ahead(
    site: &Site,
    verdict: &mut Verdict,
    _: u64,
    _: Pace,
) -> Result<(), String> {
    let clock = Clock::new(site, "n2", "+0")?;
    let mut n1 = site.start(&Start::new(0, "n1"))?;
    let n2 = site.start(&Start::new(1, "n2").after(clock.words()))?;
    meet(&[&n1, &n2])?;
    // A clock that was not compared yet cannot be found wrong.
    for node in [&n1, &n2] {
        wait_until("clocks to be compared", MEETING, || {
            Ok(node.json(&["members", "--json"])?[0]["clock_ahead_ms"].is_i64())
        })?;
    }
    n1.ok(&["block", "add", BY_N1, "--ttl", "2h"])?;
    n2.ok(&["block", "add", BY_N2, "--ttl", "2h"])?;
    wait_until("the blocks to be on both", SPREADING, || {
        Ok(all_block(&[&n1, &n2], &[BY_N1, BY_N2])?.0)
    })?;

    n1.mark()?;
    clock.set("+1d")?;
    let mut let_in = Vec::new();
    verdict.eventually(
        "n1, whose clock is right, names n2 and says that clocks differ",
        ALARM,
        || {
            for address in [BY_N1, BY_N2] {
                if !n1.blocks_address(address)? {
                    let_in.push(address);
                }
            }
            let said = n1.logged("clocks differ, and no majority")?;
            let names_n2 = said.as_ref().is_some_and(|said| said.contains("n2"));
            let agreed = n1.status()?["clock_agreed"].clone();
            Ok((names_n2 && agreed == false, said.unwrap_or_else(|| format!("agreed: {agreed}"))))
        },
    );
    let still = all_block(&[&n1], &[BY_N1, BY_N2])?;
    verdict.check("meanwhile n1 blocked all it was told to", let_in.is_empty() && still.0, still.1);
    let accused = n1.logged("this node's clock is")?;
    verdict.check("it is not told to set its own clock", accused.is_none(), said(accused));

    n1.ok(&["block", "add", LATER, "--ttl", "1h"])?;
    let ends = ends_in(&n1, LATER)?;
    let seen = format!("ends in {ends:.0} s");
    verdict.check("a new block of n1 for 1 h ends in 1 h", (ends - 3_600.0).abs() < APART, seen);

    clock.set("+0")?;
    verdict.eventually("set right, both agree on the time", ALARM, || {
        each(&[&n1, &n2], |node| {
            let agreed = node.status()?["clock_agreed"] == true;
            Ok((agreed, format!("{}: {agreed}", node.id())))
        })
    });
    let begin = Instant::now();
    let back = verdict.eventually("and both block all of it again", BACK, || {
        all_block(&[&n1, &n2], &[BY_N1, BY_N2, LATER])
    });
    let took = back.then(|| begin.elapsed().as_secs_f64());
    verdict.figure("both block all again after", took, "s");
    verdict.eventually("their mirrors are the same", SPREADING, || same_mirror(&[&n1, &n2]));
    Ok(())
}

/// A node starts cut off with a clock that is two days ahead, as one without a battery. It
/// changes some, its clock is set right, and it meets the others.
pub(in crate::faults) fn alone(
    site: &Site,
    verdict: &mut Verdict,
    _: u64,
    _: Pace,
) -> Result<(), String> {
    let n1 = site.start(&Start::new(0, "n1"))?;
    let n2 = site.start(&Start::new(1, "n2"))?;
    meet(&[&n1, &n2])?;
    n1.ok(&["block", "add", BY_N1, "--reason", "spam"])?;
    site.network().cut(2)?;
    let clock = Clock::new(site, "n3", "+2d")?;
    let n3 = site.start(&Start::new(2, "n3").after(clock.words()))?;
    n3.ok(&["block", "add", BY_N3])?;
    n3.ok(&["block", "add", BY_N1])?;
    n3.ok(&["block", "remove", BY_N1])?;
    clock.set("+0")?;
    site.network().heal(2)?;
    let all = [&n1, &n2, &n3];
    verdict.eventually("all three meet", MEETING, || each(&all, |node| hears(node, &all)));
    verdict.eventually("all mirrors become the same", SPREADING, || same_mirror(&all));
    verdict.eventually("no change was refused", Duration::ZERO, || {
        each(&all, |node| {
            let status = node.status()?;
            let (refused, ahead) = (&status["mirror_refused"], &status["mirror_ahead"]);
            Ok((*refused == 0, format!("{}: refused {refused}, ahead {ahead}", node.id())))
        })
    });
    verdict.eventually("n1 blocks what n3 removed: in force on all", SPREADING, || {
        n1.ok(&["block", "add", BY_N1, "--reason", "again"])?;
        all_block(&all, &[BY_N1, BY_N3])
    });
    verdict.eventually("n1 removes what n3 blocked: gone on all", SPREADING, || {
        if n1.blocks_address(BY_N3)? {
            n1.ok(&["block", "remove", BY_N3])?;
        }
        all_block(&all, &[BY_N1])
    });
    n3.ok(&["block", "add", BY_N3])?;
    verdict.eventually("n3 blocks it anew: in force on all", SPREADING, || {
        all_block(&all, &[BY_N1, BY_N3])
    });
    verdict.eventually("mirrors are the same at the end", SPREADING, || same_mirror(&all));
    Ok(())
}

/// Whether all have the same content, by its fingerprint.
fn same_mirror(nodes: &[&Node]) -> Result<(bool, String), String> {
    let mut prints = Vec::new();
    for node in nodes {
        prints.push(node.status()?["mirror_fingerprint"].as_str().unwrap_or_default().to_owned());
    }
    let held = prints.first().is_some_and(|first| !first.is_empty())
        && prints.windows(2).all(|two| two[0] == two[1]);
    Ok((held, prints.join(", ")))
}

/// In how many seconds a block ends, by the clock of this machine.
fn ends_in(node: &Node, address: &str) -> Result<f64, String> {
    let said = node.run(&["block", "check", address, "--json"])?;
    let said: serde_json::Value =
        serde_json::from_str(&said.out).map_err(|error| format!("{:?}: {error}", said.out))?;
    let ends = said["block"]["expires"].as_u64().ok_or_else(|| format!("no end: {said}"))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| error.to_string())?;
    Ok(ends as f64 / 1e3 - now.as_secs_f64())
}

fn said(line: Option<String>) -> String {
    line.unwrap_or_else(|| "no such line".to_owned())
}
