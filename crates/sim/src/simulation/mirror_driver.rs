//! Drives the mirrors of the nodes as the driver of a server does.

use std::time::Duration;

use mailmesh_delivery::{Incarnation, Lane, Output};
use mailmesh_events::{Change, ClockMessage, DirectMessage, Rule, RuleDetails, UnixMillis};
use mailmesh_state::StateError;

use super::{Simulation, Task};
use crate::mirrors::{self, Replica, network};

/// Time between two periodic tasks of a mirror.
pub(super) const TICK_INTERVAL: Duration = Duration::from_millis(200);
/// Most milliseconds that wrong clocks may move the cluster time of a node whose own clock is
/// right. Clocks that are minutes off may still agree with it and with each other.
const MAX_CORRECTION_MS: u64 = 180_000;

impl Simulation<'_> {
    /// Cluster time as the node knows it.
    pub(super) fn cluster_time(&self, host_id: usize) -> UnixMillis {
        let host = &self.hosts[host_id];
        let wall_clock = self.world.wall_clock(host.name, self.now.elapsed());
        let correction = host.replica.as_ref().map_or(0, |replica| replica.correction);
        UnixMillis(wall_clock.0.saturating_add_signed(correction))
    }

    pub(super) fn start_replica(&mut self, host_id: usize, incarnation: Incarnation) {
        if self.plan.mirrors {
            let writer = self.rng.u64(..);
            self.hosts[host_id].replica = Some(Box::new(Replica::new(incarnation, writer)));
            self.publish_digest(host_id);
            // Nodes tick at different times.
            let phase =
                Duration::from_millis(37 * host_id as u64 % TICK_INTERVAL.as_millis() as u64);
            self.schedule(
                self.now + TICK_INTERVAL + phase,
                Task::MirrorTick { host_id, incarnation },
            );
        }
    }

    /// Puts the mirror's digest into the heartbeats.
    fn publish_digest(&mut self, host_id: usize) {
        let host = &mut self.hosts[host_id];
        if let (Some(endpoint), Some(replica)) = (&mut host.endpoint, &host.replica) {
            endpoint.set_tag(replica.tag());
        }
    }

    fn send_direct<M: Into<DirectMessage>>(
        &mut self,
        host_id: usize,
        messages: Vec<(Incarnation, M)>,
    ) {
        for (peer, message) in messages {
            let message = message.into();
            let is_content = matches!(message, DirectMessage::Sync(_));
            let body = self.world.store_message(message);
            if let Some(endpoint) = &mut self.hosts[host_id].endpoint {
                if is_content {
                    self.world.count_message(endpoint.identity().incarnation, self.now.elapsed());
                }
                // A peer that has left needs no message.
                let _gone = endpoint.send_direct(peer, body);
            }
        }
    }

    fn set_time(&mut self, host_id: usize) {
        let elapsed = self.now.elapsed();
        let wall_clock = self.world.wall_clock(self.hosts[host_id].name, elapsed);
        if let Some(replica) = &mut self.hosts[host_id].replica {
            replica.correction = replica.clocks.estimate(wall_clock, elapsed).correction_ms;
        }
    }

    fn ask_time(&mut self, host_id: usize) {
        let at = self.now.elapsed();
        let Some(replica) = &mut self.hosts[host_id].replica else { return };
        let asked = at.as_micros() as u64;
        let due = replica.clocks.due_queries(at).into_iter();
        let messages = due.map(|peer| (peer, ClockMessage::Query { asked })).collect();
        self.send_direct(host_id, messages);
    }

    /// Periodic work: time queries, expiry and comparison.
    pub(super) fn mirror_tick(
        &mut self,
        host_id: usize,
        incarnation: Incarnation,
    ) -> Result<(), String> {
        if self.host_of.get(&incarnation) != Some(&host_id) {
            return Ok(());
        }
        self.schedule(self.now + TICK_INTERVAL, Task::MirrorTick { host_id, incarnation });
        if self.hosts[host_id].is_frozen(self.now) {
            return Ok(());
        }
        self.world.check_message_rate()?;
        self.ask_time(host_id);
        self.set_time(host_id);
        let (now, at) = (self.cluster_time(host_id), self.now.elapsed());
        let is_correct = self.world.is_correct(self.hosts[host_id].name);
        let Some(replica) = &mut self.hosts[host_id].replica else { return Ok(()) };
        if is_correct && replica.correction.unsigned_abs() > MAX_CORRECTION_MS {
            let ms = replica.correction;
            return Err(format!(
                "wrong clocks moved the time of {incarnation:?}, whose clock is right, by {ms} ms"
            ));
        }
        let is_changed = !replica.mirror.sweep(now).is_empty();
        replica.reconciler.on_deadline(at);
        let messages = replica.reconciler.take_outgoing();
        self.send_direct(host_id, messages);
        if is_changed {
            self.publish_digest(host_id);
        }
        self.after_input(host_id)
    }

    /// Passes an output of the node to its mirror.
    pub(super) fn update_mirror(&mut self, host_id: usize, output: &Output) {
        let (now, at) = (self.cluster_time(host_id), self.now.elapsed());
        let Some(replica) = &mut self.hosts[host_id].replica else { return };
        match output {
            Output::Deliver { from, lane: Lane::Urgent, first, count, .. } => {
                let numbers = *first..first + u64::from(*count);
                let changes = numbers.filter_map(|number| self.world.changes.get(&(*from, number)));
                changes.for_each(|change| drop(replica.mirror.apply(change, now)));
                self.publish_digest(host_id);
            }
            Output::Gap(gap) => replica.reconciler.on_gap(gap.from),
            Output::Joined(peer) => {
                replica.reconciler.on_joined(peer.incarnation);
                replica.clocks.on_joined(peer.incarnation, peer.name.as_str(), at);
                self.ask_time(host_id);
            }
            Output::Left { peer, .. } => {
                replica.reconciler.on_left(peer.incarnation, at);
                replica.clocks.on_left(peer.incarnation);
                self.set_time(host_id);
            }
            Output::Tag { from, tag } => {
                if let Some(theirs) = mirrors::digest(tag) {
                    let ours = replica.mirror.digest();
                    replica.reconciler.on_digest(*from, theirs, ours, at);
                    let messages = replica.reconciler.take_outgoing();
                    self.send_direct(host_id, messages);
                }
            }
            Output::Direct { from, body } => {
                if let Some(message) = self.world.load_message(body) {
                    self.handle_direct(host_id, *from, message);
                }
            }
            _ => {}
        }
    }

    fn handle_direct(&mut self, host_id: usize, from: Incarnation, message: DirectMessage) {
        let (now, at) = (self.cluster_time(host_id), self.now.elapsed());
        let wall_clock = self.world.wall_clock(self.hosts[host_id].name, at);
        let Some(replica) = &mut self.hosts[host_id].replica else { return };
        match message {
            DirectMessage::Clock(ClockMessage::Query { asked }) => {
                let answer = ClockMessage::Answer { asked, now: wall_clock };
                self.send_direct(host_id, vec![(from, answer)]);
            }
            DirectMessage::Clock(ClockMessage::Answer { asked, now: theirs }) => {
                replica.clocks.on_answer(from, Duration::from_micros(asked), theirs, at);
                self.set_time(host_id);
            }
            DirectMessage::Sync(message) => {
                let Replica { mirror, reconciler, .. } = &mut **replica;
                let taken = reconciler.on_message(from, message, mirror, now, at);
                let messages = reconciler.take_outgoing();
                self.send_direct(host_id, messages);
                if !taken.is_empty() {
                    self.publish_digest(host_id);
                }
            }
            _ => {}
        }
    }

    /// A node blocks the network of a key, optionally for a time. With `None` it removes the block.
    pub(super) fn block(
        &mut self,
        host_id: usize,
        key: u16,
        block: Option<Option<Duration>>,
    ) -> Result<(), String> {
        let now = self.cluster_time(host_id);
        let host = &self.hosts[host_id];
        let (Some(endpoint), Some(replica)) = (&host.endpoint, &host.replica) else {
            return Ok(());
        };
        if !endpoint.may_send(Lane::Urgent) || host.is_frozen(self.now) || host.leaving.is_some() {
            return Ok(());
        }
        let (incarnation, mirror) = (endpoint.identity().incarnation, &replica.mirror);
        let was_blocked = mirror.is_blocked(network(key).address(), now);
        let made = match block {
            Some(ttl) => {
                let block = RuleDetails::new("x", now).map_err(|error| error.to_string())?;
                let block = match ttl {
                    Some(ttl) => block.with_expiry(now.plus(ttl)),
                    None => block,
                };
                mirror.block(network(key), block, now)
            }
            None => mirror.remove(Rule::Block, network(key), now),
        };
        match made {
            Ok(change) => {
                self.world.record_replacement(incarnation, &change, was_blocked);
                self.publish_change(host_id, change)
            }
            Err(StateError::NotFound { .. } | StateError::Superseded) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn publish_change(&mut self, host_id: usize, change: Change) -> Result<(), String> {
        self.publish_digest(host_id);
        let Some(endpoint) = &self.hosts[host_id].endpoint else { return Ok(()) };
        let (incarnation, number) =
            (endpoint.identity().incarnation, endpoint.position(Lane::Urgent) + 1);
        self.log(|| format!("{incarnation:?} writes {change:?}"));
        self.world.record_change(incarnation, number, change);
        self.report.changes += 1;
        self.publish(host_id, Lane::Urgent, (1, 1))
    }

    /// The running mirrors with their hosts.
    pub(super) fn replicas(&self) -> impl Iterator<Item = (usize, &Replica)> {
        let replicas = self.hosts.iter().enumerate();
        replicas
            .filter_map(|(host_id, host)| host.replica.as_deref().map(|replica| (host_id, replica)))
    }
}
