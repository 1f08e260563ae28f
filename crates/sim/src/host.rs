use std::collections::VecDeque;
use std::time::Duration;

use mailmesh_delivery::{Endpoint, Time};

use crate::mirrors::Replica;
use crate::network::Packet;

/// Most packets that wait before a node that stands still.
const MAX_WAITING_FROZEN: usize = 4_096;
/// Most packets that wait before a slow node.
const MAX_WAITING_SLOW: usize = 64;

/// The place of a node: its lives follow each other here.
#[derive(Debug)]
pub(crate) struct Host {
    /// The nodes of this number have one name.
    pub(crate) name: usize,
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) clock: Clock,
    /// Its mirror, if nodes keep one.
    pub(crate) replica: Option<Box<Replica>>,
    /// What came and is not handled yet.
    pub(crate) waiting: VecDeque<Packet>,
    /// What it has to send and could not yet, in each lane: so many frames, of so many events.
    pub(crate) to_publish: [(u16, u16); 2],
    pub(crate) frozen_until: Option<Time>,
    pub(crate) slow_until: Option<Time>,
    pub(crate) leaving: Option<Leaving>,
    /// When its deadline is looked at next.
    pub(crate) scheduled: Option<Time>,
}

/// A node is about to say goodbye.
#[derive(Debug)]
pub(crate) struct Leaving {
    /// When it does, whatever was not confirmed.
    pub(crate) deadline: Time,
    pub(crate) restart_after: Duration,
    /// When that is looked at next.
    pub(crate) scheduled: Option<Time>,
}

impl Leaving {
    pub(crate) fn by(deadline: Time, restart_after: Duration) -> Self {
        Self { deadline, restart_after, scheduled: None }
    }
}

impl Host {
    pub(crate) fn new(name: usize) -> Self {
        Self {
            name,
            endpoint: None,
            clock: Clock::default(),
            replica: None,
            waiting: VecDeque::new(),
            to_publish: [(0, 0); 2],
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

    /// Keeps a packet for later, if there is room.
    pub(crate) fn queue(&mut self, now: Time, packet: Packet) {
        let capacity = if self.is_frozen(now) { MAX_WAITING_FROZEN } else { MAX_WAITING_SLOW };
        if self.waiting.len() < capacity {
            self.waiting.push_back(packet);
        }
    }
}

/// The clock of a node: it began at another time than the run, and runs too fast or
/// too slow.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Clock {
    pub(crate) offset: Duration,
    /// Thousandths by which it runs too fast; too slow if negative.
    pub(crate) drift: i32,
}

impl Clock {
    /// Its time at this moment of the run.
    pub(crate) fn local(self, global: Time) -> Time {
        let nanos = global.elapsed().as_nanos() as i128;
        let shifted = nanos + nanos * i128::from(self.drift) / 1_000;
        Time::from_start(self.offset + Duration::from_nanos(shifted.max(0) as u64))
    }

    /// The moment of the run when it shows this time, or right after.
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
    fn a_clock_reads_both_ways() {
        for drift in [-10, 0, 7] {
            let clock = Clock { offset: Duration::from_secs(5), drift };
            let local = Time::from_start(Duration::from_millis(12_345));
            let back = clock.local(clock.global(local));
            assert!(back >= local && back.since(local) < Duration::from_nanos(5), "{drift}");
        }
    }
}
