//! From the lanes to the bus: publishers on idle lanes, the sending thread on the
//! others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use mailmesh_delivery::{Destination, Frame, FrameKind, Incarnation, Lane};

use super::Seal;
use super::core::Core;
use super::receiving::Outgoing;
use crate::bundle::Bundle;
use crate::lanes::{Next, PublishError, Sender};
use crate::{Address, Bus, Channel, LogThrottle, TransportError};

/// Batches that a publisher sends: its own, and what gathered meanwhile.
const SENT_BY_PUBLISHER: usize = 2;

pub(super) struct Sending {
    pub(super) core: Arc<Core>,
    pub(super) bus: Arc<dyn Bus>,
    seal: Arc<dyn Seal>,
    heartbeat_min: Duration,
    pub(super) put_failed: AtomicU64,
    put_log: LogThrottle,
    stopped: AtomicBool,
}

/// The turn of a publisher as the sender of a lane. At its end the sending thread goes on, also
/// if the publisher panicked in the put: nobody else would send in this lane again.
struct Turn<'a> {
    core: &'a Core,
    lane: Lane,
    /// The publisher is no longer the sender.
    is_over: bool,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.is_over && self.core.lane(self.lane).hand_over() {
            self.core.wake_thread();
        }
    }
}

impl Sending {
    pub(super) fn new(
        core: Arc<Core>,
        bus: Arc<dyn Bus>,
        seal: Arc<dyn Seal>,
        heartbeat_min: Duration,
    ) -> Self {
        Self {
            core,
            bus,
            seal,
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
            Next::Send => {
                let mut turn = Turn { core: &self.core, lane, is_over: false };
                let sent = (0..SENT_BY_PUBLISHER).all(|_| self.send_next(lane, Sender::Publisher));
                turn.is_over = !sent;
            }
            Next::Wake => self.core.wake_thread(),
            Next::Nothing => {}
        }
        Ok(())
    }

    /// The sending thread: the urgent lane first, then a batch of the other.
    pub(super) fn run(&self) {
        while !self.stopped.load(Ordering::Acquire) {
            if !self.send_some() {
                std::thread::park();
            }
        }
    }

    /// Sends what is urgent, then a batch of the other. `false` if there is none.
    fn send_some(&self) -> bool {
        let held = self.core.held.read();
        if *held {
            return false;
        }
        while self.send_next(Lane::Urgent, Sender::Thread) {}
        self.send_next(Lane::Events, Sender::Thread)
    }

    /// The task's part where there is no sending thread. Whether more waits.
    pub(super) fn send_without_thread(&self) -> bool {
        self.core.thread.get().is_none() && self.send_some()
    }

    /// Ends the sending thread; what waits is not sent.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.core.wake_thread();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Sends the next batch of `who`. `false` if there is none, or the lane is
    /// closed; `who` is then no longer its sender.
    fn send_next(&self, lane: Lane, who: Sender) -> bool {
        let queue = self.core.lane(lane);
        let Some(batch) = queue.take(who) else { return false };
        let sent = {
            let mut node = self.core.node();
            if !node.may_send(lane) {
                queue.park(batch);
                // Who keeps it closed is given up at a time not planned yet.
                self.core.due_at(node.next_deadline());
                return false;
            }
            let now = self.core.now();
            let mut body = batch.body;
            // The replay ring keeps it: not with the room for twice as much.
            if body.capacity() / 2 > body.len() {
                body.shrink_to_fit();
            }
            let sent = node.send(now, lane, batch.count, body.into());
            self.core.due_at(Some(now + self.heartbeat_min));
            sent
        };
        match sent {
            Ok(frame) => self.put(Address::All, Channel::Lane(lane), &frame),
            Err(error) => tracing::error!(%error, "events not sent"),
        }
        true
    }

    /// What the receiving side wants done on the bus. Events for one peer, sent again or
    /// passed on, gather in `bundle`; all else puts what gathered before it.
    pub(super) fn carry_out(&self, bundle: &mut Bundle, outgoing: Outgoing) {
        match outgoing {
            Outgoing::Frame(Destination::One(peer), frame)
                if matches!(frame.kind, FrameKind::Data(_)) =>
            {
                // Sealed again they are the same bytes.
                self.gather(bundle, peer, &frame);
            }
            Outgoing::Relay { to, number, frame } => {
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
                self.gather(bundle, to, &message);
            }
            Outgoing::Frame(to, frame) => {
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
            Outgoing::Expect(peer) => self.bus.expect(peer),
            Outgoing::Forget { peer, for_good } => {
                self.put_bundle(bundle);
                self.bus.forget(peer, for_good);
            }
        }
    }

    fn gather(&self, bundle: &mut Bundle, peer: Incarnation, frame: &Frame) {
        let to = Address::One(peer);
        match self.seal.seal(frame) {
            Ok(bytes) => {
                if !bundle.has_room(to, bytes.len()) {
                    self.put_bundle(bundle);
                }
                bundle.add(to, bytes);
            }
            Err(error) => self.failed(to, &*error),
        }
    }

    /// Puts what gathered.
    pub(super) fn put_bundle(&self, bundle: &mut Bundle) {
        if let Some((to, message)) = bundle.take()
            && let Err(error) = self.bus.put(to, Channel::Control, message)
        {
            self.failed(to, &error);
        }
    }

    fn put(&self, to: Address, channel: Channel, frame: &Frame) {
        let put = match self.seal.seal(frame) {
            Ok(bytes) => self.bus.put(to, channel, bytes).map_err(Into::into),
            Err(error) => Err(error),
        };
        if let Err(error) = put {
            self.failed(to, &*error);
        }
    }

    fn failed(&self, to: Address, error: &(dyn std::error::Error + Send + Sync + 'static)) {
        let total = self.put_failed.fetch_add(1, Ordering::Relaxed) + 1;
        let is_closed = matches!(error.downcast_ref(), Some(TransportError::Closed));
        if !is_closed && self.put_log.is_ready() {
            tracing::warn!(%error, ?to, total, "a frame was not sent; receivers will be told of a gap");
        }
    }
}
