//! Explores every run of a small scope: each order of a few messages, and each loss, duplication
//! and crash within budgets.
//!
//! The states are those of the real core. They are told apart by a hash of their `Debug` output,
//! and a step only hashes the node that it changed. The `stateright` crate would need `Hash` and
//! `Eq` on the core for the checker alone, and would hash the whole state at each step.

use std::collections::HashSet;
use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hasher};
use std::rc::Rc;
use std::time::Duration;

use mailmesh_delivery::{
    Destination, Endpoint, Identity, Incarnation, Lane, Output, Settings, Time, Via,
};

use crate::Oracle;
use crate::network::Packet;
use crate::simulation::body;

const LANE: Lane = Lane::Events;
/// Time without faults after which all nodes must know everything.
const RECOVERY_TIME: Duration = Duration::from_secs(11);

/// Scope of an exploration: the cluster and the budgets of its faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scope {
    /// Number of nodes. All know each other from the start.
    pub nodes: usize,
    /// Events that each of the first `senders` nodes publishes.
    pub events: u8,
    /// Number of nodes that publish.
    pub senders: usize,
    /// Most messages lost.
    pub losses: u8,
    /// Most messages delivered twice.
    pub duplicates: u8,
    /// Most nodes that crash.
    pub crashes: u8,
    /// Most timer expiries after which every order of messages is explored. From each state without
    /// a message in flight, one run without faults is tried.
    pub ticks: u8,
}

impl Scope {
    /// Two nodes that both send one event; for the tests.
    pub const TINY: Self =
        Self { nodes: 2, senders: 2, events: 1, losses: 1, duplicates: 1, crashes: 1, ticks: 1 };
    /// Two nodes that both send two events.
    pub const SMALL: Self = Self { events: 2, ticks: 2, ..Self::TINY };
    /// Three nodes, so that a receiver can get from another what its sender no longer has.
    pub const THREE: Self =
        Self { nodes: 3, senders: 1, events: 2, losses: 1, duplicates: 0, crashes: 1, ticks: 1 };
    /// Two nodes with more losses.
    pub const DEEP: Self = Self { losses: 2, ticks: 3, ..Self::SMALL };
    /// Three nodes with more losses.
    pub const DEEP_THREE: Self = Self { losses: 2, ticks: 2, ..Self::THREE };
}

/// Size of an exploration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Explored {
    /// Distinct states.
    pub states: u64,
    /// Transitions between states.
    pub transitions: u64,
    /// States from which a run without faults was tried.
    pub recovery_runs: u64,
}

#[derive(Debug, Clone, Copy)]
enum Move {
    Publish(usize),
    Crash(usize),
    Deliver(usize),
    Lose(usize),
    Repeat(usize),
    Tick,
}

#[derive(Debug, Clone)]
struct State {
    now: Time,
    nodes: Vec<Option<Endpoint>>,
    hashes: Vec<u64>,
    /// Messages in flight: a hash of the message, its target, and the message; sorted by hash.
    in_flight: Vec<(u64, usize, Packet)>,
    oracle: Oracle,
    to_publish: Vec<u8>,
    budget: Scope,
}

/// The moves that led to a state, last first.
#[derive(Debug)]
struct History {
    line: String,
    before: Option<Rc<Self>>,
}

/// Explores every run of a scope.
///
/// # Errors
/// The first violation of the delivery promise, with the moves that led to it.
pub fn explore(scope: Scope) -> Result<Explored, String> {
    let initial = State::initial(scope)?;
    let mut explored = Explored { states: 1, ..Explored::default() };
    let mut seen = HashSet::from([initial.hash()]);
    let mut stack: Vec<(State, Option<Rc<History>>)> = vec![(initial, None)];
    while let Some((state, history)) = stack.pop() {
        if state.in_flight.is_empty() {
            explored.recovery_runs += 1;
            state.clone().check_recovery().map_err(|error| {
                with_history(&history, &format!("{error}, after a time without faults"))
            })?;
        }
        for next in state.moves() {
            let line = state.describe(next);
            let history = Some(Rc::new(History { line, before: history.clone() }));
            let mut state = state.clone();
            state.apply(next).map_err(|error| with_history(&history, &error))?;
            explored.transitions += 1;
            if seen.insert(state.hash()) {
                explored.states += 1;
                stack.push((state, history));
            }
        }
    }
    Ok(explored)
}

fn with_history(history: &Option<Rc<History>>, error: &str) -> String {
    let mut lines = vec![error.to_owned()];
    let mut history = history.as_ref();
    while let Some(step) = history {
        lines.push(step.line.clone());
        history = step.before.as_ref();
    }
    lines.reverse();
    lines.join("\n")
}

impl State {
    /// All nodes know each other, and no message is in flight.
    fn initial(scope: Scope) -> Result<Self, String> {
        let mut state = Self {
            now: Time::default(),
            nodes: Vec::new(),
            hashes: vec![0; scope.nodes],
            in_flight: Vec::new(),
            oracle: Oracle::default(),
            to_publish: (0..scope.nodes)
                .map(|n| if n < scope.senders { scope.events } else { 0 })
                .collect(),
            budget: scope,
        };
        for n in 0..scope.nodes {
            let name = format!("n{n}").parse().map_err(|error| format!("{error}"))?;
            let identity = Identity::new(name, incarnation(n), n as u64);
            state.oracle.incarnation_started(incarnation(n), n);
            state.nodes.push(Some(Endpoint::new(identity, Settings::default(), state.now)));
        }
        (0..scope.nodes).try_for_each(|n| state.drain(n))?;
        state.run_until(state.now + Duration::from_millis(2_500))?;
        Ok(state)
    }

    fn moves(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        for n in (0..self.nodes.len()).filter(|n| self.nodes[*n].is_some()) {
            moves.extend((self.to_publish[n] > 0).then_some(Move::Publish(n)));
            moves.extend((self.budget.crashes > 0).then_some(Move::Crash(n)));
        }
        for index in 0..self.in_flight.len() {
            // Identical messages lead to identical states.
            if index > 0 && self.in_flight[index].0 == self.in_flight[index - 1].0 {
                continue;
            }
            moves.push(Move::Deliver(index));
            moves.extend((self.budget.losses > 0).then_some(Move::Lose(index)));
            moves.extend((self.budget.duplicates > 0).then_some(Move::Repeat(index)));
        }
        moves.extend((self.in_flight.is_empty() && self.budget.ticks > 0).then_some(Move::Tick));
        moves
    }

    fn apply(&mut self, next: Move) -> Result<(), String> {
        match next {
            Move::Publish(n) => {
                self.to_publish[n] -= 1;
                self.publish(n)
            }
            Move::Crash(n) => {
                self.budget.crashes -= 1;
                self.nodes[n] = None;
                self.hashes[n] = 0;
                self.oracle.incarnation_ended(incarnation(n));
                self.in_flight.retain(|(_, to, _)| *to != n);
                Ok(())
            }
            Move::Deliver(index) => {
                let (_, to, packet) = self.in_flight.remove(index);
                self.deliver(to, packet)
            }
            Move::Lose(index) => {
                self.budget.losses -= 1;
                self.in_flight.remove(index);
                Ok(())
            }
            Move::Repeat(index) => {
                self.budget.duplicates -= 1;
                let (_, to, packet) = self.in_flight[index].clone();
                self.deliver(to, packet)
            }
            Move::Tick => {
                self.budget.ticks -= 1;
                self.tick(None).map(|_| ())
            }
        }
    }

    fn publish(&mut self, n: usize) -> Result<(), String> {
        let Some(node) = &mut self.nodes[n] else { return Ok(()) };
        let content = body(incarnation(n), LANE, node.position(LANE) + 1, 1);
        let bytes = content.len() as u64;
        let frame = node.send(self.now, LANE, 1, content).map_err(|error| error.to_string())?;
        self.oracle.published(incarnation(n), LANE, 1, bytes)?;
        self.send(n, Destination::All, &Packet { frame, via: None });
        self.drain(n)
    }

    fn deliver(&mut self, to: usize, packet: Packet) -> Result<(), String> {
        let Some(node) = &mut self.nodes[to] else { return Ok(()) };
        match packet.via {
            None => node.handle_frame(self.now, packet.frame),
            Some(via) => node.handle_relayed(self.now, via, packet.frame),
        }
        self.drain(to)
    }

    /// Advances time to the next deadline. Returns false if that is after `until`.
    fn tick(&mut self, until: Option<Time>) -> Result<bool, String> {
        let next = self.nodes.iter().flatten().filter_map(Endpoint::next_deadline).min();
        let Some(next) = next.filter(|next| until.is_none_or(|until| *next <= until)) else {
            return Ok(false);
        };
        self.now = self.now.max(next);
        self.oracle.set_time(self.now);
        for n in 0..self.nodes.len() {
            let Some(node) = &mut self.nodes[n] else { continue };
            if node.next_deadline().is_some_and(|deadline| deadline <= self.now) {
                node.handle_deadline(self.now);
                self.drain(n)?;
            }
        }
        Ok(true)
    }

    /// Lets time pass without faults. Every message arrives at once.
    fn run_until(&mut self, until: Time) -> Result<(), String> {
        let mut steps = 0;
        loop {
            while let Some((_, to, packet)) = self.in_flight.pop() {
                self.deliver(to, packet)?;
            }
            steps += 1;
            if steps > 100_000 {
                return Err("endless wake-ups".into());
            }
            if !self.tick(Some(until))? {
                return Ok(());
            }
        }
    }

    /// Checks that after some time without faults all nodes know everything, and that the survivors
    /// of a crash agree.
    fn check_recovery(mut self) -> Result<(), String> {
        self.run_until(self.now + RECOVERY_TIME)?;
        let live = |n: &usize| self.nodes[*n].is_some();
        let all = 0..self.nodes.len();
        let mut end_of = vec![None; self.nodes.len()];
        for at in all.clone().filter(live) {
            let Some(node) = &self.nodes[at] else { continue };
            for from in all.clone().filter(|from| *from != at) {
                let position = node.peer_position(incarnation(from), LANE);
                let progress = self.oracle.progress(incarnation(at), incarnation(from), LANE);
                if self.nodes[from].is_some() {
                    if progress.is_some_and(|(_, missed)| missed > 0) {
                        return Err(format!(
                            "n{at} reported events of n{from} missing that n{from} has"
                        ));
                    }
                    let position = position.ok_or(format!("n{at} does not know n{from}"))?;
                    self.oracle.check_complete(
                        incarnation(at),
                        incarnation(from),
                        LANE,
                        position,
                    )?;
                } else if position.is_some() {
                    return Err(format!("n{at} considers the crashed n{from} alive"));
                } else {
                    if *end_of[from].get_or_insert(progress) != progress {
                        return Err(format!(
                            "n{at} has other events of the crashed n{from} than another node"
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes the outputs of a node and lets the oracle judge them.
    fn drain(&mut self, n: usize) -> Result<(), String> {
        let at = incarnation(n);
        while let Some(output) = self.nodes[n].as_mut().and_then(Endpoint::poll_output) {
            match output {
                Output::Transmit { to, frame } => self.send(n, to, &Packet { frame, via: None }),
                Output::Relay { to, number, frame } => {
                    let via = Some(Via { peer: at, number });
                    self.send(n, Destination::One(to), &Packet { frame, via });
                }
                other => self.oracle.judge(at, &other)?,
            }
        }
        self.hashes[n] = self.nodes[n].as_ref().map_or(0, hash_of);
        Ok(())
    }

    fn send(&mut self, from: usize, to: Destination, packet: &Packet) {
        let all = (0..self.nodes.len()).filter(|n| *n != from && self.nodes[*n].is_some());
        let reached: Vec<_> = all
            .filter(|n| to == Destination::All || to == Destination::One(incarnation(*n)))
            .collect();
        for n in reached {
            let hash = hash_of(&(n, packet));
            let index = self.in_flight.partition_point(|(other, ..)| *other < hash);
            self.in_flight.insert(index, (hash, n, packet.clone()));
        }
    }

    fn hash(&self) -> u64 {
        let in_flight: Vec<u64> = self.in_flight.iter().map(|(hash, ..)| *hash).collect();
        hash_of(&(self.now, &self.hashes, in_flight, &self.oracle, &self.to_publish, self.budget))
    }

    fn describe(&self, next: Move) -> String {
        let in_flight = |index: usize| {
            let (_, to, Packet { frame, .. }) = &self.in_flight[index];
            let (from, kind, first) = (frame.incarnation, frame.kind, frame.first);
            format!("{kind:?} {first} of {from:?} to n{to}")
        };
        let text = match next {
            Move::Publish(n) => format!("n{n} publishes"),
            Move::Crash(n) => format!("n{n} crashes"),
            Move::Deliver(index) => format!("delivered: {}", in_flight(index)),
            Move::Lose(index) => format!("lost: {}", in_flight(index)),
            Move::Repeat(index) => format!("delivered, and kept in flight: {}", in_flight(index)),
            Move::Tick => "time passes to the next deadline".to_owned(),
        };
        format!("{:>10.4} s  {text}", self.now.elapsed().as_secs_f64())
    }
}

fn incarnation(n: usize) -> Incarnation {
    Incarnation([u8::try_from(n + 1).unwrap_or(u8::MAX); 16])
}

/// A hash of the `Debug` output of a value.
fn hash_of(value: &impl fmt::Debug) -> u64 {
    struct Printed(DefaultHasher);
    impl fmt::Write for Printed {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.write(text.as_bytes());
            Ok(())
        }
    }
    let mut printed = Printed(DefaultHasher::new());
    // This writer never fails.
    let _ = write!(printed, "{value:?}");
    printed.0.finish()
}
