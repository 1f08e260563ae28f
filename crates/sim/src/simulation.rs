use std::time::Duration;

use fastrand::Rng;
use mailmesh_delivery::{
    Destination, Identity, Incarnation, Lane, LeaveReason, Node, Output, Settings, Time,
};

use crate::network::Network;
use crate::{Faults, Oracle, Violation};

/// Virtual time with faults.
const TROUBLE: Duration = Duration::from_secs(30);
/// Virtual time without, after which all must be well.
const CALM: Duration = Duration::from_secs(10);

/// What happened in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Report {
    /// Events published.
    pub published: u64,
    /// Events delivered, at all receivers.
    pub delivered: u64,
    /// Events told missing, at all receivers.
    pub missed: u64,
    /// Crashes and goodbyes.
    pub restarts: u64,
    /// Times a node was told that another failed.
    pub failures: u64,
    /// Times a node did not publish because its lane was closed.
    pub closed: u64,
    /// Inputs handled.
    pub steps: u64,
}

/// A cluster in virtual time.
#[derive(Debug)]
pub struct Simulation {
    rng: Rng,
    faults: Faults,
    now: Time,
    nodes: Vec<Node>,
    network: Network,
    oracle: Oracle,
    report: Report,
    lives: u64,
}

impl Simulation {
    /// Runs `nodes` nodes through 30 s with `faults` and 10 s without.
    ///
    /// # Errors
    /// The first breach of the promise.
    ///
    /// # Panics
    /// With fewer than 2 nodes.
    pub fn run(seed: u64, nodes: usize, faults: Faults) -> Result<Report, Violation> {
        assert!(nodes >= 2, "a cluster has two nodes or more");
        let mut simulation = Self {
            rng: Rng::with_seed(seed),
            faults,
            now: Time::default(),
            nodes: Vec::new(),
            network: Network::default(),
            oracle: Oracle::default(),
            report: Report::default(),
            lives: 0,
        };
        simulation.play(nodes).map_err(|what| Violation { what, seed })?;
        Ok(simulation.report)
    }

    fn play(&mut self, nodes: usize) -> Result<(), String> {
        for index in 0..nodes {
            let node = self.new_life(index);
            self.nodes.push(node);
        }
        let end = self.now + TROUBLE;
        while self.now < end {
            self.tick()?;
            self.trouble()?;
            self.publish()?;
        }
        self.faults = Faults::default();
        self.network.heal();
        let end = self.now + CALM;
        while self.now < end {
            self.tick()?;
        }
        self.check_quiet()
    }

    fn new_life(&mut self, index: usize) -> Node {
        self.lives += 1;
        let mut incarnation = [0; 16];
        incarnation[..8].copy_from_slice(&self.rng.u64(..).to_be_bytes());
        incarnation[8..].copy_from_slice(&self.lives.to_be_bytes());
        let name = format!("n{index}").parse();
        let name = name.unwrap_or_else(|_| unreachable!("the name is a letter and digits"));
        let identity = Identity::new(name, Incarnation(incarnation), self.lives);
        Node::new(identity, Settings::default(), self.now)
    }

    /// A millisecond passes: arrivals and deadlines in their order.
    fn tick(&mut self) -> Result<(), String> {
        let until = self.now + Duration::from_millis(1);
        loop {
            self.drain()?;
            let deadline = self.nodes.iter().filter_map(Node::next_deadline).min();
            let next = deadline.into_iter().chain(self.network.next_arrival()).min();
            let Some(next) = next.filter(|next| *next <= until) else {
                break;
            };
            self.now = self.now.max(next);
            self.report.steps += 1;
            if let Some((to, frame)) = self.network.arrival(self.now) {
                self.nodes[to].handle_frame(self.now, frame);
                continue;
            }
            for node in &mut self.nodes {
                if node.next_deadline().is_some_and(|deadline| deadline <= self.now) {
                    node.handle_deadline(self.now);
                }
            }
        }
        self.now = until;
        Ok(())
    }

    /// Faults of this millisecond.
    fn trouble(&mut self) -> Result<(), String> {
        let mut happens = |per_second: u32| self.rng.u32(..1_000_000) < per_second;
        let (cut, crash, goodbye) = (
            happens(self.faults.cuts),
            happens(self.faults.crashes),
            happens(self.faults.goodbyes),
        );
        if cut {
            let (a, b) = (self.any_node(), self.any_node());
            let until = self.now + Duration::from_millis(self.rng.u64(100..10_000));
            self.network.cut(a, b, until);
            if self.rng.bool() {
                self.network.cut(b, a, until);
            }
        }
        if crash || goodbye {
            let index = self.any_node();
            if goodbye {
                self.nodes[index].leave();
                self.drain()?;
            }
            self.nodes[index] = self.new_life(index);
            self.report.restarts += 1;
        }
        Ok(())
    }

    fn any_node(&mut self) -> usize {
        self.rng.usize(..self.nodes.len())
    }

    /// Now and then a node publishes a few frames.
    fn publish(&mut self) -> Result<(), String> {
        if self.rng.u32(..100) >= 5 {
            return Ok(());
        }
        let index = self.any_node();
        for _ in 0..self.rng.u32(1..=8) {
            let lane = if self.rng.bool() { Lane::Urgent } else { Lane::Events };
            let count = self.rng.u16(1..=20);
            let node = &mut self.nodes[index];
            if !node.is_open(lane) {
                self.report.closed += 1;
                continue;
            }
            let from = node.identity().incarnation;
            let first = node.position(lane) + 1;
            let body = body(from, lane, first, count);
            let frame = node.send(self.now, lane, count, body).map_err(|e| e.to_string())?;
            self.oracle.published(from, lane, count.into());
            self.report.published += u64::from(count);
            self.carry(index, Destination::All, &frame);
        }
        Ok(())
    }

    fn carry(&mut self, from: usize, to: Destination, frame: &mailmesh_delivery::Frame) {
        for index in 0..self.nodes.len() {
            let addressed = match to {
                Destination::All => index != from,
                Destination::One(peer) => self.nodes[index].identity().incarnation == peer,
            };
            if addressed {
                self.network.send(self.now, (from, index), frame, &self.faults, &mut self.rng);
            }
        }
    }

    /// Takes what the nodes have to say, and has the oracle judge it.
    fn drain(&mut self) -> Result<(), String> {
        for index in 0..self.nodes.len() {
            while let Some(output) = self.nodes[index].poll_output() {
                self.judge(index, output)?;
            }
        }
        Ok(())
    }

    fn judge(&mut self, index: usize, output: Output) -> Result<(), String> {
        let at = self.nodes[index].identity().incarnation;
        match output {
            Output::Transmit { to, frame } => self.carry(index, to, &frame),
            Output::Joined(peer) => {
                self.oracle.joined(at, peer.incarnation, peer.awaited_after)?;
            }
            Output::Left { peer, reason } => {
                self.report.failures += u64::from(reason == LeaveReason::Failed);
                self.oracle.left(at, peer.incarnation)?;
            }
            Output::Deliver { from, lane, first, count, body: content } => {
                if content != body(from, lane, first, count) {
                    return Err(format!("{at:?} got other content for {first} of {from:?} {lane}"));
                }
                self.report.delivered += u64::from(count);
                self.oracle.came(at, from, lane, first, count.into())?;
            }
            Output::Gap(gap) => {
                self.report.missed += gap.missed;
                self.oracle.came(at, gap.from, gap.lane, gap.first, gap.missed)?;
            }
            Output::Conflict(conflict) => {
                return Err(format!("{at:?} was told of two nodes named {}", conflict.name));
            }
            _ => {}
        }
        Ok(())
    }

    /// After calm: everybody knows everybody, and of all they published.
    fn check_quiet(&self) -> Result<(), String> {
        for node in &self.nodes {
            let at = node.identity().incarnation;
            for other in &self.nodes {
                let from = other.identity().incarnation;
                if from == at {
                    continue;
                }
                for lane in Lane::ALL {
                    let Some(position) = node.peer_position(from, lane) else {
                        return Err(format!(
                            "{at:?} does not know {from:?} after {CALM:?} of calm"
                        ));
                    };
                    self.oracle.quiet(at, from, lane, position)?;
                }
            }
            if node.peer_count() != self.nodes.len() - 1 {
                return Err(format!("{at:?} knows {} peers", node.peer_count()));
            }
        }
        Ok(())
    }
}

/// What events are made of here: their own numbers, so that content is checked.
fn body(from: Incarnation, lane: Lane, first: u64, count: u16) -> bytes::Bytes {
    format!("{from} {lane} {first} {count}").into()
}
