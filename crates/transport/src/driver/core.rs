//! What sending and receiving share: the node, the lanes, and the clock.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Thread;
use std::time::Duration;

use mailmesh_delivery::{Endpoint, Incarnation, Lane, Settings, Time};
use parking_lot::{Mutex, MutexGuard, RwLock};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::stalls::StallDetector;
use crate::lanes::LaneQueue;

/// **Lock order**: the receiving side, the node, a lane.
pub(super) struct Core {
    pub(super) incarnation: Incarnation,
    node: Mutex<Endpoint>,
    pub(super) lanes: [LaneQueue; 2],
    start: Instant,
    stalls: StallDetector,
    /// Wakes the task: frames to put wait, or a deadline came nearer.
    pub(super) wake: Notify,
    /// When the task will look next, in nanoseconds since the start.
    next_poll: AtomicU64,
    /// The task looks at least that often, due or not: that nobody looked is how a process
    /// knows that it stood still. Half of the longest time between heartbeats, so that a node at
    /// rest is woken once more for each.
    max_poll_interval: Duration,
    /// A test stands the node still; see [`pause`](super::Driver::hold).
    pub(super) paused: RwLock<bool>,
    /// The node is to leave as soon as what it sent is confirmed.
    pub(super) is_draining: AtomicBool,
    /// Wakes who waits for that: the node had an input.
    pub(super) progress: Notify,
    /// The sending thread, to be woken.
    pub(super) thread: OnceLock<Thread>,
}

impl Core {
    /// `has_sending_thread`: lanes may be hot.
    pub(super) fn new(
        node: Endpoint,
        settings: &Settings,
        start: Instant,
        has_sending_thread: bool,
    ) -> Self {
        Self {
            incarnation: node.identity().incarnation,
            node: Mutex::new(node),
            lanes: Lane::ALL.map(|_| LaneQueue::new(has_sending_thread)),
            start,
            stalls: StallDetector::default(),
            wake: Notify::new(),
            next_poll: AtomicU64::new(0),
            max_poll_interval: settings.heartbeat_max / 2,
            paused: RwLock::new(false),
            is_draining: AtomicBool::new(false),
            progress: Notify::new(),
            thread: OnceLock::new(),
        }
    }

    pub(super) fn node(&self) -> MutexGuard<'_, Endpoint> {
        self.node.lock()
    }

    /// The node's time, which stands still while this process does. To be asked under the
    /// node's lock, whose time must not go back.
    pub(super) fn now(&self) -> Time {
        let next_poll = Duration::from_nanos(self.next_poll.load(Ordering::Relaxed));
        Time::from_start(self.stalls.time(self.start.elapsed(), next_poll))
    }

    /// When it is this time of the node, unless the process stands still until then.
    pub(super) fn instant(&self, time: Time) -> Instant {
        self.start + time.elapsed() + self.stalls.lost()
    }

    /// For how long this process stood still, if nobody was told yet.
    pub(super) fn take_stall(&self) -> Option<Duration> {
        self.stalls.take()
    }

    pub(super) fn lane(&self, lane: Lane) -> &LaneQueue {
        &self.lanes[lane.index()]
    }

    /// Wakes who sends what publishers leave: the sending thread, or the task where
    /// there is none.
    pub(super) fn wake_thread(&self) {
        match self.thread.get() {
            Some(thread) => thread.unpark(),
            None => self.wake.notify_one(),
        }
    }

    /// When the task looks next. Noted under the node's lock: whoever brings the
    /// node a nearer deadline after that sees it, and wakes the task.
    pub(super) fn plan_next_poll(&self) -> Option<Time> {
        let node = self.node();
        let next = node.next_deadline()?.min(self.now() + self.max_poll_interval);
        self.next_poll.store(nanos(next.elapsed()), Ordering::Relaxed);
        drop(node);
        Some(next)
    }

    /// Wakes the task if it would look too late. Under the node's lock.
    pub(super) fn schedule(&self, deadline: Option<Time>) {
        if deadline.is_some_and(|due| nanos(due.elapsed()) < self.next_poll.load(Ordering::Relaxed))
        {
            self.wake.notify_one();
        }
    }

    /// Tells who waits for it that the node had an input.
    pub(super) fn note_progress(&self) {
        if self.is_draining.load(Ordering::Relaxed) {
            self.progress.notify_one();
        }
    }

    /// Gives lanes that have opened again to the sending thread. Under the node's
    /// lock.
    pub(super) fn resume_lanes(&self, node: &Endpoint) {
        for lane in Lane::ALL {
            let queue = self.lane(lane);
            if queue.is_parked() && node.may_send(lane) && queue.resume() {
                self.wake_thread();
            }
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
