//! Runs a delivery endpoint over a bus.
//!
//! - [`sending`]: a publisher sends on its own thread while its lane is idle, and leaves a hot lane
//!   to the sending thread.
//! - [`receiving`]: callbacks of the bus decode, order and deliver frames themselves.
//! - [`direct_queue`]: direct messages wait there for the task.
//! - [`pause`]: a test hook, empty without the feature `testing`.
//! - [`shutdown`]: the steps before the goodbye.
//! - [`task`]: keeps the deadlines, puts the endpoint's frames, and handles arrivals that callbacks
//!   left. It does not depend on the host's runtime: see [`runtime`].

mod core;
mod direct_queue;
mod pause;
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
    DeliveryCounters, DeliveryError, Endpoint, Frame, Incarnation, Lane, Output, PeerInfo, PerLane,
    Settings, Via,
};
use serde::Serialize;
use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::core::Core;
use self::receiving::Receiving;
use self::runtime::TaskRuntime;
use self::sending::Sending;
use crate::lanes::{LaneQueue, PublishError};
use crate::{Bus, IngressQueue, TransportError};

/// Encodes frames, and seals them in a mesh with a cluster key.
pub trait FrameEncoder: Send + Sync + 'static {
    /// The bytes of `frame`.
    ///
    /// # Errors
    /// Any error means that the frame cannot be sent. It is logged and the frame is lost, which
    /// receivers see as a hole.
    fn encode(&self, frame: &Frame) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>>;
}

/// Decodes frames, and opens them in a mesh with a cluster key.
pub trait FrameDecoder: Send + 'static {
    /// The frame of `bytes`. `None` if `bytes` is not a valid frame; the implementor counts and
    /// reports that.
    fn decode(&mut self, bytes: Bytes) -> Option<DecodedFrame>;

    /// The peer is a member from now on: it will send many frames.
    fn peer_joined(&mut self, _peer: Incarnation) {}

    /// The peer is no longer a member.
    fn peer_left(&mut self, _peer: Incarnation) {}
}

/// A decoded frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedFrame {
    /// The frame, with [`Frame::wire`] so that it can be relayed.
    pub frame: Frame,
    /// The peer that relayed the frame, or `None` if the sender sent it directly. The frame was
    /// then the body of a [`FrameKind::Relay`](mailmesh_delivery::FrameKind::Relay) message of that
    /// peer.
    pub via: Option<Via>,
}

/// Takes the endpoint's outputs in order, from one thread at a time: the driver's task or a
/// callback of the bus. It must neither wait nor put frames on the bus.
pub trait Sink: Send + 'static {
    /// Takes any output but [`Output::Transmit`], [`Output::Relay`] and [`Output::Direct`].
    fn take(&mut self, output: Output);

    /// This process did not run for `stall`: it was stopped or starved. Other nodes may have
    /// declared it failed meanwhile. The endpoint's time did not advance either.
    fn process_stalled(&mut self, _stall: Duration) {}
}

/// Takes the direct messages of peers on the driver's task, while callbacks of the bus continue to
/// fill the [`Sink`]. A message may thus arrive just after its sender left.
pub trait DirectSink: Send + 'static {
    /// Takes a message of a peer. It may work for some milliseconds; the endpoint's deadlines wait
    /// meanwhile.
    fn take_direct(&mut self, from: Incarnation, body: Bytes);
}

/// A running node.
///
/// Dropping the driver stops the task without a goodbye; [`shutdown`](Self::shutdown) drains the
/// lanes and says goodbye. Do not drop the last reference to a driver in a [`Sink`], which may run
/// inside the bus that is then closed; give sinks a [`DriverHandle`].
pub struct Driver {
    sending: Arc<Sending>,
    receiving: Arc<Receiving>,
    stopped: watch::Sender<bool>,
    /// `None` if the bus is synchronous.
    thread: Option<thread::JoinHandle<()>>,
    /// Maximum wait for acknowledgements before the goodbye.
    linger: Duration,
    task: AsyncMutex<Option<JoinHandle<()>>>,
    runtime: TaskRuntime,
}

/// The future that drives a node: it runs until the [`Driver`] is shut down.
pub type DriverTask = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A driver without sinks: see [`Driver::setup`].
pub struct DriverSetup {
    core: Arc<Core>,
    settings: Settings,
    bus: Arc<dyn Bus>,
}

/// The operations of a node that a [`Sink`] may use. The handle does not keep the bus open.
#[derive(Clone)]
pub struct DriverHandle {
    core: Arc<Core>,
}

/// The driver's counters since the start, and the bytes that it keeps now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct DriverCounters {
    /// The endpoint's counters.
    #[serde(flatten)]
    pub delivery: DeliveryCounters,
    /// Frames dropped because the ingress queue was full.
    pub intake_dropped: u64,
    /// Direct messages dropped because the queue, or their sender's half of it, was full.
    pub directs_dropped: u64,
    /// Frames that the bus or the encoder refused.
    pub put_failed: u64,
    /// Bytes of sent frames in the replay buffer, for retransmission.
    pub replay_bytes: usize,
    /// Bytes of received frames in the relay buffer, for peers that cannot reach the sender.
    pub relay_bytes: usize,
    /// Bytes waiting to be published, both lanes.
    pub waiting_bytes: usize,
}

impl Driver {
    /// Starts driving `node` over `bus`, on two threads of its own; over a synchronous bus, on the
    /// caller's tokio runtime.
    ///
    /// `start` is the zero of the node's time. `sinks` creates the sinks and receives a handle to
    /// the node.
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

    /// Prepares the driver of `node` over `bus` before its sinks exist: a sink may need the handle
    /// that [`DriverSetup::handle`] returns. `start` is the zero of the node's time.
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

    /// Drives the node from now on until `task` ends, where [`start`](Self::start) says. A second
    /// call aborts the first task.
    ///
    /// # Panics
    /// Outside a tokio runtime, over a synchronous bus.
    pub fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        let running = self.runtime.spawn(task);
        if let Some(before) = self.task.get_mut().replace(running) {
            before.abort();
        }
    }

    /// Pauses the work outside the task: the sending thread, and the handling of arrivals in
    /// callbacks of the bus. After this call returns, neither runs until [`resume`](Self::resume);
    /// arrivals wait in the ingress queue. For fault-injection tests.
    #[cfg(feature = "testing")]
    pub fn pause(&self) {
        self.core().pause.set(true);
    }

    /// Ends a [`pause`](Self::pause).
    #[cfg(feature = "testing")]
    pub fn resume(&self) {
        self.core().pause.set(false);
        self.core().wake_thread();
        self.core().wake.notify_one();
    }

    /// Publishes an event if its lane has room. If the lane is idle, this thread itself encodes,
    /// seals and puts the event.
    ///
    /// # Errors
    /// [`PublishError`]; no event was published.
    pub fn try_publish<E>(
        &self,
        lane: Lane,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), PublishError<E>> {
        self.sending.publish(lane, encode)
    }

    /// As [`try_publish`](Self::try_publish), but waits for room. Cancel-safe.
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

    /// Sends a message to one peer. It arrives at most once, in no particular order.
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

    /// The live peers, with the time since each was last heard.
    #[must_use]
    pub fn peers(&self) -> Vec<(PeerInfo, Duration)> {
        self.handle().peers()
    }

    /// Numbers of the last events sent, per lane.
    #[must_use]
    pub fn positions(&self) -> PerLane<u64> {
        let node = self.core().node();
        PerLane::from_fn(|lane| node.position(lane))
    }

    /// The counters now.
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

    /// Whether the driver's task and thread run or are being shut down. Otherwise one of them ended
    /// by a bug.
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

    /// Returns the driver and the task that drives the node. The caller passes the task to
    /// [`Driver::spawn`], and may wrap it first, to delay it in tests.
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
        let runtime =
            if has_sending_thread { TaskRuntime::dedicated()? } else { TaskRuntime::of_caller() };
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

    /// The live peers, with the time since each was last heard.
    #[must_use]
    pub fn peers(&self) -> Vec<(PeerInfo, Duration)> {
        let node = self.core.node();
        let now = self.core.now();
        node.peers().map(|peer| (peer.clone(), now.since(peer.last_heard))).collect()
    }

    /// Refuses events from now on, as [`Driver::shutdown`] does first.
    pub fn close_lanes(&self) {
        self.core.lanes.iter().for_each(LaneQueue::close);
    }

    /// Sets the bytes that heartbeats carry from the next one on.
    pub fn set_tag(&self, tag: Bytes) {
        self.core.node().set_tag(tag);
    }
}

impl std::fmt::Debug for DriverHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DriverHandle")
    }
}
