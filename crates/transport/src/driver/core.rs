//! State shared by sending and receiving: the node, the lanes, and the clock.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Thread;
use std::time::Duration;

use mailmesh_delivery::{Endpoint, Incarnation, Lane, PerLane, Settings, Time};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::pause::Pause;
use super::stalls::StallDetector;
use crate::lanes::LaneQueue;

/// **Lock order**: the receiver's state, the node, a lane.
pub(super) struct Core {
    pub(super) incarnation: Incarnation,
    node: Mutex<Endpoint>,
    pub(super) lanes: PerLane<LaneQueue>,
    start: Instant,
    stalls: StallDetector,
    /// Wakes the task: frames wait to be put, or an earlier deadline was set.
    pub(super) wake: Notify,
    /// When the task polls next, in nanoseconds of the node's time.
    next_poll: AtomicU64,
    /// The task polls at least this often, even without a deadline. A late poll is how the process
    /// detects that it was stopped. Half of the maximum heartbeat interval, so that an idle node
    /// wakes only once more for each heartbeat.
    max_poll_interval: Duration,
    pub(super) pause: Pause,
    /// The node leaves as soon as receivers have acknowledged everything.
    pub(super) is_draining: AtomicBool,
    /// Wakes the task that waits for the acknowledgements: the node had an input.
    pub(super) progress: Notify,
    /// The handle for waking the sending thread.
    pub(super) thread: OnceLock<Thread>,
}

impl Core {
    /// Only with `has_sending_thread` may lanes become hot.
    pub(super) fn new(
        node: Endpoint,
        settings: &Settings,
        start: Instant,
        has_sending_thread: bool,
    ) -> Self {
        Self {
            incarnation: node.identity().incarnation,
            node: Mutex::new(node),
            lanes: PerLane::from_fn(|_| LaneQueue::new(has_sending_thread)),
            start,
            stalls: StallDetector::default(),
            wake: Notify::new(),
            next_poll: AtomicU64::new(0),
            max_poll_interval: settings.heartbeat_max / 2,
            pause: Pause::default(),
            is_draining: AtomicBool::new(false),
            progress: Notify::new(),
            thread: OnceLock::new(),
        }
    }

    pub(super) fn node(&self) -> MutexGuard<'_, Endpoint> {
        self.node.lock()
    }

    /// The node's time, which does not advance while this process is stopped. Read it under the
    /// node's lock, so that it never goes back.
    pub(super) fn now(&self) -> Time {
        let next_poll = Duration::from_nanos(self.next_poll.load(Ordering::Relaxed));
        Time::from_start(self.stalls.time(self.start.elapsed(), next_poll))
    }

    /// The instant at which the node's time is `time`, unless the process is stopped until then.
    pub(super) fn instant(&self, time: Time) -> Instant {
        self.start + time.elapsed() + self.stalls.lost()
    }

    /// How long this process was stopped, if that was not reported yet.
    pub(super) fn take_stall(&self) -> Option<Duration> {
        self.stalls.take()
    }

    pub(super) fn lane(&self, lane: Lane) -> &LaneQueue {
        &self.lanes[lane]
    }

    /// Wakes the sender of the batches that publishers leave: the sending thread, or the task if
    /// there is none.
    pub(super) fn wake_thread(&self) {
        match self.thread.get() {
            Some(thread) => thread.unpark(),
            None => self.wake.notify_one(),
        }
    }

    /// Plans the task's next poll. The plan is stored under the node's lock, so that a caller that
    /// sets an earlier deadline afterwards sees the plan and wakes the task.
    pub(super) fn plan_next_poll(&self) -> Option<Time> {
        let node = self.node();
        let next = node.next_deadline()?.min(self.now() + self.max_poll_interval);
        self.next_poll.store(nanos(next.elapsed()), Ordering::Relaxed);
        drop(node);
        Some(next)
    }

    /// Wakes the task if its next poll comes after `deadline`. The caller holds the node's lock.
    pub(super) fn schedule(&self, deadline: Option<Time>) {
        if deadline.is_some_and(|due| nanos(due.elapsed()) < self.next_poll.load(Ordering::Relaxed))
        {
            self.wake.notify_one();
        }
    }

    /// Notifies the task that waits for acknowledgements of an input to the node.
    pub(super) fn note_progress(&self) {
        if self.is_draining.load(Ordering::Relaxed) {
            self.progress.notify_one();
        }
    }

    /// Gives lanes that may send again to the sending thread. The caller holds the node's lock.
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
