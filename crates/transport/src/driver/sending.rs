//! From the lanes to the bus: publishers send on idle lanes, the sending thread on the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use mailmesh_delivery::{Destination, Frame, FrameKind, Incarnation, Lane};

use super::FrameEncoder;
use super::core::Core;
use super::receiving::BusAction;
use crate::bundle::Bundle;
use crate::lanes::{AfterAppend, LaneOwner, PublishError};
use crate::{Address, Bus, Channel, LogThrottle, TransportError};

/// Batches that a publisher sends: its own, and one that was filled meanwhile.
const MAX_BATCHES_BY_PUBLISHER: usize = 2;

pub(super) struct Sending {
    pub(super) core: Arc<Core>,
    pub(super) bus: Arc<dyn Bus>,
    encoder: Arc<dyn FrameEncoder>,
    heartbeat_min: Duration,
    pub(super) put_failed: AtomicU64,
    put_log: LogThrottle,
    stopped: AtomicBool,
}

/// A publisher's ownership of a lane. At its end, and if the publisher panics in the put, the
/// sending thread takes over: otherwise nobody would send in this lane again.
struct PublisherTurn<'a> {
    core: &'a Core,
    lane: Lane,
    /// The publisher no longer owns the lane.
    is_over: bool,
}

impl Drop for PublisherTurn<'_> {
    fn drop(&mut self) {
        if !self.is_over && self.core.lane(self.lane).hand_to_thread() {
            self.core.wake_thread();
        }
    }
}

impl Sending {
    pub(super) fn new(
        core: Arc<Core>,
        bus: Arc<dyn Bus>,
        encoder: Arc<dyn FrameEncoder>,
        heartbeat_min: Duration,
    ) -> Self {
        Self {
            core,
            bus,
            encoder,
            heartbeat_min,
            put_failed: AtomicU64::new(0),
            put_log: LogThrottle::default(),
            stopped: AtomicBool::new(false),
        }
    }

    pub(super) fn publish<E>(
        &self,
        lane: Lane,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), PublishError<E>> {
        let queue = self.core.lane(lane);
        match queue.append(encode)? {
            AfterAppend::Send => {
                let mut turn = PublisherTurn { core: &self.core, lane, is_over: false };
                let sent = (0..MAX_BATCHES_BY_PUBLISHER)
                    .all(|_| self.send_next(lane, LaneOwner::Publisher));
                turn.is_over = !sent;
            }
            AfterAppend::WakeThread => self.core.wake_thread(),
            AfterAppend::Nothing => {}
        }
        Ok(())
    }

    /// The loop of the sending thread.
    pub(super) fn run(&self) {
        while !self.stopped.load(Ordering::Acquire) {
            if !self.send_pending() {
                std::thread::park();
            }
        }
    }

    /// Sends all urgent batches, then one batch of the other lane. Returns whether it sent such a
    /// batch.
    fn send_pending(&self) -> bool {
        let Some(_permit) = self.core.pause.permit() else { return false };
        while self.send_next(Lane::Urgent, LaneOwner::Thread) {}
        self.send_next(Lane::Events, LaneOwner::Thread)
    }

    /// Sends from the task if there is no sending thread. Returns whether more may wait.
    pub(super) fn send_without_thread(&self) -> bool {
        self.core.thread.get().is_none() && self.send_pending()
    }

    /// Ends the sending thread; waiting events are not sent.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.core.wake_thread();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Sends the next batch if `owner` owns the lane. Returns `false` if there is none or the
    /// window is full; `owner` then no longer owns the lane.
    fn send_next(&self, lane: Lane, owner: LaneOwner) -> bool {
        let queue = self.core.lane(lane);
        let Some(batch) = queue.take(owner) else { return false };
        let sent = {
            let mut node = self.core.node();
            if !node.may_send(lane) {
                queue.park(batch);
                // The receiver that fills the window is given up at a deadline not planned yet.
                self.core.schedule(node.next_deadline());
                return false;
            }
            let now = self.core.now();
            let mut body = batch.body;
            // The replay buffer keeps the body: free unused capacity.
            if body.capacity() / 2 > body.len() {
                body.shrink_to_fit();
            }
            let sent = node.send(now, lane, batch.count, body.into());
            self.core.schedule(Some(now + self.heartbeat_min));
            sent
        };
        match sent {
            Ok(frame) => self.put(Address::All, Channel::Lane(lane), &frame),
            Err(error) => tracing::error!(%error, "events were not sent"),
        }
        true
    }

    /// Carries out an action of the receiving side. Retransmitted and relayed events for one peer
    /// are collected in `bundle`; every other action first puts the bundle.
    pub(super) fn perform(&self, bundle: &mut Bundle, action: BusAction) {
        match action {
            BusAction::Send(Destination::One(peer), frame)
                if matches!(frame.kind, FrameKind::Data(_)) =>
            {
                // Sealing the frame again yields the same bytes.
                self.add_to_bundle(bundle, peer, &frame);
            }
            BusAction::Relay { to, number, frame } => {
                let Some(body) = frame.wire else { return };
                let (incarnation, kind) = (self.core.incarnation, FrameKind::Relay);
                let message = Frame {
                    incarnation,
                    to: Some(to),
                    kind,
                    first: number,
                    count: 0,
                    body,
                    wire: None,
                };
                self.add_to_bundle(bundle, to, &message);
            }
            BusAction::Send(to, frame) => {
                self.put_bundle(bundle);
                let to = match to {
                    Destination::All => Address::All,
                    Destination::One(peer) => Address::One(peer),
                };
                let channel = match frame.kind {
                    FrameKind::Data(lane) => Channel::Lane(lane),
                    FrameKind::Bulk => Channel::Bulk,
                    FrameKind::Control | FrameKind::Direct | FrameKind::Relay => Channel::Control,
                };
                self.put(to, channel, &frame);
            }
            BusAction::PeerJoined(peer) => self.bus.peer_joined(peer),
            BusAction::PeerLeft { peer, for_good } => {
                self.put_bundle(bundle);
                self.bus.peer_left(peer, for_good);
            }
        }
    }

    fn add_to_bundle(&self, bundle: &mut Bundle, peer: Incarnation, frame: &Frame) {
        match self.encoder.encode(frame) {
            Ok(bytes) => {
                if !bundle.has_room(peer, bytes.len()) {
                    self.put_bundle(bundle);
                }
                bundle.add(peer, bytes);
            }
            Err(error) => self.note_put_failure(Address::One(peer), &*error),
        }
    }

    /// Puts the collected frames.
    pub(super) fn put_bundle(&self, bundle: &mut Bundle) {
        let Some((peer, message)) = bundle.take() else { return };
        let to = Address::One(peer);
        if let Err(error) = self.bus.put(to, Channel::Control, message) {
            self.note_put_failure(to, &error);
        }
    }

    fn put(&self, to: Address, channel: Channel, frame: &Frame) {
        let put = match self.encoder.encode(frame) {
            Ok(bytes) => self.bus.put(to, channel, bytes).map_err(Into::into),
            Err(error) => Err(error),
        };
        if let Err(error) = put {
            self.note_put_failure(to, &*error);
        }
    }

    fn note_put_failure(
        &self,
        to: Address,
        error: &(dyn std::error::Error + Send + Sync + 'static),
    ) {
        let total = self.put_failed.fetch_add(1, Ordering::Relaxed) + 1;
        let is_closed = matches!(error.downcast_ref(), Some(TransportError::Closed));
        if !is_closed && self.put_log.is_ready() {
            tracing::warn!(%error, ?to, total, "a frame was not sent; receivers may report a gap");
        }
    }
}
