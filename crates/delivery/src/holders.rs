use crate::{Incarnation, Lane};

/// Who else has events of one sender, by what it said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Holder {
    who: Incarnation,
    /// It has taken everything up to these numbers, per lane.
    positions: [u64; 2],
    /// It no longer has what came before these.
    from: [u64; 2],
}

/// The peers that can send a sender's events again in its place: those that came
/// farthest, [`MOST`](Self::MOST) of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Holders(Vec<Holder>);

impl Holders {
    /// Enough that some of them live when one must be asked.
    const MOST: usize = 8;

    /// A peer says that it has everything up to these numbers.
    pub(crate) fn note(&mut self, who: Incarnation, positions: [u64; 2]) {
        if let Some(holder) = self.0.iter_mut().find(|holder| holder.who == who) {
            for lane in Lane::ALL.map(Lane::index) {
                // What it lacked because it had not come that far, it has now.
                if positions[lane] > holder.positions[lane] {
                    holder.from[lane] = holder.from[lane].min(holder.positions[lane] + 1);
                }
            }
            holder.positions = positions;
            return;
        }
        if self.0.len() >= Self::MOST {
            let reached =
                |holder: &Holder| u128::from(holder.positions[0]) + u128::from(holder.positions[1]);
            let new = Holder { who, positions, from: [0; 2] };
            let behind = self.0.iter().enumerate().min_by_key(|(_, holder)| reached(holder));
            match behind {
                Some((index, holder)) if reached(holder) < reached(&new) => self.0[index] = new,
                _ => {}
            }
            return;
        }
        self.0.push(Holder { who, positions, from: [0; 2] });
    }

    /// A peer says that it no longer has what came before the number `before`.
    pub(crate) fn lacks(&mut self, who: Incarnation, lane: Lane, before: u64) {
        if let Some(holder) = self.0.iter_mut().find(|holder| holder.who == who) {
            let from = &mut holder.from[lane.index()];
            *from = before.max(*from);
        }
    }

    /// A peer left; whether it had something.
    pub(crate) fn forget(&mut self, who: Incarnation) -> bool {
        let before = self.0.len();
        self.0.retain(|holder| holder.who != who);
        self.0.len() < before
    }

    /// Who may have an event, of which one is chosen by `turn`. With `guess` also who
    /// has not said that it came that far.
    pub(crate) fn of(
        &self,
        lane: Lane,
        number: u64,
        guess: bool,
        turn: u32,
    ) -> Option<Incarnation> {
        let i = lane.index();
        let has = |h: &&Holder| h.from[i] <= number && (guess || number <= h.positions[i]);
        let count = self.0.iter().filter(has).count();
        let turn = usize::try_from(turn).unwrap_or(0).checked_rem(count)?;
        self.0.iter().filter(has).nth(turn).map(|holder| holder.who)
    }

    /// The first number after `number` that somebody may still have, who no longer has
    /// those before.
    pub(crate) fn next_from(&self, lane: Lane, number: u64) -> Option<u64> {
        self.0.iter().map(|holder| holder.from[lane.index()]).filter(|from| *from > number).min()
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
        let mut holders = Holders::default();
        holders.note(id(1), [0, 10]);
        holders.note(id(2), [0, 20]);
        holders.note(id(3), [0, 5]);
        let asked = |holders: &Holders, number, guess| {
            (0..3).map(|turn| holders.of(LANE, number, guess, turn)).collect::<Vec<_>>()
        };
        assert_eq!(asked(&holders, 8, false), [Some(id(1)), Some(id(2)), Some(id(1))]);
        assert_eq!(asked(&holders, 21, false), [None; 3]);
        assert_eq!(asked(&holders, 21, true), [Some(id(1)), Some(id(2)), Some(id(3))]);
        holders.lacks(id(1), LANE, 9);
        assert_eq!(asked(&holders, 8, false), [Some(id(2)); 3]);
        assert_eq!(holders.next_from(LANE, 8), Some(9));
        assert!(holders.forget(id(2)) && !holders.forget(id(2)));
        assert_eq!(asked(&holders, 8, false), [None; 3]);
        assert_eq!(holders.of(Lane::Urgent, 1, false, 0), None);
    }

    #[test]
    fn those_that_came_farthest_are_kept() {
        let mut holders = Holders::default();
        for n in 1..=20 {
            holders.note(id(n), [0, n.into()]);
        }
        assert_eq!(holders.0.len(), Holders::MOST);
        let least = holders.0.iter().map(|holder| holder.positions[1]).min();
        assert_eq!(least, Some(13));
        holders.note(id(50), [0, 1]);
        assert!(!holders.0.iter().any(|holder| holder.who == id(50)));
    }
}
