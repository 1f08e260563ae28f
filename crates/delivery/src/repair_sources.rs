//! Repair sources: which other peers can retransmit a sender's events.

use crate::{Incarnation, Lane, PerLane};

/// A peer and the range of the sender's events that it has, as it reports itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RepairSource {
    peer: Incarnation,
    /// The peer has received everything up to these numbers, per lane.
    positions: PerLane<u64>,
    /// First numbers that the peer may still have, per lane.
    from: PerLane<u64>,
}

/// The peers that can retransmit a sender's events in its place: the most advanced ones, at most
/// [`MOST`](Self::MOST).
#[derive(Debug, Clone, Default)]
pub(crate) struct RepairSources(Vec<RepairSource>);

impl RepairSources {
    /// With eight sources, some are most likely alive when one must be asked.
    const MOST: usize = 8;

    /// A peer reports that it has received everything up to these positions.
    pub(crate) fn record(&mut self, peer: Incarnation, positions: PerLane<u64>) {
        if let Some(source) = self.0.iter_mut().find(|source| source.peer == peer) {
            for lane in Lane::ALL {
                // Events beyond its old position may be noted as unavailable. The peer has them
                // now.
                if positions[lane] > source.positions[lane] {
                    source.from[lane] = source.from[lane].min(source.positions[lane] + 1);
                }
            }
            source.positions = positions;
            return;
        }
        if self.0.len() >= Self::MOST {
            let reached =
                |source: &RepairSource| source.positions.into_iter().map(u128::from).sum::<u128>();
            let new = RepairSource { peer, positions, from: PerLane::default() };
            let behind = self.0.iter().enumerate().min_by_key(|(_, source)| reached(source));
            match behind {
                Some((index, source)) if reached(source) < reached(&new) => self.0[index] = new,
                _ => {}
            }
            return;
        }
        self.0.push(RepairSource { peer, positions, from: PerLane::default() });
    }

    /// A peer reports that it has no events below `before`.
    pub(crate) fn note_unavailable(&mut self, peer: Incarnation, lane: Lane, before: u64) {
        if let Some(source) = self.0.iter_mut().find(|source| source.peer == peer) {
            let from = &mut source.from[lane];
            *from = before.max(*from);
        }
    }

    /// Removes a peer that left. Returns whether it was a source.
    pub(crate) fn remove(&mut self, peer: Incarnation) -> bool {
        let before = self.0.len();
        self.0.retain(|source| source.peer != peer);
        self.0.len() < before
    }

    /// Picks a source that may have the event `number`; `turn` selects among the candidates. With
    /// `guess`, sources that have not reported that position are candidates too.
    pub(crate) fn pick(
        &self,
        lane: Lane,
        number: u64,
        guess: bool,
        turn: u32,
    ) -> Option<Incarnation> {
        let has = |source: &&RepairSource| {
            source.from[lane] <= number && (guess || number <= source.positions[lane])
        };
        let count = self.0.iter().filter(has).count();
        let turn = usize::try_from(turn).unwrap_or(0).checked_rem(count)?;
        self.0.iter().filter(has).nth(turn).map(|source| source.peer)
    }

    /// The lowest number above `number` at which a source may have events again.
    pub(crate) fn next_available(&self, lane: Lane, number: u64) -> Option<u64> {
        self.0.iter().map(|source| source.from[lane]).filter(|from| *from > number).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANE: Lane = Lane::Events;

    fn id(n: u8) -> Incarnation {
        Incarnation([n; 16])
    }

    fn up_to(number: u64) -> PerLane<u64> {
        PerLane::new(0, number)
    }

    #[test]
    fn sources_that_have_an_event_are_picked_in_turn() {
        let mut repair_sources = RepairSources::default();
        repair_sources.record(id(1), up_to(10));
        repair_sources.record(id(2), up_to(20));
        repair_sources.record(id(3), up_to(5));
        let picked = |repair_sources: &RepairSources, number, guess| {
            (0..3).map(|turn| repair_sources.pick(LANE, number, guess, turn)).collect::<Vec<_>>()
        };
        assert_eq!(picked(&repair_sources, 8, false), [Some(id(1)), Some(id(2)), Some(id(1))]);
        assert_eq!(picked(&repair_sources, 21, false), [None; 3]);
        assert_eq!(picked(&repair_sources, 21, true), [Some(id(1)), Some(id(2)), Some(id(3))]);
        repair_sources.note_unavailable(id(1), LANE, 9);
        assert_eq!(picked(&repair_sources, 8, false), [Some(id(2)); 3]);
        assert_eq!(repair_sources.next_available(LANE, 8), Some(9));
        assert!(repair_sources.remove(id(2)) && !repair_sources.remove(id(2)));
        assert_eq!(picked(&repair_sources, 8, false), [None; 3]);
        assert_eq!(repair_sources.pick(Lane::Urgent, 1, false, 0), None);
    }

    #[test]
    fn the_most_advanced_sources_are_kept() {
        let mut repair_sources = RepairSources::default();
        for n in 1..=20 {
            repair_sources.record(id(n), up_to(n.into()));
        }
        assert_eq!(repair_sources.0.len(), RepairSources::MOST);
        let least = repair_sources.0.iter().map(|source| source.positions[LANE]).min();
        assert_eq!(least, Some(13));
        repair_sources.record(id(50), up_to(1));
        assert!(!repair_sources.0.iter().any(|source| source.peer == id(50)));
    }
}
