//! Publishing: frames go out at once while the lane is open, or wait until it opens.

use mailmesh_delivery::{Destination, Frame, Lane};

use super::Simulation;
use crate::event_body::body;
use crate::host::{Host, WaitingFrames};
use crate::network::Packet;

/// Most frames that wait for a lane.
const MAX_FRAMES_TO_PUBLISH: u16 = 500;

impl Simulation<'_> {
    /// A node publishes frames with `events` events each.
    pub(super) fn publish(
        &mut self,
        host_id: usize,
        lane: Lane,
        (frames, events): (u16, u16),
    ) -> Result<(), String> {
        let host = &mut self.hosts[host_id];
        let Some(endpoint) = &host.endpoint else { return Ok(()) };
        self.report.refused += u64::from(!endpoint.may_send(lane));
        let frames = host.to_publish[lane].frames.saturating_add(frames).min(MAX_FRAMES_TO_PUBLISH);
        host.to_publish[lane] = WaitingFrames { frames, events_per_frame: events };
        self.after_input(host_id)
    }

    /// Publishes the waiting frames of all open lanes.
    pub(super) fn publish_waiting(&mut self, host_id: usize) -> Result<(), String> {
        for lane in Lane::ALL {
            while let WaitingFrames { frames: 1.., events_per_frame } =
                self.hosts[host_id].to_publish[lane]
                && let Some(frame) = self.next_frame(host_id, lane, events_per_frame)?
            {
                self.hosts[host_id].to_publish[lane].frames -= 1;
                self.transmit(host_id, Destination::All, &Packet { frame, via: None });
                self.poll_outputs(host_id)?;
            }
        }
        Ok(())
    }

    /// Publishes the next frame of a node. Returns `None` while the node cannot publish.
    pub(super) fn next_frame(
        &mut self,
        host_id: usize,
        lane: Lane,
        events: u16,
    ) -> Result<Option<Frame>, String> {
        let now = self.now;
        if self.hosts[host_id].is_frozen(now) || self.hosts[host_id].leaving.is_some() {
            return Ok(None);
        }
        let Host { endpoint: Some(endpoint), clock, .. } = &mut self.hosts[host_id] else {
            return Ok(None);
        };
        if !endpoint.may_send(lane) {
            return Ok(None);
        }
        let from = endpoint.identity().incarnation;
        let first = endpoint.position(lane) + 1;
        let sent = endpoint.send(clock.local(now), lane, events, body(from, lane, first, events));
        let frame = sent.map_err(|error| error.to_string())?;
        self.oracle.published(from, lane, events.into(), frame.body.len() as u64)?;
        self.report.published += u64::from(events);
        Ok(Some(frame))
    }
}
