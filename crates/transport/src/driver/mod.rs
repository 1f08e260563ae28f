//! Runs a delivery node over a bus.
//!
//! - [`sending`]: publishers send on their own threads while their lane is idle, and
//!   leave hot lanes to the sending thread.
//! - [`receiving`]: callbacks of the bus open, order and hand over by themselves.
//! - [`directs`]: direct messages wait there for the task.
//! - [`shutdown`]: what is done before the goodbye.
//! - [`task`]: keeps the deadlines, puts what the node wants sent, and works off what
//!   callbacks left. It does not depend on the host's runtime: see [`runtime`].

mod core;
mod directs;
mod receiving;
mod runtime;
mod sending;
mod shutdown;
mod stalls;
mod task;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use mailmesh_delivery::{
    Counters, DeliveryError, Endpoint, Frame, Incarnation, Lane, Output, PeerInfo, Settings, Via,
};
use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::core::Core;
use self::receiving::Receiving;
use self::runtime::TaskRuntime;
use self::sending::Sending;
use crate::lanes::{LaneQueue, PublishError};
use crate::{Bus, IngressQueue, TransportError};

/// Makes the bytes of a frame.
pub trait FrameEncoder: Send + Sync + 'static {
    /// The bytes of `frame`, or why it cannot be sent.
    ///
    /// # Errors
    /// Any; it is logged and the frame is lost, which receivers see as a gap.
    fn encode(&self, frame: &Frame) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>>;
}

/// Reads the bytes of a frame.
pub trait FrameDecoder: Send + 'static {
    /// The frame of `bytes`; `None` if it is not one, which the implementor
    /// counts and reports.
    fn decode(&mut self, bytes: Bytes) -> Option<DecodedFrame>;

    /// The peer is a member from now on: many frames of it will come.
    fn peer_joined(&mut self, _peer: Incarnation) {}

    /// The peer is no member any more.
    fn peer_left(&mut self, _peer: Incarnation) {}
}

/// A frame that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedFrame {
    /// The frame, with [`Frame::wire`] so that it can be passed on.
    pub frame: Frame,
    /// Who passed it on, if not its sender itself: it was the body of a frame of kind
    /// [`FrameKind::Relay`](mailmesh_delivery::FrameKind::Relay) of that peer, of this number.
    pub via: Option<Via>,
}

/// Takes what the node has to say, in order, from one thread at a time: the
/// driver's task, or a callback of the bus. Must not wait, nor put on the bus.
pub trait Sink: Send + 'static {
    /// Anything but [`Output::Transmit`], [`Output::Relay`] and [`Output::Direct`].
    fn take(&mut self, output: Output);

    /// This process stood still for so long: it was stopped or starved.
    /// Others may have taken it for failed meanwhile. The node's time stood still, too.
    fn process_stalled(&mut self, _stall: Duration) {}
}

/// Takes the direct messages of peers, on the driver's task, while callbacks of the bus go on
/// to fill the [`Sink`]. A message may thus come just after its sender left.
pub trait DirectSink: Send + 'static {
    /// A message of a peer. May work for some milliseconds; the node's deadlines wait for it.
    fn take_direct(&mut self, from: Incarnation, body: Bytes);
}

/// A running node.
///
/// Dropping it stops the task without a goodbye; [`shutdown`](Self::shutdown)
/// drains and says goodbye. Do not drop the last handle of it in a [`Sink`], which may
/// run inside the bus that is then closed; give sinks a [`DriverHandle`].
pub struct Driver {
    sending: Arc<Sending>,
    receiving: Arc<Receiving>,
    stopped: watch::Sender<bool>,
    /// Not with a bus that is instant.
    thread: Option<thread::JoinHandle<()>>,
    /// How long it waits at most before its goodbye.
    linger: Duration,
    task: AsyncMutex<Option<JoinHandle<()>>>,
    runtime: TaskRuntime,
}

/// What drives a node: runs until the [`Driver`] is shut down.
pub type DriverTask = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A driver that has no sinks yet: see [`Driver::setup`].
pub struct DriverSetup {
    core: Arc<Core>,
    settings: Settings,
    bus: Arc<dyn Bus>,
}

/// What a [`Sink`] may do with its node. Does not keep the bus open.
#[derive(Clone)]
pub struct DriverHandle {
    core: Arc<Core>,
}

/// What the driver counted since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct DriverCounters {
    /// The node's own.
    pub delivery: Counters,
    /// Frames dropped because the intake was full.
    pub intake_dropped: u64,
    /// Direct messages dropped because too many waited, or too many of their sender.
    pub directs_dropped: u64,
    /// Frames the bus or the sealer did not take.
    pub put_failed: u64,
    /// Bytes of sent frames kept for who missed some.
    pub replay_bytes: usize,
    /// Bytes of received frames kept for peers that cannot ask their sender.
    pub relay_bytes: usize,
    /// Bytes waiting to be published, both lanes.
    pub waiting_bytes: usize,
}

impl Driver {
    /// Starts driving `node` over `bus`, on two threads of its own; over a bus that is instant
    /// on the tokio runtime of the caller.
    ///
    /// `start` is the moment that the node's time counts from. `sinks` makes the sinks,
    /// given a way to speak through the node.
    ///
    /// # Errors
    /// [`TransportError::Thread`].
    ///
    /// # Panics
    /// Outside a tokio runtime with time enabled.
    pub fn start<S: Sink, D: DirectSink>(
        node: Endpoint,
        settings: Settings,
        start: Instant,
        bus: Arc<dyn Bus>,
        ingress: IngressQueue,
        codec: (Arc<dyn FrameEncoder>, Box<dyn FrameDecoder>),
        sinks: impl FnOnce(DriverHandle) -> (S, D),
    ) -> Result<Self, TransportError> {
        let setup = Self::setup(node, settings, start, bus);
        let sinks = sinks(setup.handle());
        let (mut driver, task) = setup.prepare(ingress, codec, sinks)?;
        driver.spawn(task);
        Ok(driver)
    }

    /// The driver of `node` over `bus`, before it has its sinks: a sink may need the handle that
    /// [`DriverSetup::handle`] gives. `start` is the moment that the node's time counts from.
    #[must_use]
    pub fn setup(
        node: Endpoint,
        settings: Settings,
        start: Instant,
        bus: Arc<dyn Bus>,
    ) -> DriverSetup {
        let core = Arc::new(Core::new(node, &settings, start, !bus.is_synchronous()));
        DriverSetup { core, settings, bus }
    }

    /// Drives the node from now on, where [`start`](Self::start) says, until `task` ends. Given
    /// twice, the first is aborted.
    ///
    /// # Panics
    /// Outside a tokio runtime, over a bus that is instant.
    pub fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        let running = self.runtime.spawn(task);
        if let Some(before) = self.task.get_mut().replace(running) {
            before.abort();
        }
    }

    /// Holds up what does not run in the task: the sending thread, and handling in
    /// callbacks of the bus. Once this has returned, neither does anything until
    /// [`resume`](Self::resume); what comes waits in the intake. For tests of faults.
    pub fn pause(&self) {
        *self.core().paused.write() = true;
    }

    /// Ends a [`pause`](Self::hold).
    pub fn resume(&self) {
        *self.core().paused.write() = false;
        self.core().wake_thread();
        self.core().wake.notify_one();
    }

    /// Publishes an event if its lane has room. When the lane is idle this thread
    /// itself encodes, seals and puts it.
    ///
    /// # Errors
    /// [`PublishError`]; nothing was published.
    pub fn try_publish<E>(
        &self,
        lane: Lane,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), PublishError<E>> {
        self.sending.publish(lane, encode)
    }

    /// As [`try_publish`](Self::try_publish), but waits for room.
    ///
    /// # Errors
    /// [`PublishError::Closed`], [`PublishError::Encode`].
    pub async fn publish<E>(
        &self,
        lane: Lane,
        encode: impl Fn(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), PublishError<E>> {
        match self.try_publish(lane, &encode) {
            Err(PublishError::Full) => {}
            other => return other,
        }
        loop {
            let room = self.core().lane(lane).space.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            match self.try_publish(lane, &encode) {
                Err(PublishError::Full) => room.await,
                other => return other,
            }
        }
    }

    /// Sends a message to one peer: at most once, in no order.
    ///
    /// # Errors
    /// [`DeliveryError::NotAMember`], [`DeliveryError::HasLeft`].
    pub fn send_direct(&self, to: Incarnation, body: Bytes) -> Result<(), DeliveryError> {
        self.handle().send_direct(to, body)
    }

    /// A handle for a sink.
    #[must_use]
    pub fn handle(&self) -> DriverHandle {
        DriverHandle { core: self.sending.core.clone() }
    }

    /// The live peers, with how long ago each was heard.
    #[must_use]
    pub fn peers(&self) -> Vec<(PeerInfo, Duration)> {
        self.handle().peers()
    }

    /// Numbers of the last events sent, per lane.
    #[must_use]
    pub fn positions(&self) -> [u64; 2] {
        let node = self.core().node();
        Lane::ALL.map(|lane| node.position(lane))
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> DriverCounters {
        let (delivery, replay_bytes, relay_bytes) = {
            let node = self.core().node();
            (node.counters(), node.replay_bytes(), node.relay_bytes())
        };
        DriverCounters {
            delivery,
            replay_bytes,
            relay_bytes,
            intake_dropped: self.receiving.dropped(),
            directs_dropped: self.receiving.directs_dropped(),
            put_failed: self.sending.put_failed.load(Ordering::Relaxed),
            waiting_bytes: self.core().lanes.iter().map(LaneQueue::waiting_bytes).sum(),
        }
    }

    /// Whether the driver's task and thread run, or are being shut down. They end by
    /// themselves only by a bug.
    #[must_use]
    pub fn is_running(&self) -> bool {
        let task_runs = self
            .task
            .try_lock()
            .map_or(true, |task| task.as_ref().is_none_or(|t| !t.is_finished()));
        let thread_runs = self.thread.as_ref().is_none_or(|thread| !thread.is_finished());
        task_runs && (self.sending.is_stopped() || thread_runs)
    }

    fn core(&self) -> &Core {
        &self.sending.core
    }
}

impl DriverSetup {
    /// A handle for the sinks.
    #[must_use]
    pub fn handle(&self) -> DriverHandle {
        DriverHandle { core: self.core.clone() }
    }

    /// Gives the driver, and the task that drives the node, so that the caller may hold the task
    /// up; the task is to be given to [`Driver::spawn`].
    ///
    /// # Errors
    /// [`TransportError::Thread`].
    ///
    /// # Panics
    /// Outside a tokio runtime with time enabled.
    pub fn prepare<S: Sink, D: DirectSink>(
        self,
        ingress: IngressQueue,
        codec: (Arc<dyn FrameEncoder>, Box<dyn FrameDecoder>),
        sinks: (S, D),
    ) -> Result<(Driver, DriverTask), TransportError> {
        let Self { core, settings, bus } = self;
        let (encoder, decoder) = codec;
        let has_sending_thread = !bus.is_synchronous();
        let sending = Arc::new(Sending::new(core.clone(), bus, encoder, settings.heartbeat_min));
        let sender = sending.clone();
        let spawn =
            move || thread::Builder::new().name("mailmesh-send".into()).spawn(move || sender.run());
        let runtime = if has_sending_thread { TaskRuntime::own()? } else { TaskRuntime::callers() };
        let thread = has_sending_thread.then(spawn).transpose();
        let thread = thread.map_err(|error| TransportError::Thread { why: error.to_string() })?;
        if let Some(thread) = &thread {
            let _first_and_only = core.thread.set(thread.thread().clone());
        }
        let sinks: (Box<dyn Sink>, Box<dyn DirectSink>) = (Box::new(sinks.0), Box::new(sinks.1));
        let receiving = Receiving::new(core, ingress, decoder, sinks);
        let stopped = watch::Sender::new(false);
        let task = task::run(sending.clone(), receiving.clone(), stopped.subscribe());
        let task: DriverTask = Box::pin(task);
        let (linger, none) = (settings.linger, AsyncMutex::new(None));
        Ok((Driver { sending, receiving, stopped, thread, linger, task: none, runtime }, task))
    }
}

impl std::fmt::Debug for DriverSetup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DriverSetup")
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(task) = self.task.get_mut().take() {
            task.abort();
        }
        self.sending.stop();
    }
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("counters", &self.counters()).finish_non_exhaustive()
    }
}

impl DriverHandle {
    /// As [`Driver::send_direct`].
    ///
    /// # Errors
    /// [`DeliveryError::NotAMember`], [`DeliveryError::HasLeft`].
    pub fn send_direct(&self, to: Incarnation, body: Bytes) -> Result<(), DeliveryError> {
        self.core.node().send_direct(to, body)?;
        self.core.wake.notify_one();
        Ok(())
    }

    /// The live peers, with how long ago each was heard.
    #[must_use]
    pub fn peers(&self) -> Vec<(PeerInfo, Duration)> {
        let node = self.core.node();
        let now = self.core.now();
        node.peers().map(|peer| (peer.clone(), now.since(peer.last_heard))).collect()
    }

    /// Takes no more events, as [`Driver::shutdown`] does first.
    pub fn close_lanes(&self) {
        self.core.lanes.iter().for_each(LaneQueue::close);
    }

    /// Sets what rides on heartbeats from the next one on.
    pub fn set_tag(&self, tag: Bytes) {
        self.core.node().set_tag(tag);
    }
}

impl std::fmt::Debug for DriverHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DriverHandle")
    }
}
