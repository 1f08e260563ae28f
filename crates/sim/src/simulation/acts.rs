//! What a plan has happen.

use std::time::Duration;

use mailmesh_delivery::{Incarnation, Lane, Link};

use super::{Item, Simulation};
use crate::network::Packet;
use crate::plan::{Action, Step};
use crate::seat::{Leaving, Seat};

impl Simulation<'_> {
    /// Every fault ends, and who is away comes back.
    pub(super) fn calm(&mut self) -> Result<(), String> {
        self.say(|| "calm".into());
        self.network.calm();
        for seat in 0..self.seats.len() {
            let place = &mut self.seats[seat];
            (place.frozen_until, place.slow_until, place.leaving) = (None, None, None);
            self.schedule(self.now, Item::Handle { seat });
            self.look_again(seat);
        }
        for name in 0..self.plan.nodes {
            self.come_back(name)?;
        }
        Ok(())
    }

    pub(super) fn act(&mut self, step: &Step) -> Result<(), String> {
        let now = self.now;
        match step.action {
            Action::Publish { node, lane, frames, events } => {
                self.publish(node, lane, (frames, events))?;
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
            Action::Leave { node, back_after, torn, lingers } => {
                if torn {
                    self.publish_torn(node)?;
                }
                if !self.seats[node].is_frozen(now) && self.seats[node].node.is_some() {
                    let most = if lingers { self.plan.settings().linger } else { Duration::ZERO };
                    self.seats[node].leaving = Some(Leaving::until(now + most, back_after));
                    self.leave_if_done(node)?;
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
            Action::Lie { node, lie } => self.lie(node, lie),
            Action::Flood { node, of, flood } => self.begin_flood(node, of, flood),
            Action::Block { node, key, ttl } => self.block(node, key, Some(ttl))?,
            Action::Unblock { node, key } => self.block(node, key, None)?,
            Action::SetClock { node, ahead } => self.world.set_clock(node, ahead),
        }
        Ok(())
    }

    fn cut(&mut self, from: usize, to: usize, lasts: Duration) {
        self.network.cut(from, to, self.now + lasts);
        self.oracle.cut(from, to, self.now + lasts);
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

    pub(super) fn hint(
        &mut self,
        seat: usize,
        life: Incarnation,
        link: Link,
    ) -> Result<(), String> {
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

    fn hint_all(&mut self, life: Incarnation) -> Result<(), String> {
        (0..self.seats.len()).try_for_each(|seat| self.hint(seat, life, Link::Down))
    }
}
