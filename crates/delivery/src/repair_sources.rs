use crate::{Incarnation, Lane};

/// Who else has events of one sender, by what it said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RepairSource {
    who: Incarnation,
    /// It has taken everything up to these numbers, per lane.
    positions: [u64; 2],
    /// It no longer has what came before these.
    from: [u64; 2],
}

/// The peers that can send a sender's events again in its place: those that came
/// farthest, [`MOST`](Self::MOST) of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct RepairSources(Vec<RepairSource>);

impl RepairSources {
    /// Enough that some of them live when one must be asked.
    const MOST: usize = 8;

    /// A peer says that it has everything up to these numbers.
    pub(crate) fn record(&mut self, who: Incarnation, positions: [u64; 2]) {
        if let Some(source) = self.0.iter_mut().find(|source| source.who == who) {
            for lane in Lane::ALL.map(Lane::index) {
                // What it lacked because it had not come that far, it has now.
                if positions[lane] > source.positions[lane] {
                    source.from[lane] = source.from[lane].min(source.positions[lane] + 1);
                }
            }
            source.positions = positions;
            return;
        }
        if self.0.len() >= Self::MOST {
            let reached = |source: &RepairSource| {
                u128::from(source.positions[0]) + u128::from(source.positions[1])
            };
            let new = RepairSource { who, positions, from: [0; 2] };
            let behind = self.0.iter().enumerate().min_by_key(|(_, source)| reached(source));
            match behind {
                Some((index, source)) if reached(source) < reached(&new) => self.0[index] = new,
                _ => {}
            }
            return;
        }
        self.0.push(RepairSource { who, positions, from: [0; 2] });
    }

    /// A peer says that it no longer has what came before the number `before`.
    pub(crate) fn note_unavailable(&mut self, who: Incarnation, lane: Lane, before: u64) {
        if let Some(source) = self.0.iter_mut().find(|source| source.who == who) {
            let from = &mut source.from[lane.index()];
            *from = before.max(*from);
        }
    }

    /// A peer left; whether it had something.
    pub(crate) fn remove(&mut self, who: Incarnation) -> bool {
        let before = self.0.len();
        self.0.retain(|source| source.who != who);
        self.0.len() < before
    }

    /// Who may have an event, of which one is chosen by `turn`. With `guess` also who
    /// has not said that it came that far.
    pub(crate) fn pick(
        &self,
        lane: Lane,
        number: u64,
        guess: bool,
        turn: u32,
    ) -> Option<Incarnation> {
        let i = lane.index();
        let has = |h: &&RepairSource| h.from[i] <= number && (guess || number <= h.positions[i]);
        let count = self.0.iter().filter(has).count();
        let turn = usize::try_from(turn).unwrap_or(0).checked_rem(count)?;
        self.0.iter().filter(has).nth(turn).map(|source| source.who)
    }

    /// The first number after `number` that somebody may still have, who no longer has
    /// those before.
    pub(crate) fn next_available(&self, lane: Lane, number: u64) -> Option<u64> {
        self.0.iter().map(|source| source.from[lane.index()]).filter(|from| *from > number).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANE: Lane = Lane::Events;

    fn id(n: u8) -> Incarnation {
        Incarnation([n; 16])
    }

    #[test]
    fn those_that_have_an_event_are_asked_in_turn() {
        let mut repair_sources = RepairSources::default();
        repair_sources.record(id(1), [0, 10]);
        repair_sources.record(id(2), [0, 20]);
        repair_sources.record(id(3), [0, 5]);
        let asked = |repair_sources: &RepairSources, number, guess| {
            (0..3).map(|turn| repair_sources.pick(LANE, number, guess, turn)).collect::<Vec<_>>()
        };
        assert_eq!(asked(&repair_sources, 8, false), [Some(id(1)), Some(id(2)), Some(id(1))]);
        assert_eq!(asked(&repair_sources, 21, false), [None; 3]);
        assert_eq!(asked(&repair_sources, 21, true), [Some(id(1)), Some(id(2)), Some(id(3))]);
        repair_sources.note_unavailable(id(1), LANE, 9);
        assert_eq!(asked(&repair_sources, 8, false), [Some(id(2)); 3]);
        assert_eq!(repair_sources.next_available(LANE, 8), Some(9));
        assert!(repair_sources.remove(id(2)) && !repair_sources.remove(id(2)));
        assert_eq!(asked(&repair_sources, 8, false), [None; 3]);
        assert_eq!(repair_sources.pick(Lane::Urgent, 1, false, 0), None);
    }

    #[test]
    fn those_that_came_farthest_are_kept() {
        let mut repair_sources = RepairSources::default();
        for n in 1..=20 {
            repair_sources.record(id(n), [0, n.into()]);
        }
        assert_eq!(repair_sources.0.len(), RepairSources::MOST);
        let least = repair_sources.0.iter().map(|source| source.positions[1]).min();
        assert_eq!(least, Some(13));
        repair_sources.record(id(50), [0, 1]);
        assert!(!repair_sources.0.iter().any(|source| source.who == id(50)));
    }
}
