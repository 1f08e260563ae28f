//! Runs a delivery node over a bus: one task that takes what comes and keeps the
//! deadlines, and publishers that send on their own threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use mailmesh_delivery::{
    Counters, DeliveryError, Destination, Frame, FrameKind, Incarnation, Lane, Node, Output,
    PeerInfo, Settings, Time,
};
use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::intake::Arrival;
use crate::lanes::{LaneQueue, Next, PublishError};
use crate::{Address, Bus, Channel, Intake, LogThrottle, TransportError};

/// Makes the bytes of a frame.
pub trait Seal: Send + Sync + 'static {
    /// The bytes of `frame`, or why it cannot be sent.
    ///
    /// # Errors
    /// Any; it is logged and the frame is lost, which receivers see as a gap.
    fn seal(&self, frame: &Frame) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>>;
}

/// Reads the bytes of a frame.
pub trait Open: Send + 'static {
    /// The frame of `bytes`; `None` if it is not one, which the implementor
    /// counts and reports.
    fn open(&mut self, bytes: Bytes) -> Option<Opened>;
}

/// A frame that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The frame, with [`Frame::wire`] so that it can be passed on.
    pub frame: Frame,
    /// Who passed it on, if not its sender itself: it was the body of a frame of kind
    /// [`FrameKind::Relay`] of that peer.
    pub via: Option<Incarnation>,
}

/// Takes what the node has to say. Called on the driver's task, in order; must
/// not wait.
pub trait Sink: Send + 'static {
    /// Anything but [`Output::Transmit`].
    fn take(&mut self, output: Output);
}

/// Most batches that a publisher sends for itself and others; the driver's task
/// goes on, so that no publisher is kept for long.
const SENT_BY_PUBLISHER: usize = 32;
/// Most batches that the driver's task sends for publishers before it looks at
/// what came.
const RESUMED: usize = 16;
/// Most frames handled before deadlines are looked at again.
const BURST: usize = 256;

/// A running node.
///
/// Dropping it stops the task without a goodbye; [`shutdown`](Self::shutdown)
/// drains and says goodbye.
pub struct Driver {
    shared: Arc<Shared>,
    task: AsyncMutex<Option<JoinHandle<()>>>,
}

struct Shared {
    incarnation: Incarnation,
    node: Mutex<Node>,
    bus: Arc<dyn Bus>,
    seal: Arc<dyn Seal>,
    lanes: [LaneQueue; 2],
    start: Instant,
    /// Wakes the task: outputs wait, or a deadline came nearer.
    wake: Notify,
    /// When the task will look next, in nanoseconds since the start.
    planned: AtomicU64,
    heartbeat_min: Duration,
    intake_dropped: AtomicU64,
    put_failed: AtomicU64,
    put_log: LogThrottle,
    stopped: watch::Sender<bool>,
}

/// What the driver counted since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct DriverCounters {
    /// The node's own.
    pub delivery: Counters,
    /// Frames dropped because the intake was full.
    pub intake_dropped: u64,
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
    /// Starts driving `node` over `bus`, on the tokio runtime of the caller.
    ///
    /// `start` is the moment that the node's time counts from.
    ///
    /// # Panics
    /// Outside a tokio runtime with time enabled.
    pub fn start(
        node: Node,
        settings: Settings,
        start: Instant,
        bus: Arc<dyn Bus>,
        intake: Intake,
        codec: (Arc<dyn Seal>, Box<dyn Open>),
        sink: Box<dyn Sink>,
    ) -> Self {
        let (mut driver, task) = Self::prepare(node, settings, start, bus, intake, codec, sink);
        driver.spawn(task);
        driver
    }

    /// As [`start`](Self::start), but gives the task that drives the node, so that
    /// the caller may hold it up; it is to be given to [`spawn`](Self::spawn).
    pub fn prepare(
        node: Node,
        settings: Settings,
        start: Instant,
        bus: Arc<dyn Bus>,
        intake: Intake,
        codec: (Arc<dyn Seal>, Box<dyn Open>),
        sink: Box<dyn Sink>,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (seal, open) = codec;
        let shared = Arc::new(Shared {
            incarnation: node.identity().incarnation,
            node: Mutex::new(node),
            bus,
            seal,
            lanes: Default::default(),
            start,
            wake: Notify::new(),
            planned: AtomicU64::new(0),
            heartbeat_min: settings.heartbeat_min,
            intake_dropped: AtomicU64::new(0),
            put_failed: AtomicU64::new(0),
            put_log: LogThrottle::default(),
            stopped: watch::Sender::new(false),
        });
        let task = run(shared.clone(), intake, open, sink);
        (Self { shared, task: AsyncMutex::new(None) }, task)
    }

    /// Runs what [`prepare`](Self::prepare) gave, on the tokio runtime of the caller.
    ///
    /// # Panics
    /// Outside a tokio runtime with time enabled.
    pub fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        *self.task.get_mut() = Some(tokio::spawn(task));
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
        match self.shared.lanes[lane.index()].append(encode)? {
            Next::Send => self.shared.send_waiting(lane, SENT_BY_PUBLISHER),
            Next::Nothing => {}
        }
        Ok(())
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
        loop {
            let room = self.shared.lanes[lane.index()].space.notified();
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
        self.shared.node.lock().send_direct(to, body)?;
        self.shared.wake.notify_one();
        Ok(())
    }

    /// Sets what rides on heartbeats from the next one on.
    pub fn set_tag(&self, tag: Bytes) {
        self.shared.node.lock().set_tag(tag);
    }

    /// The live peers, with how long ago each was heard.
    #[must_use]
    pub fn peers(&self) -> Vec<(PeerInfo, Duration)> {
        let now = self.shared.now();
        let node = self.shared.node.lock();
        node.peers().map(|peer| (peer.clone(), now.since(peer.last_heard))).collect()
    }

    /// Numbers of the last events sent, per lane.
    #[must_use]
    pub fn positions(&self) -> [u64; 2] {
        let node = self.shared.node.lock();
        Lane::ALL.map(|lane| node.position(lane))
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> DriverCounters {
        let (delivery, replay_bytes, relay_bytes) = {
            let node = self.shared.node.lock();
            (node.counters(), node.replay_bytes(), node.relay_bytes())
        };
        DriverCounters {
            delivery,
            replay_bytes,
            relay_bytes,
            intake_dropped: self.shared.intake_dropped.load(Ordering::Relaxed),
            put_failed: self.shared.put_failed.load(Ordering::Relaxed),
            waiting_bytes: self.shared.lanes.iter().map(LaneQueue::waiting_bytes).sum(),
        }
    }

    /// Whether the driver's task runs, or is being shut down. It ends by itself only
    /// if it panicked.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.task.try_lock().map_or(true, |task| task.as_ref().is_none_or(|t| !t.is_finished()))
    }

    /// Takes no more events, sends what waits, says goodbye and closes the bus. A
    /// second call waits for the first.
    pub async fn shutdown(&self) {
        for lane in &self.shared.lanes {
            lane.close();
            // A publisher on another thread may still be sending.
            loop {
                let progress = lane.space.notified();
                tokio::pin!(progress);
                progress.as_mut().enable();
                if lane.is_idle() {
                    break;
                }
                progress.await;
            }
        }
        self.shared.node.lock().leave();
        self.shared.stopped.send_replace(true);
        self.shared.wake.notify_one();
        // Whoever comes second waits here until the first has closed everything; if
        // the first gave up waiting, the second does it.
        let mut task = self.task.lock().await;
        if let Some(running) = task.as_mut() {
            if !running.is_finished() {
                let _ended = running.await;
            }
            self.shared.bus.close().await;
            *task = None;
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(task) = self.task.get_mut().take() {
            task.abort();
        }
    }
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("counters", &self.counters()).finish_non_exhaustive()
    }
}

impl Shared {
    /// When to look next. Noted under the node's lock: who sends after that sees it,
    /// and wakes the task if its heartbeat is due earlier.
    fn plan(&self) -> Option<Time> {
        let node = self.node.lock();
        let deadline = node.next_deadline()?;
        let nanos = u64::try_from(deadline.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.planned.store(nanos, Ordering::Relaxed);
        drop(node);
        Some(deadline)
    }

    fn now(&self) -> Time {
        Time::from_start(self.start.elapsed())
    }

    /// Sends up to `most` batches, until none waits or the lane is closed. Only one
    /// thread at a time is here for a lane, which is what keeps its order.
    fn send_waiting(&self, lane: Lane, most: usize) {
        let queue = &self.lanes[lane.index()];
        for _ in 0..most {
            if !self.node.lock().is_open(lane) {
                queue.park();
                // It may have opened before the lane was parked, when nobody could
                // resume it.
                if !(self.node.lock().is_open(lane) && queue.resume()) {
                    self.wake.notify_one();
                    return;
                }
            }
            let Some(batch) = queue.take() else { return };
            let now = self.now();
            let sent = self.node.lock().send(now, lane, batch.count, batch.body.into());
            match sent {
                Ok(frame) => self.put(Address::All, Channel::Lane(lane), &frame),
                Err(error) => tracing::error!(%error, "events not sent"),
            }
            let due = (now + self.heartbeat_min).elapsed().as_nanos();
            if due < u128::from(self.planned.load(Ordering::Relaxed)) {
                self.wake.notify_one();
            }
        }
        queue.park();
        self.wake.notify_one();
    }

    /// Sends what waits in lanes that have opened again.
    fn resume_lanes(&self) {
        for lane in Lane::ALL {
            let queue = &self.lanes[lane.index()];
            if queue.waiting_bytes() > 0 && self.node.lock().is_open(lane) && queue.resume() {
                self.send_waiting(lane, RESUMED);
            }
        }
    }

    fn put(&self, to: Address, channel: Channel, frame: &Frame) {
        let put = match self.seal.seal(frame) {
            Ok(bytes) => self.bus.put(to, channel, bytes).map_err(Into::into),
            Err(error) => Err(error),
        };
        if let Err(error) = put {
            let total = self.put_failed.fetch_add(1, Ordering::Relaxed) + 1;
            let is_closed = matches!(error.downcast_ref(), Some(TransportError::Closed));
            if !is_closed && self.put_log.is_ready() {
                tracing::warn!(%error, ?to, total, "a frame was not sent; receivers will be told of a gap");
            }
        }
    }
}

/// The driver's task.
async fn run(
    shared: Arc<Shared>,
    mut intake: Intake,
    mut open: Box<dyn Open>,
    mut sink: Box<dyn Sink>,
) {
    let stopped = shared.stopped.subscribe();
    loop {
        drain_outputs(&shared, sink.as_mut());
        shared.intake_dropped.store(intake.dropped(), Ordering::Relaxed);
        if *stopped.borrow() {
            return;
        }
        let Some(deadline) = shared.plan() else { return };
        let mut arrival = tokio::select! {
            arrival = intake.recv() => arrival,
            () = sleep_until(shared.start + deadline.elapsed()) => None,
            () = shared.wake.notified() => None,
        };
        let mut handled = 0;
        while let Some(next) = arrival {
            handle(&shared, next, open.as_mut());
            drain_outputs(&shared, sink.as_mut());
            handled += 1;
            arrival = if handled < BURST { intake.try_recv() } else { None };
        }
        let now = shared.now();
        shared.node.lock().handle_deadline(now);
        shared.resume_lanes();
    }
}

fn handle(shared: &Shared, arrival: Arrival, open: &mut dyn Open) {
    match arrival {
        Arrival::Frame(bytes) => {
            if let Some(Opened { frame, via }) = open.open(bytes) {
                let now = shared.now();
                let mut node = shared.node.lock();
                match via {
                    None => node.handle_frame(now, frame),
                    Some(via) => node.handle_relayed(now, via, frame),
                }
            }
        }
        Arrival::Link(peer, link) => {
            let now = shared.now();
            shared.node.lock().handle_link(now, peer, link);
        }
    }
}

fn drain_outputs(shared: &Shared, sink: &mut dyn Sink) {
    loop {
        let output = shared.node.lock().poll_output();
        match output {
            None => return,
            Some(Output::Transmit { to, frame }) => {
                let to = match to {
                    Destination::All => Address::All,
                    Destination::One(peer) => Address::One(peer),
                };
                // Events sent again to one peer; sealed again they are the same bytes.
                let channel = match frame.kind {
                    FrameKind::Data(lane) => Channel::Lane(lane),
                    FrameKind::Control | FrameKind::Direct | FrameKind::Relay => Channel::Control,
                };
                shared.put(to, channel, &frame);
            }
            Some(Output::Relay { to, number, frame }) => {
                let Some(body) = frame.wire else { continue };
                let incarnation = shared.incarnation;
                let (kind, first) = (FrameKind::Relay, number);
                let message = Frame { incarnation, kind, first, count: 0, body, wire: None };
                shared.put(Address::One(to), Channel::Control, &message);
            }
            Some(output) => {
                match &output {
                    Output::Joined(peer) => shared.bus.expect(peer.incarnation),
                    Output::Left { peer, .. } => shared.bus.forget(peer.incarnation),
                    _ => {}
                }
                sink.take(output);
            }
        }
    }
}
