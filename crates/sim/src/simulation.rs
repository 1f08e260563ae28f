mod actions;
mod liar_driver;
mod lifecycle;
mod mirror_checks;
mod mirror_driver;
mod publishing;

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use mailmesh_delivery::{
    Destination, Endpoint, Frame, FrameKind, Incarnation, Lane, LeaveReason, Output, Time, Via,
};

use crate::host::Host;
use crate::liar::{self, Liar};
use crate::mirrors::MirrorWorld;
use crate::network::{Network, Packet};
use crate::plan::Plan;
use crate::{Oracle, Report, Violation};

/// Time without faults at the end of a run, after which all invariants must hold.
const RECOVERY_TIME: Duration = Duration::from_secs(7);
/// The same in plans with liars and small bounds. A liar claims to have events that no node has any
/// more, so receivers give up such holes late.
const RECOVERY_TIME_WITH_LIARS: Duration = Duration::from_secs(90);
/// Time in which a frame reaches every node if there are no faults.
const DELIVERY_TIME: Duration = Duration::from_secs(1);
/// Most deadlines at one moment. More count as an endless loop.
const MAX_WAKEUPS_AT_ONCE: u32 = 10_000;

/// A cluster in virtual time.
#[derive(Debug)]
pub struct Simulation<'a> {
    pub(crate) plan: &'a Plan,
    rng: Rng,
    pub(crate) now: Time,
    pub(crate) hosts: Vec<Host>,
    /// The host that runs each live incarnation.
    host_of: BTreeMap<Incarnation, usize>,
    network: Network,
    world: MirrorWorld,
    liars: Vec<Liar>,
    queue: BTreeMap<(Time, u64), Task>,
    scheduled_count: u64,
    pub(crate) oracle: Oracle,
    pub(crate) report: Report,
    pub(crate) trace: Option<Vec<String>>,
    incarnations: u64,
    wakeups: (Time, u32),
}

/// A scheduled task.
#[derive(Debug)]
enum Task {
    Arrive {
        host_id: usize,
        incarnation: Incarnation,
        packet: Box<Packet>,
    },
    Deadline {
        host_id: usize,
    },
    /// The host resumes, or handles its next waiting packet.
    HandleWaiting {
        host_id: usize,
    },
    Restart {
        host_id: usize,
    },
    /// Periodic work on the mirror.
    MirrorTick {
        host_id: usize,
        incarnation: Incarnation,
    },
    /// The node leaves, unless it still waits for acknowledgements.
    Leave {
        host_id: usize,
    },
    /// A liar sends its heartbeat.
    LiarHeartbeat {
        liar_index: usize,
    },
    Flood(liar_driver::OngoingFlood),
}

impl<'a> Simulation<'a> {
    /// Runs a plan, then some time without faults, and checks all invariants.
    ///
    /// # Errors
    /// The first violation.
    pub fn run(plan: &'a Plan) -> Result<Report, Violation> {
        Self::new(plan).run_to_end()
    }

    /// Like [`run`](Self::run); also returns a trace with one line for each action and output.
    pub fn trace(plan: &'a Plan) -> (Result<Report, Violation>, Vec<String>) {
        let mut simulation = Self::new(plan);
        simulation.trace = Some(Vec::new());
        let result = simulation.run_to_end();
        (result, simulation.trace.unwrap_or_default())
    }

    fn new(plan: &'a Plan) -> Self {
        Self {
            plan,
            rng: Rng::with_seed(plan.seed ^ 0x0057_4F52_4C44),
            now: Time::default(),
            hosts: (0..plan.nodes).map(Host::new).collect(),
            host_of: BTreeMap::new(),
            network: Network::new(plan.seed, plan.faults, plan.liars > 0),
            world: MirrorWorld::default(),
            liars: (0..plan.liars).map(Liar::new).collect(),
            queue: BTreeMap::new(),
            scheduled_count: 0,
            oracle: Oracle::new(plan),
            report: Report::default(),
            trace: None,
            incarnations: 0,
            wakeups: Default::default(),
        }
    }

    fn run_to_end(&mut self) -> Result<Report, Violation> {
        let result = self.execute();
        self.report.elapsed = self.now.elapsed();
        let seed = self.plan.seed;
        result.map(|()| self.report).map_err(|message| Violation {
            message,
            seed,
            at: self.now.elapsed(),
        })
    }

    fn execute(&mut self) -> Result<(), String> {
        for host_id in 0..self.plan.nodes {
            self.start_incarnation(host_id)?;
        }
        (0..self.liars.len()).for_each(|liar_index| self.send_liar_heartbeat(liar_index));
        for step in &self.plan.steps {
            self.run_until(Time::from_start(step.at))?;
            self.log(|| step.to_string());
            self.apply(step)?;
        }
        self.run_until(Time::from_start(self.plan.faults_end_at()))?;
        self.end_faults()?;
        let has_holes = self.plan.liars > 0 && self.plan.faults.small_bounds;
        self.run_until(
            self.now + if has_holes { RECOVERY_TIME_WITH_LIARS } else { RECOVERY_TIME },
        )?;
        self.oracle.check_recovered(&self.hosts)?;
        // Later events must arrive, whatever was reported missing before.
        for host_id in 0..self.hosts.len() {
            for lane in Lane::ALL {
                self.publish(host_id, lane, (1, 3))?;
            }
        }
        self.run_until(self.now + DELIVERY_TIME)?;
        self.oracle.check_recovered(&self.hosts)?;
        self.check_mirrors()
    }

    /// Runs all tasks up to a time, in their order.
    fn run_until(&mut self, until: Time) -> Result<(), String> {
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= until) {
            let ((at, _), task) = entry.remove_entry();
            self.now = self.now.max(at);
            self.oracle.set_time(self.now);
            match task {
                Task::Arrive { host_id, incarnation, packet } => {
                    if self.host_of.get(&incarnation) == Some(&host_id) {
                        self.arrive(host_id, *packet)?;
                    }
                }
                Task::Deadline { host_id } => self.on_deadline(host_id, at)?,
                Task::HandleWaiting { host_id } => self.handle_waiting(host_id)?,
                Task::Restart { host_id } => self.restart_if_down(self.hosts[host_id].name)?,
                Task::MirrorTick { host_id, incarnation } => {
                    self.mirror_tick(host_id, incarnation)?
                }
                Task::Leave { host_id } => self.leave_if_done(host_id)?,
                Task::LiarHeartbeat { liar_index } => self.send_liar_heartbeat(liar_index),
                Task::Flood(flood) => self.continue_flood(flood),
            }
        }
        self.now = self.now.max(until);
        self.oracle.set_time(self.now);
        Ok(())
    }

    fn arrive(&mut self, host_id: usize, packet: Packet) -> Result<(), String> {
        let host = &mut self.hosts[host_id];
        if host.is_frozen(self.now) || host.is_slow(self.now) {
            host.queue(self.now, packet);
            return Ok(());
        }
        self.handle(host_id, packet)
    }

    fn handle(&mut self, host_id: usize, packet: Packet) -> Result<(), String> {
        self.report.inputs += 1;
        let host = &mut self.hosts[host_id];
        if let Some(endpoint) = &mut host.endpoint {
            let now = host.clock.local(self.now);
            let at = endpoint.identity().incarnation;
            self.oracle
                .packet_arrived(at, packet.via.map_or(packet.frame.incarnation, |via| via.peer));
            match packet.via {
                None => endpoint.handle_frame(now, packet.frame),
                Some(via) => endpoint.handle_relayed(now, via, packet.frame),
            }
        }
        self.after_input(host_id)
    }

    /// Handles the packets that waited: all of them after a freeze, one per millisecond on a slow
    /// host.
    fn handle_waiting(&mut self, host_id: usize) -> Result<(), String> {
        if self.hosts[host_id].is_frozen(self.now) {
            return Ok(());
        }
        while let Some(packet) = self.hosts[host_id].waiting.pop_front() {
            self.handle(host_id, packet)?;
            if self.hosts[host_id].is_slow(self.now) {
                break;
            }
        }
        if self.hosts[host_id].is_slow(self.now) {
            self.schedule(self.now + Duration::from_millis(1), Task::HandleWaiting { host_id });
        }
        self.schedule_deadline(host_id);
        Ok(())
    }

    fn on_deadline(&mut self, host_id: usize, at: Time) -> Result<(), String> {
        let host = &mut self.hosts[host_id];
        if host.scheduled != Some(at) {
            return Ok(());
        }
        host.scheduled = None;
        if host.is_frozen(self.now) {
            return Ok(());
        }
        let now = host.clock.local(self.now);
        if let Some(endpoint) = &mut host.endpoint
            && endpoint.next_deadline().is_some_and(|deadline| deadline <= now)
        {
            self.report.inputs += 1;
            endpoint.handle_deadline(now);
        }
        self.wakeups =
            if self.wakeups.0 == self.now { (self.now, self.wakeups.1 + 1) } else { (self.now, 0) };
        if self.wakeups.1 > MAX_WAKEUPS_AT_ONCE {
            return Err(format!("endless wake-ups at {:?}", self.now.elapsed()));
        }
        self.after_input(host_id)
    }

    /// After each input: handles the outputs, publishes, and schedules the next deadline.
    fn after_input(&mut self, host_id: usize) -> Result<(), String> {
        self.poll_outputs(host_id)?;
        self.publish_waiting(host_id)?;
        if let Some(endpoint) = &self.hosts[host_id].endpoint {
            self.oracle.check_bounds(endpoint)?;
        }
        self.leave_if_done(host_id)?;
        self.schedule_deadline(host_id);
        Ok(())
    }

    fn schedule_deadline(&mut self, host_id: usize) {
        let host = &self.hosts[host_id];
        let deadline = host.endpoint.as_ref().and_then(Endpoint::next_deadline);
        let Some(deadline) = deadline.map(|deadline| host.clock.global(deadline)) else { return };
        let deadline = deadline.max(self.now);
        if host.scheduled.is_none_or(|scheduled| deadline < scheduled) {
            self.hosts[host_id].scheduled = Some(deadline);
            self.schedule(deadline, Task::Deadline { host_id });
        }
    }

    fn schedule(&mut self, at: Time, task: Task) {
        self.scheduled_count += 1;
        self.queue.insert((at, self.scheduled_count), task);
    }

    /// Takes the outputs of a node and lets the oracle judge them.
    fn poll_outputs(&mut self, host_id: usize) -> Result<(), String> {
        let mut must_leave = false;
        while let Some(output) =
            self.hosts[host_id].endpoint.as_mut().and_then(Endpoint::poll_output)
        {
            must_leave |= self.handle_output(host_id, output)?;
        }
        if must_leave { self.leave(host_id) } else { Ok(()) }
    }

    fn handle_output(&mut self, host_id: usize, output: Output) -> Result<bool, String> {
        let Some(endpoint) = &self.hosts[host_id].endpoint else { return Ok(false) };
        let at = endpoint.identity().incarnation;
        self.log(|| match &output {
            Output::Transmit { to, frame } => format!("  {at:?} -> {to:?}: {}", describe(frame)),
            Output::Relay { to, frame, .. } => {
                format!("  {at:?} -> {to:?}: relays {:?}: {}", frame.incarnation, describe(frame))
            }
            other => format!("  {at:?}: {other:?}"),
        });
        self.update_mirror(host_id, &output);
        match output {
            Output::Transmit { to, frame } => {
                if let Some(request) = liar::requested_events(&frame, to) {
                    self.oracle.nak_sent(at, request)?;
                }
                self.transmit(host_id, to, &Packet { frame, via: None });
            }
            Output::Relay { to, number, frame } => {
                let via = Some(Via { peer: at, number });
                self.transmit(host_id, Destination::One(to), &Packet { frame, via });
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
                self.report.missing = self.report.missing.saturating_add(gap.missed);
                self.oracle.judge(at, &output)?;
            }
            Output::Joined(_) => self.oracle.judge(at, &output)?,
            Output::Reach { .. } => {
                self.report.reach_changes += 1;
                self.oracle.judge(at, &output)?;
            }
            Output::NameConflict(conflict) => {
                let must_leave = conflict.loser == at;
                self.oracle.name_conflict(at, conflict.winner, conflict.loser)?;
                return Ok(must_leave);
            }
            _ => {}
        }
        Ok(false)
    }

    fn transmit(&mut self, from: usize, to: Destination, packet: &Packet) {
        match to {
            Destination::All => {
                for host_id in (0..self.hosts.len()).filter(|host_id| *host_id != from) {
                    self.transmit_to(from, host_id, packet);
                }
            }
            Destination::One(incarnation) => match self.host_of.get(&incarnation).copied() {
                Some(host_id) => self.transmit_to(from, host_id, packet),
                None => self.answer_as_liar(incarnation, packet),
            },
        }
    }

    fn transmit_to(&mut self, from: usize, host_id: usize, packet: &Packet) {
        let Some(endpoint) = &self.hosts[host_id].endpoint else { return };
        let incarnation = endpoint.identity().incarnation;
        let arrivals = self.network.send(self.now, (from, host_id), packet);
        for at in arrivals.into_iter().flatten() {
            self.schedule(
                at,
                Task::Arrive { host_id, incarnation, packet: Box::new(packet.clone()) },
            );
        }
    }

    fn log(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>12.6}  {}", self.now.elapsed().as_secs_f64(), line()));
        }
    }
}

/// The body of a frame of events. It contains their stream and numbers, so that receivers check it.
pub(crate) fn body(from: Incarnation, lane: Lane, first: u64, count: u16) -> bytes::Bytes {
    let mut body = from.0.to_vec();
    body.extend(first.to_be_bytes());
    body.extend([lane as u8, count as u8]);
    body.resize(26 + usize::from(count) * 4, 7);
    body.into()
}

fn describe(frame: &Frame) -> String {
    match frame.kind {
        FrameKind::Data(lane) => {
            format!("{lane} {}..{}", frame.first, frame.first.saturating_add(frame.count.into()))
        }
        kind => format!("{kind:?} {} {:02x?}", frame.first, frame.body.get(1).copied()),
    }
}
