//! Frames on their way.

use std::collections::BTreeMap;
#[cfg(test)]
use std::collections::BTreeSet;
use std::time::Duration;

use fastrand::Rng;
use mailmesh_delivery::{Frame, Time};

use crate::Faults;

/// How long a frame takes at least.
const LATENCY: Duration = Duration::from_micros(200);
/// Most frames on their way; more are lost, as on a full link.
const CAPACITY: usize = 100_000;

/// The network between nodes, who are numbered.
#[derive(Debug, Default)]
pub(crate) struct Network {
    /// By arrival, then by the order of sending.
    on_the_way: BTreeMap<(Time, u64), (usize, Frame)>,
    sent: u64,
    /// Directed pairs that carry nothing, until when.
    cuts: BTreeMap<(usize, usize), Time>,
}

impl Network {
    pub(crate) fn send(
        &mut self,
        now: Time,
        (from, to): (usize, usize),
        frame: &Frame,
        faults: &Faults,
        rng: &mut Rng,
    ) {
        let is_cut = self.cuts.get(&(from, to)).is_some_and(|until| *until > now);
        if is_cut || rng.u32(..1000) < faults.loss || self.on_the_way.len() >= CAPACITY {
            return;
        }
        let copies = if rng.u32(..1000) < faults.duplication { 2 } else { 1 };
        for _ in 0..copies {
            let most = u64::try_from(faults.jitter.as_micros()).unwrap_or(0);
            let jitter = Duration::from_micros(if most == 0 { 0 } else { rng.u64(0..=most) });
            self.sent += 1;
            self.on_the_way.insert((now + LATENCY + jitter, self.sent), (to, frame.clone()));
        }
    }

    pub(crate) fn cut(&mut self, from: usize, to: usize, until: Time) {
        self.cuts.insert((from, to), until);
    }

    pub(crate) fn heal(&mut self) {
        self.cuts.clear();
    }

    /// When the next frame arrives.
    pub(crate) fn next_arrival(&self) -> Option<Time> {
        self.on_the_way.keys().next().map(|(at, _)| *at)
    }

    /// The next frame that has arrived by `now`.
    pub(crate) fn arrival(&mut self, now: Time) -> Option<(usize, Frame)> {
        let entry = self.on_the_way.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }

    /// The nodes that some frame is on its way to.
    #[cfg(test)]
    pub(crate) fn destinations(&self) -> BTreeSet<usize> {
        self.on_the_way.values().map(|(to, _)| *to).collect()
    }
}

#[cfg(test)]
mod tests {
    use mailmesh_delivery::{FrameKind, Incarnation};

    use super::*;

    #[test]
    fn a_cut_is_of_one_direction_and_ends() {
        let incarnation = Incarnation([0; 16]);
        let frame =
            Frame { incarnation, kind: FrameKind::Control, first: 1, count: 0, body: "".into() };
        let (mut network, mut rng) = (Network::default(), Rng::with_seed(1));
        let at = |ms| Time::from_start(Duration::from_millis(ms));
        network.cut(0, 1, at(10));
        for (now, pair) in [(0, (0, 1)), (0, (1, 0)), (10, (0, 1))] {
            network.send(at(now), pair, &frame, &Faults::default(), &mut rng);
        }
        assert_eq!(network.destinations(), BTreeSet::from([0, 1]));
        assert_eq!(network.on_the_way.len(), 2);
    }
}
