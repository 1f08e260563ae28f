//! Nodes publish: at once where the lane is open, else when it opens.

use mailmesh_delivery::{Destination, Frame, Lane};

use super::{Simulation, body};
use crate::network::Packet;
use crate::seat::Seat;

/// Most frames that wait in a lane.
const WAITING: u16 = 500;

impl Simulation<'_> {
    /// A node has so many frames of so many events to send.
    pub(super) fn publish(
        &mut self,
        seat: usize,
        lane: Lane,
        (frames, events): (u16, u16),
    ) -> Result<(), String> {
        let place = &mut self.seats[seat];
        let Some(node) = &place.node else { return Ok(()) };
        self.report.closed += u64::from(!node.may_send(lane));
        let unsent = &mut place.unsent[lane.index()];
        *unsent = (unsent.0.saturating_add(frames).min(WAITING), events);
        self.settle(seat)
    }

    /// Sends what waits in the lanes of a node that are open.
    pub(super) fn send_unsent(&mut self, seat: usize) -> Result<(), String> {
        for lane in Lane::ALL {
            while let (1.., events) = self.seats[seat].unsent[lane.index()]
                && let Some(frame) = self.number(seat, lane, events)?
            {
                self.seats[seat].unsent[lane.index()].0 -= 1;
                self.carry(seat, Destination::All, &Packet { frame, via: None });
                self.drain(seat)?;
            }
        }
        Ok(())
    }

    /// The next frame of a node, if it can send one.
    pub(super) fn number(
        &mut self,
        seat: usize,
        lane: Lane,
        events: u16,
    ) -> Result<Option<Frame>, String> {
        let now = self.now;
        if self.seats[seat].is_frozen(now) || self.seats[seat].leaving.is_some() {
            return Ok(None);
        }
        let Seat { node: Some(node), clock, .. } = &mut self.seats[seat] else { return Ok(None) };
        if !node.may_send(lane) {
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
}
