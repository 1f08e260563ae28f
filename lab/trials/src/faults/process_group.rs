//! The processes of one run of a scenario: starts them where they run, commands them, and collects
//! their reports.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use mailmesh_contender::{Command, Report, now_ns};
use rustix::process::Signal;

use super::account::{Flow, Incarnation, ProcessState, flows};
use super::network::Network;
use crate::contender::{Contender, Start, System, wait_until};
use crate::loopback;
use crate::sweeper::Sweeper;

/// Time in which the processes must find each other.
const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(40);
/// Time in which a burst must be published.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(240);
/// If no event has arrived for this time, the missing events are lost.
const QUIET_PERIOD: Duration = Duration::from_secs(8);
/// Time in which all published events must arrive.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(90);

/// How the processes are separated from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Isolation {
    /// Each process has its own network namespace.
    Namespaces,
    /// All processes share the loopback.
    Loopback,
}

/// The parts that all runs share.
#[derive(Debug)]
pub(super) struct Environment<'a> {
    pub(super) program: &'a Path,
    pub(super) isolation: Isolation,
    pub(super) sweeper: Sweeper,
}

/// The processes of one run, all of one system.
#[derive(Debug)]
pub(super) struct ProcessGroup<'a> {
    environment: &'a Environment<'a>,
    system: System,
    options: &'static [&'static str],
    config: String,
    nodes: Vec<Node>,
    /// Incarnations that have ended.
    ended: Vec<Incarnation>,
    peaks: BTreeMap<String, u64>,
    /// The last field: the processes are dropped before the network they are in.
    network: Option<Network>,
}

#[derive(Debug)]
struct Node {
    /// `None` after it was killed and not restarted.
    contender: Option<Contender>,
    from_start: bool,
}

impl<'a> ProcessGroup<'a> {
    /// Starts `nodes` processes with these options of the contender, and waits until each sees all
    /// the others.
    pub(super) fn start(
        environment: &'a Environment<'a>,
        system: System,
        nodes: usize,
        options: &'static [&'static str],
    ) -> Result<Self, String> {
        let (network, config) = match environment.isolation {
            Isolation::Namespaces => {
                (Some(Network::new(nodes, &environment.sweeper)?), "{ mode: 'peer' }".to_owned())
            }
            Isolation::Loopback => (None, loopback::config()?),
        };
        let mut group = Self {
            environment,
            system,
            options,
            config,
            nodes: Vec::new(),
            ended: Vec::new(),
            peaks: BTreeMap::new(),
            network,
        };
        for node in 0..nodes {
            let contender = Some(group.contender(node)?);
            group.nodes.push(Node { contender, from_start: true });
        }
        wait_until("all to see each other", DISCOVERY_TIMEOUT, || {
            Ok(group.reports()?.iter().all(|report| report.members == nodes - 1))
        })?;
        Ok(group)
    }

    fn contender(&self, node: usize) -> Result<Contender, String> {
        let prefix = self.network.as_ref().map(|network| network.on(node)).unwrap_or_default();
        let start = Start {
            program: self.environment.program,
            prefix: &prefix,
            system: self.system,
            name: &name(node),
            config: &self.config,
            options: self.options,
            log: None,
        };
        Contender::start(&start, &self.environment.sweeper)
    }

    /// The network of the namespaces; an error on the loopback.
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

    /// The reports of all running processes.
    fn reports(&mut self) -> Result<Vec<&Report>, String> {
        self.running().map(|contender| contender.query_report()).collect()
    }

    pub(super) fn send(&mut self, node: usize, command: &Command) -> Result<(), String> {
        self.node(node)?.send(command)
    }

    pub(super) fn send_all(&mut self, command: &Command) -> Result<(), String> {
        self.running().try_for_each(|contender| contender.send(command))
    }

    /// Every process publishes `rate` events a second until it is stopped.
    pub(super) fn publish_all(&mut self, rate: u64) -> Result<(), String> {
        self.send_all(&Command::Publish { count: 0, rate })
    }

    /// Ends the current phase and returns the moment, in nanoseconds of the monotonic clock.
    pub(super) fn mark_phase(&mut self) -> Result<u64, String> {
        let at = now_ns();
        self.send_all(&Command::Mark { at })?;
        Ok(at)
    }

    pub(super) fn signal(&mut self, node: usize, signal: Signal) -> Result<(), String> {
        self.node(node)?.signal(signal)
    }

    /// Kills a process and returns the moment, in nanoseconds of the monotonic clock.
    pub(super) fn kill(&mut self, node: usize) -> Result<u64, String> {
        self.end_process(node, ProcessState::Killed)
    }

    /// Ends a process and starts it again under the same name.
    pub(super) fn restart(&mut self, node: usize, state: ProcessState) -> Result<(), String> {
        self.end_process(node, state)?;
        let contender = Some(self.contender(node)?);
        self.nodes[node] = Node { contender, from_start: false };
        Ok(())
    }

    fn end_process(&mut self, node: usize, state: ProcessState) -> Result<u64, String> {
        if state == ProcessState::Left {
            self.send(node, &Command::Stop)?;
            let contender = self.node(node)?;
            wait_until("the end of publishing", PUBLISH_TIMEOUT, || {
                Ok(!contender.query_report()?.busy)
            })?;
        }
        let from_start = self.nodes[node].from_start;
        let mut contender = self.nodes[node].contender.take().ok_or("it has been killed")?;
        let report = contender.query_report()?.clone();
        record_peak(&mut self.peaks, &contender);
        let at = now_ns();
        if state == ProcessState::Left {
            contender.quit();
        } else {
            drop(contender);
        }
        self.ended.push(Incarnation { node, from_start, state, report });
        Ok(at)
    }

    /// Waits until no process publishes any more.
    pub(super) fn wait_for_publishers(&mut self) -> Result<(), String> {
        wait_until("the end of publishing", PUBLISH_TIMEOUT, || {
            Ok(self.reports()?.iter().all(|report| !report.busy))
        })
    }

    /// Stops all publishers. Waits until each event has been delivered or reported missing, or
    /// until no event arrives any more.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        self.send_all(&Command::Stop)?;
        self.wait_for_publishers()?;
        let deadline = Instant::now() + ARRIVAL_TIMEOUT;
        let mut received = 0;
        let mut changed = Instant::now();
        loop {
            let incarnations = self.incarnations()?;
            let flows = flows(&incarnations);
            let now = flows
                .iter()
                .map(|flow| flow.received.tally.delivered + flow.received.tally.reported_missing);
            let now = now.sum::<u64>();
            if now != received {
                (received, changed) = (now, Instant::now());
            }
            let is_complete = flows.iter().all(|flow| flow.silent == 0);
            if is_complete || changed.elapsed() > QUIET_PERIOD || Instant::now() > deadline {
                break;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        let running = self.nodes.iter().filter_map(|node| node.contender.as_ref());
        running.for_each(|contender| record_peak(&mut self.peaks, contender));
        Ok(())
    }

    /// All incarnations, with their current or last reports.
    pub(super) fn incarnations(&mut self) -> Result<Vec<Incarnation>, String> {
        let mut incarnations = self.ended.clone();
        for (node, Node { contender, from_start }) in self.nodes.iter_mut().enumerate() {
            if let Some(contender) = contender {
                let report = contender.query_report()?.clone();
                incarnations.push(Incarnation {
                    node,
                    from_start: *from_start,
                    state: ProcessState::Running,
                    report,
                });
            }
        }
        Ok(incarnations)
    }

    /// Peak memory of each process over all its incarnations, in KiB, by name.
    pub(super) fn peaks(&self) -> BTreeMap<String, u64> {
        self.peaks.clone()
    }

    /// Ends all processes in good order, at the same time.
    pub(super) fn quit(mut self) {
        let _ = self.send_all(&Command::Quit);
        for node in &mut self.nodes {
            if let Some(contender) = node.contender.take() {
                contender.quit();
            }
        }
    }
}

fn record_peak(peaks: &mut BTreeMap<String, u64>, contender: &Contender) {
    let peak = peaks.entry(contender.name().to_owned()).or_default();
    *peak = (*peak).max(contender.peak_rss_kb());
}

fn name(node: usize) -> String {
    char::from_u32('a' as u32 + node as u32).unwrap_or('z').to_string()
}

/// Seconds from the fault until the last of these (observer, departed) pairs recorded the
/// departure; `None` unless all did.
pub(super) fn detection_time(
    incarnations: &[Incarnation],
    observed: &[(usize, usize)],
    fault: u64,
) -> Option<f64> {
    let incarnation_of = |node: usize| {
        let mut of_node = incarnations.iter().filter(|incarnation| incarnation.node == node);
        of_node.next()
    };
    let mut last = None;
    for (observer, departed) in observed {
        let (observer, departed) =
            (incarnation_of(*observer)?, incarnation_of(*departed)?.report.incarnation);
        let notices = &observer.report.notices;
        let notice =
            notices.iter().find(|n| n.incarnation == departed && !n.up && n.at >= fault)?;
        last = last.max(Some(notice.at));
    }
    last.map(|last| (last - fault) as f64 / 1e9)
}

/// Seconds from the heal (the second mark) until the last of these (receiver, sender) pairs was
/// complete. A pair is complete when every event from before the heal was delivered or reported
/// missing, and one from after the heal was delivered. `None` unless all pairs are.
pub(super) fn recovery_time(flows: &[Flow], of: &[(usize, usize)], heal: u64) -> Option<f64> {
    let mut last = heal;
    for (receiver, sender) in of {
        let flow = flows.iter().find(|p| (p.receiver, p.sender) == (*receiver, *sender))?;
        let [before @ .., after] = flow.received.phases.as_slice() else { return None };
        if before.len() != 2 || after.first_at == 0 || flow.silent > 0 {
            return None;
        }
        let late = before.iter().map(|phase| phase.last_at).max().unwrap_or(0);
        last = last.max(late).max(after.first_at).max(flow.received.tally.reported_at);
    }
    Some((last - heal) as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use mailmesh_contender::{Notice, PhaseReport, SenderReport};

    use super::*;

    #[test]
    fn the_detection_time_ends_when_the_last_observer_saw_the_departure() {
        let incarnation = |node: usize, notices: &[(u64, bool, u64)]| {
            let notices = notices.iter().map(|(incarnation, up, at)| Notice {
                incarnation: *incarnation,
                up: *up,
                at: *at,
            });
            let report = Report {
                incarnation: node as u64,
                notices: notices.collect(),
                ..Report::default()
            };
            Incarnation { node, from_start: true, state: ProcessState::Running, report }
        };
        let second = 1_000_000_000;
        let incarnations = [
            incarnation(0, &[(2, true, 1), (2, false, 5 * second)]),
            incarnation(1, &[(2, false, 1), (2, true, 2), (2, false, 6 * second)]),
            incarnation(2, &[]),
        ];
        assert_eq!(detection_time(&incarnations, &[(0, 2), (1, 2)], 2 * second), Some(4.0));
        assert_eq!(detection_time(&incarnations, &[(0, 2), (2, 0)], 2 * second), None);
    }

    #[test]
    fn recovery_ends_once_old_events_are_complete_and_new_ones_arrive() {
        let phase = |first_at, last_at| PhaseReport { first_at, last_at, ..PhaseReport::default() };
        let flow = |phases: Vec<PhaseReport>, silent| {
            let received = SenderReport { phases, ..SenderReport::default() };
            Flow { receiver: 1, sender: 0, expected: 9, silent, received }
        };
        let second = 1_000_000_000;
        let heal = 10 * second;
        let phases =
            vec![phase(1, 5), phase(11 * second, 13 * second), phase(12 * second, 20 * second)];
        let recovery_of = |flow: Flow| recovery_time(&[flow], &[(1, 0)], heal);
        assert_eq!(recovery_of(flow(phases.clone(), 0)), Some(3.0));
        assert_eq!(recovery_of(flow(phases.clone(), 1)), None);
        assert_eq!(recovery_of(flow(phases[..2].to_vec(), 0)), None);
    }
}
