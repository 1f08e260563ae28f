//! Carries out the actions of a plan.

use std::time::Duration;

use mailmesh_delivery::{Incarnation, Lane, Link};

use super::{Simulation, Task};
use crate::host::{Host, Leaving};
use crate::network::Packet;
use crate::plan::{Action, Step};

impl Simulation<'_> {
    /// Ends every fault and restarts the nodes that are down.
    pub(super) fn end_faults(&mut self) -> Result<(), String> {
        self.log(|| "all faults end".into());
        self.network.end_faults();
        for host_id in 0..self.hosts.len() {
            let host = &mut self.hosts[host_id];
            (host.frozen_until, host.slow_until, host.leaving) = (None, None, None);
            self.schedule(self.now, Task::HandleWaiting { host_id });
            self.schedule_deadline(host_id);
        }
        for name in 0..self.plan.nodes {
            self.restart_if_down(name)?;
        }
        Ok(())
    }

    pub(super) fn apply(&mut self, step: &Step) -> Result<(), String> {
        let now = self.now;
        match step.action {
            Action::Publish { node, lane, frames, events } => {
                self.publish(node, lane, (frames, events))?;
            }
            Action::Cut { from, to, both, duration } => {
                self.cut(from, to, duration);
                if both {
                    self.cut(to, from, duration);
                }
            }
            Action::Isolate { node, duration } => {
                for other in 0..self.hosts.len() {
                    self.cut(node, other, duration);
                    self.cut(other, node, duration);
                }
            }
            Action::Crash { node, restart_after, links_close, partial } => {
                if partial {
                    self.publish_partially(node)?;
                }
                let Some(incarnation) = self.end_incarnation(node) else { return Ok(()) };
                self.schedule(now + restart_after, Task::Restart { host_id: node });
                if links_close {
                    self.hint_all(incarnation)?;
                }
            }
            Action::Leave { node, restart_after, partial, lingers } => {
                if partial {
                    self.publish_partially(node)?;
                }
                if !self.hosts[node].is_frozen(now) && self.hosts[node].endpoint.is_some() {
                    let max = if lingers { self.plan.settings().linger } else { Duration::ZERO };
                    self.hosts[node].leaving = Some(Leaving::by(now + max, restart_after));
                    self.leave_if_done(node)?;
                }
            }
            Action::Freeze { node, duration } => {
                self.hosts[node].frozen_until = Some(now + duration);
                self.schedule(now + duration, Task::HandleWaiting { host_id: node });
            }
            Action::Slow { node, duration } => {
                self.hosts[node].slow_until = Some(now + duration);
                self.schedule(now, Task::HandleWaiting { host_id: node });
            }
            Action::LinkEvent { node, peer, up } => {
                let incarnation = self.hosts[peer]
                    .endpoint
                    .as_ref()
                    .map(|endpoint| endpoint.identity().incarnation);
                let link = if up { Link::Up } else { Link::Down };
                if let Some(incarnation) = incarnation {
                    self.hint(node, incarnation, link)?;
                }
            }
            Action::DuplicateName { node } => {
                if self.hosts.len() < 2 * self.plan.nodes {
                    self.hosts.push(Host::new(node));
                    self.start_incarnation(self.hosts.len() - 1)?;
                }
            }
            Action::Forge { node, which } => self.forge(node, which)?,
            Action::Lie { node, lie } => self.lie(node, lie),
            Action::Flood { node, peer, flood } => self.begin_flood(node, peer, flood),
            Action::Block { node, key, ttl } => self.block(node, key, Some(ttl))?,
            Action::Unblock { node, key } => self.block(node, key, None)?,
            Action::SetClock { node, offset_ms } => self.world.set_clock(node, offset_ms),
        }
        Ok(())
    }

    fn cut(&mut self, from: usize, to: usize, duration: Duration) {
        self.network.cut(from, to, self.now + duration);
        self.oracle.link_cut(from, to, self.now + duration);
    }

    /// Publishes the last frames of a node that ends. Each frame reaches a random subset of the
    /// nodes.
    fn publish_partially(&mut self, host_id: usize) -> Result<(), String> {
        for _ in 0..self.rng.usize(1..6) {
            let (lane, events) = (Lane::ALL[self.rng.usize(..2)], self.rng.u16(1..=20));
            let Some(frame) = self.next_frame(host_id, lane, events)? else { return Ok(()) };
            let packet = Packet { frame, via: None };
            for other in (0..self.hosts.len()).filter(|other| *other != host_id) {
                if self.rng.bool() {
                    self.transmit_to(host_id, other, &packet);
                }
            }
        }
        self.after_input(host_id)
    }

    /// Delivers a recorded packet, unchanged or with a random sender and body.
    fn forge(&mut self, host_id: usize, which: u32) -> Result<(), String> {
        let packet = self.network.recorded(which / 2);
        let Some(mut packet) = packet else { return Ok(()) };
        if which % 2 == 1 {
            // A frame of an unknown sender without a valid message. Only a holder of the key could
            // send it.
            packet.frame.incarnation = Incarnation(std::array::from_fn(|_| self.rng.u8(..)));
            packet.frame.body = (0..self.rng.usize(..20)).map(|_| self.rng.u8(..)).collect();
        }
        self.arrive(host_id, packet)
    }

    pub(super) fn hint(
        &mut self,
        host_id: usize,
        incarnation: Incarnation,
        link: Link,
    ) -> Result<(), String> {
        let now = self.now;
        let host = &mut self.hosts[host_id];
        if host.is_frozen(now) {
            return Ok(());
        }
        if let Some(endpoint) = &mut host.endpoint {
            endpoint.handle_link(host.clock.local(now), incarnation, link);
        }
        self.after_input(host_id)
    }

    fn hint_all(&mut self, incarnation: Incarnation) -> Result<(), String> {
        (0..self.hosts.len()).try_for_each(|host_id| self.hint(host_id, incarnation, Link::Down))
    }
}
