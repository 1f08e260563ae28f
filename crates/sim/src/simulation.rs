mod acts;
mod keeping;
mod lives;
mod lying;
mod publishing;

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use mailmesh_delivery::{
    Destination, Endpoint, Frame, FrameKind, Incarnation, Lane, LeaveReason, Output, Time, Via,
};

use crate::liar::{self, Liar};
use crate::mirrors::World;
use crate::network::{Network, Packet};
use crate::plan::Plan;
use crate::seat::Seat;
use crate::{Oracle, Report, Violation};

/// Virtual time without faults after the last step, after which all must be well.
const CALM: Duration = Duration::from_secs(7);
/// The same where liars say that they have what is lost for good: each hole is told late.
const CALM_AMONG_LIARS: Duration = Duration::from_secs(90);
/// In which what is sent without faults is everywhere.
const ARRIVED: Duration = Duration::from_secs(1);
/// Times that a node may be woken at one moment before it counts as restless.
const RESTLESS: u32 = 10_000;

/// A cluster in virtual time.
#[derive(Debug)]
pub struct Simulation<'a> {
    pub(crate) plan: &'a Plan,
    rng: Rng,
    pub(crate) now: Time,
    pub(crate) seats: Vec<Seat>,
    /// Where each life sits.
    places: BTreeMap<Incarnation, usize>,
    network: Network,
    world: World,
    liars: Vec<Liar>,
    agenda: BTreeMap<(Time, u64), Item>,
    planned: u64,
    pub(crate) oracle: Oracle,
    pub(crate) report: Report,
    pub(crate) trace: Option<Vec<String>>,
    lives: u64,
    woken: (Time, u32),
}

/// What happens at a moment.
#[derive(Debug)]
enum Item {
    Arrive {
        seat: usize,
        life: Incarnation,
        packet: Box<Packet>,
    },
    Wake {
        seat: usize,
    },
    /// It goes on, or handles the next of what waits.
    Handle {
        seat: usize,
    },
    Return {
        seat: usize,
    },
    /// It looks after its mirror.
    Tick {
        seat: usize,
        life: Incarnation,
    },
    /// It leaves, if it lingers no longer.
    Leave {
        seat: usize,
    },
    /// A liar says that it is there.
    LieOfItself {
        which: usize,
    },
    Flood(lying::Flooding),
}

impl<'a> Simulation<'a> {
    /// Runs a plan, and some seconds without faults after it.
    ///
    /// # Errors
    /// The first breach of the promise.
    pub fn run(plan: &'a Plan) -> Result<Report, Violation> {
        Self::new(plan).play()
    }

    /// The same, with a line for whatever happens.
    pub fn trace(plan: &'a Plan) -> (Result<Report, Violation>, Vec<String>) {
        let mut simulation = Self::new(plan);
        simulation.trace = Some(Vec::new());
        let result = simulation.play();
        (result, simulation.trace.unwrap_or_default())
    }

    fn new(plan: &'a Plan) -> Self {
        Self {
            plan,
            rng: Rng::with_seed(plan.seed ^ 0x0057_4F52_4C44),
            now: Time::default(),
            seats: (0..plan.nodes).map(Seat::new).collect(),
            places: BTreeMap::new(),
            network: Network::new(plan.seed, plan.faults, plan.liars > 0),
            world: World::default(),
            liars: (0..plan.liars).map(Liar::new).collect(),
            agenda: BTreeMap::new(),
            planned: 0,
            oracle: Oracle::new(plan),
            report: Report::default(),
            trace: None,
            lives: 0,
            woken: Default::default(),
        }
    }

    fn play(&mut self) -> Result<Report, Violation> {
        let result = self.play_all();
        self.report.elapsed = self.now.elapsed();
        let seed = self.plan.seed;
        result.map(|()| self.report).map_err(|what| Violation {
            what,
            seed,
            at: self.now.elapsed(),
        })
    }

    fn play_all(&mut self) -> Result<(), String> {
        for seat in 0..self.plan.nodes {
            self.begin_life(seat)?;
        }
        (0..self.liars.len()).for_each(|which| self.lie_of_itself(which));
        for step in &self.plan.steps {
            self.pass_until(Time::from_start(step.at))?;
            self.say(|| step.to_string());
            self.act(step)?;
        }
        self.pass_until(Time::from_start(self.plan.calm_at()))?;
        self.calm()?;
        let has_holes = self.plan.liars > 0 && self.plan.faults.small_bounds;
        self.pass_until(self.now + if has_holes { CALM_AMONG_LIARS } else { CALM })?;
        self.oracle.check_calm(&self.seats)?;
        // What is sent from now on arrives, whatever was told before.
        for seat in 0..self.seats.len() {
            for lane in Lane::ALL {
                self.publish(seat, lane, (1, 3))?;
            }
        }
        self.pass_until(self.now + ARRIVED)?;
        self.oracle.check_calm(&self.seats)?;
        self.check_mirrors()
    }

    /// Lets time pass: arrivals and deadlines in their order.
    fn pass_until(&mut self, until: Time) -> Result<(), String> {
        while let Some(entry) = self.agenda.first_entry().filter(|entry| entry.key().0 <= until) {
            let ((at, _), item) = entry.remove_entry();
            self.now = self.now.max(at);
            self.oracle.time(self.now);
            match item {
                Item::Arrive { seat, life, packet } => {
                    if self.places.get(&life) == Some(&seat) {
                        self.arrive(seat, *packet)?;
                    }
                }
                Item::Wake { seat } => self.wake(seat, at)?,
                Item::Handle { seat } => self.handle_waiting(seat)?,
                Item::Return { seat } => self.come_back(self.seats[seat].name)?,
                Item::Tick { seat, life } => self.tick(seat, life)?,
                Item::Leave { seat } => self.leave_if_done(seat)?,
                Item::LieOfItself { which } => self.lie_of_itself(which),
                Item::Flood(flooding) => self.flood(flooding),
            }
        }
        self.now = self.now.max(until);
        self.oracle.time(self.now);
        Ok(())
    }

    fn arrive(&mut self, seat: usize, packet: Packet) -> Result<(), String> {
        let place = &mut self.seats[seat];
        if place.is_frozen(self.now) || place.is_slow(self.now) {
            place.keep(self.now, packet);
            return Ok(());
        }
        self.handle(seat, packet)
    }

    fn handle(&mut self, seat: usize, packet: Packet) -> Result<(), String> {
        self.report.steps += 1;
        let place = &mut self.seats[seat];
        if let Some(node) = &mut place.node {
            let now = place.clock.local(self.now);
            let at = node.identity().incarnation;
            self.oracle.heard(at, packet.via.map_or(packet.frame.incarnation, |via| via.peer));
            match packet.via {
                None => node.handle_frame(now, packet.frame),
                Some(via) => node.handle_relayed(now, via, packet.frame),
            }
        }
        self.settle(seat)
    }

    /// What waited before a node that stood still, at once; before a slow one, a packet
    /// a millisecond.
    fn handle_waiting(&mut self, seat: usize) -> Result<(), String> {
        if self.seats[seat].is_frozen(self.now) {
            return Ok(());
        }
        while let Some(packet) = self.seats[seat].waiting.pop_front() {
            self.handle(seat, packet)?;
            if self.seats[seat].is_slow(self.now) {
                break;
            }
        }
        if self.seats[seat].is_slow(self.now) {
            self.schedule(self.now + Duration::from_millis(1), Item::Handle { seat });
        }
        self.look_again(seat);
        Ok(())
    }

    fn wake(&mut self, seat: usize, at: Time) -> Result<(), String> {
        let place = &mut self.seats[seat];
        if place.scheduled != Some(at) {
            return Ok(());
        }
        place.scheduled = None;
        if place.is_frozen(self.now) {
            return Ok(());
        }
        let now = place.clock.local(self.now);
        if let Some(node) = &mut place.node
            && node.next_deadline().is_some_and(|deadline| deadline <= now)
        {
            self.report.steps += 1;
            node.handle_deadline(now);
        }
        self.woken =
            if self.woken.0 == self.now { (self.now, self.woken.1 + 1) } else { (self.now, 0) };
        if self.woken.1 > RESTLESS {
            return Err(format!("nodes are woken without end at {:?}", self.now.elapsed()));
        }
        self.settle(seat)
    }

    /// After an input: takes what the node has to say, and notes its deadline.
    fn settle(&mut self, seat: usize) -> Result<(), String> {
        self.drain(seat)?;
        self.send_unsent(seat)?;
        if let Some(node) = &self.seats[seat].node {
            self.oracle.check_bounds(node)?;
        }
        self.leave_if_done(seat)?;
        self.look_again(seat);
        Ok(())
    }

    fn look_again(&mut self, seat: usize) {
        let place = &self.seats[seat];
        let deadline = place.node.as_ref().and_then(Endpoint::next_deadline);
        let Some(deadline) = deadline.map(|deadline| place.clock.global(deadline)) else { return };
        let deadline = deadline.max(self.now);
        if place.scheduled.is_none_or(|scheduled| deadline < scheduled) {
            self.seats[seat].scheduled = Some(deadline);
            self.schedule(deadline, Item::Wake { seat });
        }
    }

    fn schedule(&mut self, at: Time, item: Item) {
        self.planned += 1;
        self.agenda.insert((at, self.planned), item);
    }

    /// Takes what a node has to say, and has the oracle judge it.
    fn drain(&mut self, seat: usize) -> Result<(), String> {
        let mut steps_back = false;
        while let Some(output) = self.seats[seat].node.as_mut().and_then(Endpoint::poll_output) {
            steps_back |= self.take(seat, output)?;
        }
        if steps_back { self.leave(seat) } else { Ok(()) }
    }

    fn take(&mut self, seat: usize, output: Output) -> Result<bool, String> {
        let Some(node) = &self.seats[seat].node else { return Ok(false) };
        let at = node.identity().incarnation;
        self.say(|| match &output {
            Output::Transmit { to, frame } => format!("  {at:?} -> {to:?}: {}", shown(frame)),
            Output::Relay { to, frame, .. } => {
                format!("  {at:?} -> {to:?}: of {:?}, {}", frame.incarnation, shown(frame))
            }
            other => format!("  {at:?}: {other:?}"),
        });
        self.keep(seat, &output);
        match output {
            Output::Transmit { to, frame } => {
                if let Some(asked) = liar::request(&frame, to) {
                    self.oracle.asks(at, asked)?;
                }
                self.carry(seat, to, &Packet { frame, via: None });
            }
            Output::Relay { to, number, frame } => {
                let via = Some(Via { peer: at, number });
                self.carry(seat, Destination::One(to), &Packet { frame, via });
            }
            Output::Left { reason, .. } => {
                self.report.failures += u64::from(reason == LeaveReason::Failed);
                self.oracle.judge(at, &output)?;
            }
            Output::Deliver { count, .. } => {
                self.report.delivered += u64::from(count);
                self.oracle.judge(at, &output)?;
            }
            Output::Gap(gap) => {
                self.report.missed = self.report.missed.saturating_add(gap.missed);
                self.oracle.judge(at, &output)?;
            }
            Output::Joined(_) => self.oracle.judge(at, &output)?,
            Output::Reach { .. } => {
                self.report.reach_changes += 1;
                self.oracle.judge(at, &output)?;
            }
            Output::NameConflict(conflict) => {
                let steps_back = conflict.loser == at;
                self.oracle.conflict(at, conflict.winner, conflict.loser)?;
                return Ok(steps_back);
            }
            _ => {}
        }
        Ok(false)
    }

    fn carry(&mut self, from: usize, to: Destination, packet: &Packet) {
        match to {
            Destination::All => {
                for seat in (0..self.seats.len()).filter(|seat| *seat != from) {
                    self.carry_to(from, seat, packet);
                }
            }
            Destination::One(life) => match self.places.get(&life).copied() {
                Some(seat) => self.carry_to(from, seat, packet),
                None => self.ask_liar(life, packet),
            },
        }
    }

    fn carry_to(&mut self, from: usize, seat: usize, packet: &Packet) {
        let Some(node) = &self.seats[seat].node else { return };
        let life = node.identity().incarnation;
        let arrivals = self.network.send(self.now, (from, seat), packet);
        for at in arrivals.into_iter().flatten() {
            self.schedule(at, Item::Arrive { seat, life, packet: Box::new(packet.clone()) });
        }
    }

    fn say(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>12.6}  {}", self.now.elapsed().as_secs_f64(), line()));
        }
    }
}

/// What events are made of: their own numbers, so that content is checked.
pub(crate) fn body(from: Incarnation, lane: Lane, first: u64, count: u16) -> bytes::Bytes {
    let mut body = from.0.to_vec();
    body.extend(first.to_be_bytes());
    body.extend([lane as u8, count as u8]);
    body.resize(26 + usize::from(count) * 4, 7);
    body.into()
}

fn shown(frame: &Frame) -> String {
    match frame.kind {
        FrameKind::Data(lane) => {
            format!("{lane} {}..{}", frame.first, frame.first.saturating_add(frame.count.into()))
        }
        kind => format!("{kind:?} {} {:02x?}", frame.first, frame.body.get(1).copied()),
    }
}
