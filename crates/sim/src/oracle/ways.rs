//! By which way a node hears another, by its own account and in truth.

use std::collections::BTreeMap;
use std::time::Duration;

use mailmesh_delivery::{Incarnation, Reach, Time};

/// Who was heard this long ago is not taken for dead yet.
const LATELY: Duration = Duration::from_millis(300);
/// After a cut so much may pass until who passes events on was asked to again.
const RENEWAL: Duration = Duration::from_millis(700);
/// Most that a way through another may delay an event, once it was found.
const DETOUR: Duration = Duration::from_millis(100);
/// After so much time without a cut all know each other again.
const A_WHILE: Duration = Duration::from_secs(4);

/// The ways between nodes.
#[derive(Debug, Clone, Default)]
pub(super) struct Ways {
    /// When a node last heard another directly.
    heard: BTreeMap<(Incarnation, Incarnation), Time>,
    /// Through whom a node says that it hears another, since when.
    via: BTreeMap<(Incarnation, Incarnation), (Incarnation, Time)>,
    /// Until when one place did not hear another.
    cuts: BTreeMap<(usize, usize), Time>,
}

impl Ways {
    pub(super) fn heard(&mut self, now: Time, at: Incarnation, from: Incarnation) {
        self.heard.insert((at, from), now);
    }

    /// Whether a node heard another directly a moment ago.
    pub(super) fn heard_lately(&self, now: Time, at: Incarnation, from: Incarnation) -> bool {
        self.heard.get(&(at, from)).is_some_and(|heard| now.since(*heard) < LATELY)
    }

    pub(super) fn cut(&mut self, from: usize, to: usize, until: Time) {
        let cut = self.cuts.entry((from, to)).or_insert(until);
        *cut = until.max(*cut);
    }

    /// A peer left or joined: it is heard directly until something else is told.
    pub(super) fn forget(&mut self, at: Incarnation, of: Incarnation) {
        self.via.remove(&(at, of));
    }

    /// A node says by which way it hears another; gives through whom it wrongly no longer
    /// hears it: nothing came directly, and that one is there.
    pub(super) fn reach(
        &mut self,
        now: Time,
        (at, of): (Incarnation, Incarnation),
        reach: Reach,
    ) -> Option<Incarnation> {
        if let Reach::Relayed { via } = reach {
            self.via.insert((at, of), (via, now));
            return None;
        }
        let (via, _) = self.via.remove(&(at, of))?;
        let comes_now = self.heard.get(&(at, of)) == Some(&now);
        (!comes_now && self.heard_lately(now, at, via)).then_some(via)
    }

    /// Who has heard one and been heard by the other for a while: it could tell that the
    /// one lives. `places` has every node, all of which live.
    pub(super) fn between(
        &self,
        now: Time,
        (at, of): (Incarnation, Incarnation),
        places: &BTreeMap<Incarnation, usize>,
    ) -> Option<Incarnation> {
        let (one, other) = (*places.get(&at)?, *places.get(&of)?);
        let open = |link| self.cuts.get(&link).is_none_or(|until| *until + A_WHILE <= now);
        let links = |via| [(other, via), (via, other), (one, via), (via, one)];
        let thirds = places.iter().filter(|(who, _)| **who != at && **who != of);
        thirds.filter(|(_, via)| links(**via).into_iter().all(open)).map(|(who, _)| *who).next()
    }

    /// Whether an event published then comes too late now, though another that hears
    /// the sender has passed on its events for a while.
    pub(super) fn is_late(
        &self,
        now: Time,
        (at, from): (Incarnation, Incarnation),
        published: Time,
        place: impl Fn(Incarnation) -> Option<usize>,
    ) -> bool {
        if now.since(published) <= DETOUR {
            return false;
        }
        let Some((via, since)) = self.via.get(&(at, from)) else { return false };
        let (Some(at), Some(from), Some(via)) = (place(at), place(from), place(*via)) else {
            return false;
        };
        let links = [(from, via), (via, at), (at, via)];
        let open = |link| self.cuts.get(link).is_none_or(|until| *until + RENEWAL <= published);
        *since + LATELY <= published && links.iter().all(open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_back_needs_something_that_came_that_way() {
        let at = |ms| Time::from_start(Duration::from_millis(ms));
        let [a, b, c] = [1, 2, 3].map(|n| Incarnation([n; 16]));
        let mut ways = Ways::default();
        for (heard_a, heard_b, wrong) in [(10, 10, None), (5, 10, Some(b)), (5, 0, Some(b))] {
            ways.heard(at(heard_a), c, a);
            ways.heard(at(heard_b), c, b);
            assert_eq!(ways.reach(at(1), (c, a), Reach::Relayed { via: b }), None);
            assert_eq!(ways.reach(at(10), (c, a), Reach::Direct), wrong);
        }
        ways.reach(at(1_000), (c, a), Reach::Relayed { via: b });
        assert_eq!(ways.reach(at(1_001), (c, a), Reach::Direct), None, "b is silent");
    }

    #[test]
    fn an_event_is_late_only_while_a_way_is_open() {
        let at = |ms| Time::from_start(Duration::from_millis(ms));
        let [a, b, c] = [0, 1, 2].map(|n| Incarnation([n; 16]));
        let place = |life: Incarnation| Some(usize::from(life.0[0]));
        let mut ways = Ways::default();
        ways.cut(0, 2, at(9_000));
        ways.reach(at(2_000), (c, a), Reach::Relayed { via: b });
        let late =
            |ways: &Ways, published, now| ways.is_late(at(now), (c, a), at(published), place);
        assert!(late(&ways, 2_300, 2_401) && !late(&ways, 2_300, 2_400));
        assert!(!late(&ways, 2_299, 2_600), "the way was new");
        ways.cut(1, 2, at(3_000));
        assert!(!late(&ways, 3_699, 4_000) && late(&ways, 3_700, 4_000));
    }
}
