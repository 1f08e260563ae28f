//! The processes of one run of a scenario, where they run, and what is done to
//! them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use mailmesh_contender::{Command, Report, now_ns};
use rustix::process::Signal;

use super::account::{End, Life, Pair, pairs};
use super::network::Network;
use crate::contender::{Contender, Start, System, wait_until};
use crate::loopback;
use crate::sweeper::Sweeper;

/// How long the processes may take to find each other.
const MEETING: Duration = Duration::from_secs(40);
/// How long a burst may take to be published.
const PUBLISHING: Duration = Duration::from_secs(240);
/// When nothing has come for so long, nothing will.
const QUIET: Duration = Duration::from_secs(8);
/// How long what was published may take to come at all.
const ARRIVAL: Duration = Duration::from_secs(90);

/// Where the processes of all runs run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Each in a network namespace of its own.
    Namespaces,
    /// All on the loopback.
    Loopback,
}

/// What all runs have in common.
#[derive(Debug)]
pub(super) struct Ground<'a> {
    pub(super) program: &'a Path,
    pub(super) place: Place,
    pub(super) sweeper: Sweeper,
}

/// A run.
#[derive(Debug)]
pub(super) struct Field<'a> {
    ground: &'a Ground<'a>,
    system: System,
    options: &'static [&'static str],
    config: String,
    nodes: Vec<Node>,
    /// Lives that have ended.
    ended: Vec<Life>,
    peaks: BTreeMap<String, u64>,
    /// Last: the processes go before the network they are in.
    network: Option<Network>,
}

#[derive(Debug)]
struct Node {
    /// `None` after it was killed for good.
    contender: Option<Contender>,
    from_start: bool,
}

impl<'a> Field<'a> {
    /// Starts `nodes` processes with these options of the contender, and waits until each sees all
    /// others.
    pub(super) fn start(
        ground: &'a Ground<'a>,
        system: System,
        nodes: usize,
        options: &'static [&'static str],
    ) -> Result<Self, String> {
        let (network, config) = match ground.place {
            Place::Namespaces => {
                (Some(Network::new(nodes, &ground.sweeper)?), "{ mode: 'peer' }".to_owned())
            }
            Place::Loopback => (None, loopback::config()?),
        };
        let mut field = Self {
            ground,
            system,
            options,
            config,
            nodes: Vec::new(),
            ended: Vec::new(),
            peaks: BTreeMap::new(),
            network,
        };
        for node in 0..nodes {
            let contender = Some(field.contender(node)?);
            field.nodes.push(Node { contender, from_start: true });
        }
        wait_until("all to see each other", MEETING, || {
            Ok(field.reports()?.iter().all(|report| report.members == nodes - 1))
        })?;
        Ok(field)
    }

    fn contender(&self, node: usize) -> Result<Contender, String> {
        let before = self.network.as_ref().map(|network| network.on(node)).unwrap_or_default();
        let start = Start {
            program: self.ground.program,
            before: &before,
            system: self.system,
            name: &name(node),
            config: &self.config,
            options: self.options,
            log: None,
        };
        Contender::start(&start, &self.ground.sweeper)
    }

    /// The network; only scenarios that need one ask.
    pub(super) fn network(&self) -> Result<&Network, String> {
        self.network.as_ref().ok_or_else(|| "this scenario needs namespaces".to_owned())
    }

    fn running(&mut self) -> impl Iterator<Item = &mut Contender> {
        self.nodes.iter_mut().filter_map(|node| node.contender.as_mut())
    }

    fn node(&mut self, node: usize) -> Result<&mut Contender, String> {
        let contender = self.nodes.get_mut(node).and_then(|node| node.contender.as_mut());
        contender.ok_or_else(|| format!("{} has been killed", name(node)))
    }

    /// Asks all that run.
    fn reports(&mut self) -> Result<Vec<&Report>, String> {
        self.running().map(|contender| contender.ask()).collect()
    }

    pub(super) fn tell(&mut self, node: usize, command: &Command) -> Result<(), String> {
        self.node(node)?.tell(command)
    }

    pub(super) fn tell_all(&mut self, command: &Command) -> Result<(), String> {
        self.running().try_for_each(|contender| contender.tell(command))
    }

    /// Everybody publishes at this rate until told to stop.
    pub(super) fn publish_all(&mut self, rate: u64) -> Result<(), String> {
        self.tell_all(&Command::Publish { count: 0, rate })
    }

    /// A phase ends now. The moment, in nanoseconds.
    pub(super) fn mark(&mut self) -> Result<u64, String> {
        let at = now_ns();
        self.tell_all(&Command::Mark { at })?;
        Ok(at)
    }

    pub(super) fn signal(&mut self, node: usize, signal: Signal) -> Result<(), String> {
        self.node(node)?.signal(signal)
    }

    /// Kills a process. The moment.
    pub(super) fn kill(&mut self, node: usize) -> Result<u64, String> {
        self.end(node, End::Killed)
    }

    /// Ends a process and starts it again under its name.
    pub(super) fn restart(&mut self, node: usize, end: End) -> Result<(), String> {
        self.end(node, end)?;
        let contender = Some(self.contender(node)?);
        self.nodes[node] = Node { contender, from_start: false };
        Ok(())
    }

    fn end(&mut self, node: usize, end: End) -> Result<u64, String> {
        if end == End::Left {
            self.tell(node, &Command::Stop)?;
            let contender = self.node(node)?;
            wait_until("the end of publishing", PUBLISHING, || Ok(!contender.ask()?.busy))?;
        }
        let from_start = self.nodes[node].from_start;
        let mut contender = self.nodes[node].contender.take().ok_or("it has been killed")?;
        let report = contender.ask()?.clone();
        note_peak(&mut self.peaks, &contender);
        let at = now_ns();
        if end == End::Left {
            contender.quit();
        } else {
            drop(contender);
        }
        self.ended.push(Life { node, from_start, end, report });
        Ok(at)
    }

    /// Waits until nobody publishes any more.
    pub(super) fn wait_for_publishers(&mut self) -> Result<(), String> {
        wait_until("the end of publishing", PUBLISHING, || {
            Ok(self.reports()?.iter().all(|report| !report.busy))
        })
    }

    /// Stops all and waits until everything has come or been told, or nothing comes
    /// any more.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        self.tell_all(&Command::Stop)?;
        self.wait_for_publishers()?;
        let deadline = Instant::now() + ARRIVAL;
        let mut heard = 0;
        let mut changed = Instant::now();
        loop {
            let lives = self.lives()?;
            let pairs = pairs(&lives);
            let now = pairs.iter().map(|pair| pair.heard.tally.delivered + pair.heard.tally.told);
            let now = now.sum::<u64>();
            if now != heard {
                (heard, changed) = (now, Instant::now());
            }
            let is_whole = pairs.iter().all(|pair| pair.silent == 0);
            if is_whole || changed.elapsed() > QUIET || Instant::now() > deadline {
                break;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        let running = self.nodes.iter().filter_map(|node| node.contender.as_ref());
        running.for_each(|contender| note_peak(&mut self.peaks, contender));
        Ok(())
    }

    /// All lives, with what they say now or said last.
    pub(super) fn lives(&mut self) -> Result<Vec<Life>, String> {
        let mut lives = self.ended.clone();
        for (node, Node { contender, from_start }) in self.nodes.iter_mut().enumerate() {
            if let Some(contender) = contender {
                let report = contender.ask()?.clone();
                lives.push(Life { node, from_start: *from_start, end: End::Alive, report });
            }
        }
        Ok(lives)
    }

    /// The most memory each process ever had in use, in KiB, of all its lives.
    pub(super) fn peaks(&self) -> BTreeMap<String, u64> {
        self.peaks.clone()
    }

    /// Ends all in good order, together.
    pub(super) fn quit(mut self) {
        let _ = self.tell_all(&Command::Quit);
        for node in &mut self.nodes {
            if let Some(contender) = node.contender.take() {
                contender.quit();
            }
        }
    }
}

fn note_peak(peaks: &mut BTreeMap<String, u64>, contender: &Contender) {
    let peak = peaks.entry(contender.name().to_owned()).or_default();
    *peak = (*peak).max(contender.peak_rss_kb());
}

fn name(node: usize) -> String {
    char::from_u32('a' as u32 + node as u32).unwrap_or('z').to_string()
}

/// When the last of these observers noticed that the other had gone, in seconds
/// after the fault; `None` unless all did.
pub(super) fn noticed(lives: &[Life], observed: &[(usize, usize)], fault: u64) -> Option<f64> {
    let life_of = |node: usize| {
        let mut of_node = lives.iter().filter(|life| life.node == node);
        of_node.next()
    };
    let mut last = None;
    for (observer, gone) in observed {
        let (observer, gone) = (life_of(*observer)?, life_of(*gone)?.report.life);
        let notices = &observer.report.notices;
        let notice = notices.iter().find(|n| n.life == gone && !n.up && n.at >= fault)?;
        last = last.max(Some(notice.at));
    }
    last.map(|last| (last - fault) as f64 / 1e9)
}

/// When the last of these pairs had everything from before the heal, delivered or
/// told, and something published after it; in seconds after the heal, which is
/// the second mark. `None` unless all came to that.
pub(super) fn whole(pairs: &[Pair], of: &[(usize, usize)], heal: u64) -> Option<f64> {
    let mut last = heal;
    for (receiver, sender) in of {
        let pair = pairs.iter().find(|p| (p.receiver, p.sender) == (*receiver, *sender))?;
        let [before @ .., after] = pair.heard.phases.as_slice() else { return None };
        if before.len() != 2 || after.first_at == 0 || pair.silent > 0 {
            return None;
        }
        let late = before.iter().map(|phase| phase.last_at).max().unwrap_or(0);
        last = last.max(late).max(after.first_at).max(pair.heard.tally.told_at);
    }
    Some((last - heal) as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use mailmesh_contender::{Notice, PhaseReport, SenderReport};

    use super::*;

    #[test]
    fn a_fault_is_noticed_when_the_last_observer_saw_it() {
        let life = |node: usize, notices: &[(u64, bool, u64)]| {
            let notices =
                notices.iter().map(|(life, up, at)| Notice { life: *life, up: *up, at: *at });
            let report =
                Report { life: node as u64, notices: notices.collect(), ..Report::default() };
            Life { node, from_start: true, end: End::Alive, report }
        };
        let second = 1_000_000_000;
        let lives = [
            life(0, &[(2, true, 1), (2, false, 5 * second)]),
            life(1, &[(2, false, 1), (2, true, 2), (2, false, 6 * second)]),
            life(2, &[]),
        ];
        assert_eq!(noticed(&lives, &[(0, 2), (1, 2)], 2 * second), Some(4.0));
        assert_eq!(noticed(&lives, &[(0, 2), (2, 0)], 2 * second), None);
    }

    #[test]
    fn whole_again_is_when_the_old_is_there_and_the_new_flows() {
        let phase = |first_at, last_at| PhaseReport { first_at, last_at, ..PhaseReport::default() };
        let pair = |phases: Vec<PhaseReport>, silent| {
            let heard = SenderReport { phases, ..SenderReport::default() };
            Pair { receiver: 1, sender: 0, owed: 9, silent, heard }
        };
        let second = 1_000_000_000;
        let heal = 10 * second;
        let phases =
            vec![phase(1, 5), phase(11 * second, 13 * second), phase(12 * second, 20 * second)];
        let whole_of = |pair: Pair| whole(&[pair], &[(1, 0)], heal);
        assert_eq!(whole_of(pair(phases.clone(), 0)), Some(3.0));
        assert_eq!(whole_of(pair(phases.clone(), 1)), None);
        assert_eq!(whole_of(pair(phases[..2].to_vec(), 0)), None);
    }
}
