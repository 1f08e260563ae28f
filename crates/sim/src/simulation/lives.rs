//! Nodes begin, end and come back.

use std::time::Duration;

use mailmesh_delivery::{Endpoint, Identity, Incarnation, Link};

use super::{Item, Simulation};
use crate::seat::{Clock, Seat};

impl Simulation<'_> {
    pub(super) fn begin_life(&mut self, seat: usize) -> Result<(), String> {
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
        let node = Endpoint::new(identity, self.plan.settings(), clock.local(self.now));
        *place = Seat { node: Some(node), clock, ..Seat::new(place.name) };
        let name = place.name;
        self.places.insert(incarnation, seat);
        self.keep_mirror(seat, incarnation);
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
    pub(super) fn end_life(&mut self, seat: usize) -> Option<Incarnation> {
        let place = &mut self.seats[seat];
        let node = place.node.take()?;
        *place = Seat::new(place.name);
        let life = node.identity().incarnation;
        self.places.remove(&life);
        self.oracle.ends(life);
        self.report.restarts += 1;
        Some(life)
    }

    /// A node that is to leave does, once it lingers no longer.
    pub(super) fn leave_if_done(&mut self, seat: usize) -> Result<(), String> {
        let now = self.now;
        let place = &mut self.seats[seat];
        let (Some(node), Some(leaving)) = (&place.node, &mut place.leaving) else { return Ok(()) };
        if place.frozen_until.is_some_and(|until| until > now) {
            return Ok(());
        }
        let until = node.drain_until(place.clock.local(now));
        let until = until.map(|until| place.clock.global(until).min(leaving.at_most));
        let back_after = leaving.back_after;
        match until.filter(|until| *until > now) {
            None => {
                self.leave(seat)?;
                self.schedule(now + back_after, Item::Return { seat });
            }
            Some(until) => {
                if leaving.scheduled.replace(until) != Some(until) {
                    self.schedule(until, Item::Leave { seat });
                }
            }
        }
        Ok(())
    }

    pub(super) fn leave(&mut self, seat: usize) -> Result<(), String> {
        if let Some(node) = &mut self.seats[seat].node {
            node.leave();
        }
        self.drain(seat)?;
        self.end_life(seat);
        Ok(())
    }

    /// A name that nobody bears gets a new life.
    pub(super) fn come_back(&mut self, name: usize) -> Result<(), String> {
        let taken = self.seats.iter().any(|seat| seat.name == name && seat.node.is_some());
        if taken { Ok(()) } else { self.begin_life(name) }
    }
}
