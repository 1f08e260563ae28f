//! The simulated network: frames in flight.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use fastrand::Rng;
use mailmesh_delivery::{Frame, Time, Via};

use crate::Faults;

/// Shortest time that a frame is in flight.
const MIN_LATENCY: Duration = Duration::from_micros(200);
/// Number of latest packets kept for replay by forgeries and liars.
const MAX_RECORDED: usize = 256;

/// A frame, and the relay it came through if not directly from its sender.
#[derive(Debug, Clone)]
pub(crate) struct Packet {
    pub(crate) frame: Frame,
    pub(crate) via: Option<Via>,
}

/// The network between hosts, by their numbers.
#[derive(Debug)]
pub(crate) struct Network {
    rng: Rng,
    faults: Faults,
    /// End of each cut, by (from, to).
    cuts: BTreeMap<(usize, usize), Time>,
    /// Packets are recorded, for forgeries or liars.
    is_recording: bool,
    recorded: VecDeque<Packet>,
}

impl Network {
    pub(crate) fn new(seed: u64, faults: Faults, is_recording: bool) -> Self {
        let rng = Rng::with_seed(seed ^ 0x4E45_5457);
        let is_recording = is_recording || faults.forgeries > 0;
        Self { rng, faults, cuts: BTreeMap::new(), is_recording, recorded: VecDeque::new() }
    }

    /// When the copies of a packet arrive. None arrives if the packet is lost.
    pub(crate) fn send(
        &mut self,
        now: Time,
        (from, to): (usize, usize),
        packet: &Packet,
    ) -> [Option<Time>; 2] {
        let is_cut = self.cuts.get(&(from, to)).is_some_and(|until| *until > now);
        if is_cut || self.happens(self.faults.loss) {
            return [None; 2];
        }
        if self.is_recording {
            if self.recorded.len() >= MAX_RECORDED {
                self.recorded.pop_front();
            }
            self.recorded.push_back(packet.clone());
        }
        let is_duplicated = self.happens(self.faults.duplication);
        [Some(self.arrival(now)), is_duplicated.then(|| self.arrival(now))]
    }

    /// One of the latest packets.
    pub(crate) fn recorded(&self, which: u32) -> Option<Packet> {
        let index = usize::try_from(which).unwrap_or(0).checked_rem(self.recorded.len())?;
        self.recorded.get(index).cloned()
    }

    pub(crate) fn cut(&mut self, from: usize, to: usize, until: Time) {
        let cut = self.cuts.entry((from, to)).or_insert(until);
        *cut = until.max(*cut);
    }

    /// From now on every frame arrives, with the shortest latency.
    pub(crate) fn end_faults(&mut self) {
        self.faults = Faults::default();
        self.cuts.clear();
    }

    fn happens(&mut self, thousandths: u32) -> bool {
        thousandths > 0 && self.rng.u32(..1_000) < thousandths
    }

    fn arrival(&mut self, now: Time) -> Time {
        let max = u64::try_from(self.faults.jitter.as_micros()).unwrap_or(0);
        let jitter = if max == 0 { 0 } else { self.rng.u64(0..=max) };
        now + MIN_LATENCY + Duration::from_micros(jitter)
    }
}

#[cfg(test)]
mod tests {
    use mailmesh_delivery::{FrameKind, Incarnation};

    use super::*;

    #[test]
    fn a_cut_blocks_one_direction_until_it_ends() {
        let incarnation = Incarnation([0; 16]);
        let (kind, body) = (FrameKind::Control, "".into());
        let frame = Frame { incarnation, to: None, kind, first: 1, count: 0, body, wire: None };
        let packet = Packet { frame, via: None };
        let mut network = Network::new(1, Faults::default(), false);
        let at = |ms| Time::from_start(Duration::from_millis(ms));
        network.cut(0, 1, at(10));
        let mut arrives = |now, pair| network.send(at(now), pair, &packet)[0].is_some();
        assert!(!arrives(0, (0, 1)) && arrives(0, (1, 0)) && arrives(10, (0, 1)));
    }
}
