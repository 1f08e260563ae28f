use std::collections::VecDeque;
use std::time::Duration;

use mailmesh_delivery::{Endpoint, PerLane, Time};

use crate::mirrors::Replica;
use crate::network::Packet;

/// Capacity of the queue before a frozen node, in packets.
const MAX_WAITING_FROZEN: usize = 4_096;
/// Capacity of the queue before a slow node, in packets.
const MAX_WAITING_SLOW: usize = 64;

/// A simulated host. It runs one incarnation of a node after another.
#[derive(Debug)]
pub(crate) struct Host {
    /// Number of the node, from which its name follows. Two hosts have one number where a plan
    /// starts a second node with a name in use.
    pub(crate) name: usize,
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) clock: Clock,
    /// The mirror of the running incarnation, in plans with mirrors.
    pub(crate) replica: Option<Box<Replica>>,
    /// Packets that arrived and are not handled yet.
    pub(crate) waiting: VecDeque<Packet>,
    /// The frames that wait for their lane to open.
    pub(crate) to_publish: PerLane<WaitingFrames>,
    pub(crate) frozen_until: Option<Time>,
    pub(crate) slow_until: Option<Time>,
    pub(crate) leaving: Option<Leaving>,
    /// Time of the pending deadline task.
    pub(crate) scheduled: Option<Time>,
}

/// A goodbye that waits for acknowledgements.
#[derive(Debug)]
pub(crate) struct Leaving {
    /// When the node leaves at the latest, acknowledged or not.
    pub(crate) deadline: Time,
    pub(crate) restart_after: Duration,
    /// Time of the pending leave task.
    pub(crate) scheduled: Option<Time>,
}

impl Leaving {
    pub(crate) fn by(deadline: Time, restart_after: Duration) -> Self {
        Self { deadline, restart_after, scheduled: None }
    }
}

/// Frames of one lane that are not published yet.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct WaitingFrames {
    pub(crate) frames: u16,
    pub(crate) events_per_frame: u16,
}

impl Host {
    pub(crate) fn new(name: usize) -> Self {
        Self {
            name,
            endpoint: None,
            clock: Clock::default(),
            replica: None,
            waiting: VecDeque::new(),
            to_publish: PerLane::default(),
            frozen_until: None,
            slow_until: None,
            leaving: None,
            scheduled: None,
        }
    }

    pub(crate) fn is_frozen(&self, now: Time) -> bool {
        self.frozen_until.is_some_and(|until| until > now)
    }

    pub(crate) fn is_slow(&self, now: Time) -> bool {
        self.slow_until.is_some_and(|until| until > now)
    }

    /// Queues a packet for later, or drops it if the queue is full.
    pub(crate) fn queue(&mut self, now: Time, packet: Packet) {
        let capacity = if self.is_frozen(now) { MAX_WAITING_FROZEN } else { MAX_WAITING_SLOW };
        if self.waiting.len() < capacity {
            self.waiting.push_back(packet);
        }
    }
}

/// The monotonic clock of a host. It has an offset from virtual time and may drift.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Clock {
    pub(crate) offset: Duration,
    /// Thousandths by which the clock runs too fast; negative if too slow.
    pub(crate) drift: i32,
}

impl Clock {
    /// Converts virtual time to the time that the clock shows.
    pub(crate) fn local(self, global: Time) -> Time {
        let nanos = global.elapsed().as_nanos() as i128;
        let shifted = nanos + nanos * i128::from(self.drift) / 1_000;
        Time::from_start(self.offset + Duration::from_nanos(shifted.max(0) as u64))
    }

    /// Converts a time that the clock shows to virtual time, or to just after.
    pub(crate) fn global(self, local: Time) -> Time {
        let nanos = local.elapsed().saturating_sub(self.offset).as_nanos() as i128;
        let shifted = nanos * 1_000 / i128::from(1_000 + self.drift) + 1;
        Time::from_start(Duration::from_nanos(shifted.max(0) as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_converts_in_both_directions() {
        for drift in [-10, 0, 7] {
            let clock = Clock { offset: Duration::from_secs(5), drift };
            let local = Time::from_start(Duration::from_millis(12_345));
            let back = clock.local(clock.global(local));
            assert!(back >= local && back.since(local) < Duration::from_nanos(5), "{drift}");
        }
    }
}
