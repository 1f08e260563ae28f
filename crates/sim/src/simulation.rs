use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use mailmesh_delivery::{
    Destination, Frame, FrameKind, Identity, Incarnation, Lane, LeaveReason, Link, Node, Output,
    Time,
};

use crate::network::{Network, Packet};
use crate::plan::{Action, Plan, Step};
use crate::seat::{Clock, Seat};
use crate::{Oracle, Violation};

/// Virtual time without faults after the last step, after which all must be well.
const CALM: Duration = Duration::from_secs(7);
/// Times that a node may be woken at one moment before it counts as restless.
const RESTLESS: u32 = 10_000;

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
    /// Times the way to a peer began or ended to lead through another.
    pub reach_changes: u64,
    /// Times a node did not publish because its lane was closed.
    pub closed: u64,
    /// Inputs handled.
    pub steps: u64,
    /// Virtual time that passed.
    pub elapsed: Duration,
}

impl Report {
    /// Adds what happened in another run.
    pub fn add(&mut self, other: &Self) {
        self.published += other.published;
        self.delivered += other.delivered;
        self.missed += other.missed;
        self.restarts += other.restarts;
        self.failures += other.failures;
        self.reach_changes += other.reach_changes;
        self.closed += other.closed;
        self.steps += other.steps;
        self.elapsed += other.elapsed;
    }
}

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
            network: Network::new(plan.seed, plan.faults),
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
        for step in &self.plan.steps {
            self.pass_until(Time::from_start(step.at))?;
            self.say(|| step.to_string());
            self.act(step)?;
        }
        self.pass_until(Time::from_start(self.plan.calm_at()))?;
        self.calm()?;
        self.pass_until(self.now + CALM)?;
        self.oracle.check_calm(&self.seats)
    }

    /// Every fault ends, and who is away comes back.
    fn calm(&mut self) -> Result<(), String> {
        self.say(|| "calm".into());
        self.network.calm();
        for seat in 0..self.seats.len() {
            (self.seats[seat].frozen_until, self.seats[seat].slow_until) = (None, None);
            self.schedule(self.now, Item::Handle { seat });
            self.look_again(seat);
        }
        for name in 0..self.plan.nodes {
            self.come_back(name)?;
        }
        Ok(())
    }

    fn act(&mut self, step: &Step) -> Result<(), String> {
        let now = self.now;
        match step.action {
            Action::Publish { node, lane, frames, events } => {
                for _ in 0..frames {
                    self.publish(node, lane, events)?;
                }
            }
            Action::Cut { from, to, both, lasts } => {
                self.cut(from, to, lasts);
                if both {
                    self.cut(to, from, lasts);
                }
            }
            Action::Isolate { node, lasts } => {
                for other in 0..self.seats.len() {
                    self.cut(node, other, lasts);
                    self.cut(other, node, lasts);
                }
            }
            Action::Crash { node, back_after, noticed, torn } => {
                if torn {
                    self.publish_torn(node)?;
                }
                let Some(life) = self.end_life(node) else { return Ok(()) };
                self.schedule(now + back_after, Item::Return { seat: node });
                if noticed {
                    self.hint_all(life)?;
                }
            }
            Action::Leave { node, back_after, torn } => {
                if torn {
                    self.publish_torn(node)?;
                }
                if !self.seats[node].is_frozen(now) && self.seats[node].node.is_some() {
                    self.leave(node)?;
                    self.schedule(now + back_after, Item::Return { seat: node });
                }
            }
            Action::Freeze { node, lasts } => {
                self.seats[node].frozen_until = Some(now + lasts);
                self.schedule(now + lasts, Item::Handle { seat: node });
            }
            Action::Slow { node, lasts } => {
                self.seats[node].slow_until = Some(now + lasts);
                self.schedule(now, Item::Handle { seat: node });
            }
            Action::Hint { node, of, up } => {
                let life = self.seats[of].node.as_ref().map(|node| node.identity().incarnation);
                let link = if up { Link::Up } else { Link::Down };
                if let Some(life) = life {
                    self.hint(node, life, link)?;
                }
            }
            Action::Twin { node } => {
                if self.seats.len() < 2 * self.plan.nodes {
                    self.seats.push(Seat::new(node));
                    self.begin_life(self.seats.len() - 1)?;
                }
            }
            Action::Forge { node, which } => self.forge(node, which)?,
        }
        Ok(())
    }

    fn cut(&mut self, from: usize, to: usize, lasts: Duration) {
        self.network.cut(from, to, self.now + lasts);
        self.oracle.cut(from, to, self.now + lasts);
    }

    fn publish(&mut self, seat: usize, lane: Lane, events: u16) -> Result<(), String> {
        let Some(frame) = self.number(seat, lane, events)? else { return Ok(()) };
        self.carry(seat, Destination::All, &Packet { frame, via: None });
        self.settle(seat)
    }

    /// The last that a node sends: of each frame it is drawn who gets it.
    fn publish_torn(&mut self, seat: usize) -> Result<(), String> {
        for _ in 0..self.rng.usize(1..6) {
            let (lane, events) = (Lane::ALL[self.rng.usize(..2)], self.rng.u16(1..=20));
            let Some(frame) = self.number(seat, lane, events)? else { return Ok(()) };
            let packet = Packet { frame, via: None };
            for other in (0..self.seats.len()).filter(|other| *other != seat) {
                if self.rng.bool() {
                    self.carry_to(seat, other, &packet);
                }
            }
        }
        self.settle(seat)
    }

    /// The next frame of a node, if it can send one.
    fn number(&mut self, seat: usize, lane: Lane, events: u16) -> Result<Option<Frame>, String> {
        let now = self.now;
        if self.seats[seat].is_frozen(now) {
            return Ok(None);
        }
        let Seat { node: Some(node), clock, .. } = &mut self.seats[seat] else { return Ok(None) };
        if !node.is_open(lane) {
            self.report.closed += 1;
            return Ok(None);
        }
        let from = node.identity().incarnation;
        let first = node.position(lane) + 1;
        let sent = node.send(clock.local(now), lane, events, body(from, lane, first, events));
        let frame = sent.map_err(|error| error.to_string())?;
        self.oracle.published(from, lane, events.into(), frame.body.len() as u64)?;
        self.report.published += u64::from(events);
        Ok(Some(frame))
    }

    fn begin_life(&mut self, seat: usize) -> Result<(), String> {
        self.lives += 1;
        let mut incarnation = [0; 16];
        incarnation[..8].copy_from_slice(&self.rng.u64(..).to_be_bytes());
        incarnation[8..].copy_from_slice(&self.lives.to_be_bytes());
        let incarnation = Incarnation(incarnation);
        let (mut clock, mut started_ms) = (Clock::default(), self.lives);
        let drift = i32::try_from(self.plan.faults.drift).unwrap_or(0);
        if drift > 0 {
            clock.ahead = Duration::from_millis(self.rng.u64(0..100_000));
            clock.drift = self.rng.i32(-drift..=drift);
            started_ms = self.rng.u64(0..1_000_000);
        }
        let place = &mut self.seats[seat];
        let name = format!("n{}", place.name).parse().map_err(|e| format!("{e}"))?;
        let identity = Identity::new(name, incarnation, started_ms);
        let node = Node::new(identity, self.plan.settings(), clock.local(self.now));
        *place = Seat { node: Some(node), clock, ..Seat::new(place.name) };
        self.places.insert(incarnation, seat);
        let name = place.name;
        self.oracle.begins(incarnation, name);
        self.say(|| format!("n{name} begins the life {incarnation:?}"));
        // The bus tells the links there are.
        for other in 0..self.seats.len() {
            if other != seat {
                self.hint(other, incarnation, Link::Up)?;
            }
        }
        self.settle(seat)
    }

    /// A life ends; the seat is empty.
    fn end_life(&mut self, seat: usize) -> Option<Incarnation> {
        let place = &mut self.seats[seat];
        let node = place.node.take()?;
        *place = Seat::new(place.name);
        let life = node.identity().incarnation;
        self.places.remove(&life);
        self.oracle.ends(life);
        self.report.restarts += 1;
        Some(life)
    }

    fn leave(&mut self, seat: usize) -> Result<(), String> {
        if let Some(node) = &mut self.seats[seat].node {
            node.leave();
        }
        self.drain(seat)?;
        self.end_life(seat);
        Ok(())
    }

    /// A name that nobody bears gets a new life.
    fn come_back(&mut self, name: usize) -> Result<(), String> {
        let taken = self.seats.iter().any(|seat| seat.name == name && seat.node.is_some());
        if taken { Ok(()) } else { self.begin_life(name) }
    }

    fn hint_all(&mut self, life: Incarnation) -> Result<(), String> {
        (0..self.seats.len()).try_for_each(|seat| self.hint(seat, life, Link::Down))
    }

    fn hint(&mut self, seat: usize, life: Incarnation, link: Link) -> Result<(), String> {
        let now = self.now;
        let place = &mut self.seats[seat];
        if place.is_frozen(now) {
            return Ok(());
        }
        if let Some(node) = &mut place.node {
            node.handle_link(place.clock.local(now), life, link);
        }
        self.settle(seat)
    }

    /// An old packet again, or one that nobody sent.
    fn forge(&mut self, seat: usize, which: u32) -> Result<(), String> {
        let packet = self.network.recorded(which / 2);
        let Some(mut packet) = packet else { return Ok(()) };
        if which % 2 == 1 {
            // A stranger's frame; who has the key could make it, and it says nothing.
            packet.frame.incarnation = Incarnation(std::array::from_fn(|_| self.rng.u8(..)));
            packet.frame.body = (0..self.rng.usize(..20)).map(|_| self.rng.u8(..)).collect();
        }
        self.arrive(seat, packet)
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
            self.oracle.heard(at, packet.via.unwrap_or(packet.frame.incarnation));
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
        if let Some(node) = &self.seats[seat].node {
            self.oracle.check_bounds(node)?;
        }
        self.look_again(seat);
        Ok(())
    }

    fn look_again(&mut self, seat: usize) {
        let place = &self.seats[seat];
        let deadline = place.node.as_ref().and_then(Node::next_deadline);
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
        while let Some(output) = self.seats[seat].node.as_mut().and_then(Node::poll_output) {
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
        match output {
            Output::Transmit { to, frame } => self.carry(seat, to, &Packet { frame, via: None }),
            Output::Relay { to, frame, .. } => {
                self.carry(seat, Destination::One(to), &Packet { frame, via: Some(at) });
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
                self.report.missed += gap.missed;
                self.oracle.judge(at, &output)?;
            }
            Output::Joined(_) => self.oracle.judge(at, &output)?,
            Output::Reach { .. } => {
                self.report.reach_changes += 1;
                self.oracle.judge(at, &output)?;
            }
            Output::Conflict(conflict) => {
                let steps_back = conflict.younger == at;
                self.oracle.conflict(at, conflict.elder, conflict.younger)?;
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
            Destination::One(life) => {
                if let Some(seat) = self.places.get(&life).copied() {
                    self.carry_to(from, seat, packet);
                }
            }
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
            format!("{lane} {}..{}", frame.first, frame.first + u64::from(frame.count))
        }
        kind => format!("{kind:?} {} {:02x?}", frame.first, frame.body.get(1).copied()),
    }
}
