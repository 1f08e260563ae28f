//! The hybrid logical clock that stamps changes.

use std::time::Duration;

use mailmesh_events::{NodeId, Stamp, UnixMillis};

/// A hybrid logical clock (Kulkarni et al., "Logical Physical Clocks", 2014): each stamp is later
/// than all stamps made or observed before, and as close to the wall clock as that allows. If the
/// wall clock steps back, stamps still grow; [`stamp_after`](Self::stamp_after) bounds how far they
/// run ahead of it.
#[derive(Debug, Clone)]
pub struct HybridClock {
    node: NodeId,
    last: u64,
}

impl HybridClock {
    /// A clock for the stamps of `node`.
    #[must_use]
    pub fn new(node: NodeId) -> Self {
        Self { node, last: 0 }
    }

    /// The next stamp at time `now`.
    pub fn stamp(&mut self, now: UnixMillis) -> Stamp {
        let physical = Stamp::new(now, 0, self.node).time();
        self.last = physical.max(self.last.saturating_add(1));
        Stamp::from_raw(self.last, self.node)
    }

    /// The stamp for a change that replaces one stamped `replaced`.
    ///
    /// As [`stamp`](Self::stamp), unless the clock or `replaced` is ahead of `now` by more than
    /// `max_ahead`, as after a wall clock was wrong. In that case the new stamp is only made later
    /// than `replaced`, so that one wrong clock does not push all other stamps ahead too.
    pub fn stamp_after(
        &mut self,
        replaced: Option<Stamp>,
        now: UnixMillis,
        max_ahead: Duration,
    ) -> Stamp {
        let is_near = |stamp: Stamp| stamp.physical() <= now.plus(max_ahead);
        if is_near(self.latest()) && replaced.is_none_or(is_near) {
            replaced.into_iter().for_each(|replaced| self.observe(replaced));
            return self.stamp(now);
        }
        let physical = Stamp::new(now, 0, self.node).time();
        let after = replaced.map_or(0, |replaced| replaced.time().saturating_add(1));
        Stamp::from_raw(physical.max(after), self.node)
    }

    /// The latest stamp made or observed, as a stamp of this node.
    pub(crate) fn latest(&self) -> Stamp {
        Stamp::from_raw(self.last, self.node)
    }

    /// Observes a stamp of another node: later stamps of this node exceed it.
    pub fn observe(&mut self, stamp: Stamp) {
        self.last = self.last.max(stamp.time());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn stamps_grow_whatever_the_wall_clock_does(
            steps in prop::collection::vec((any::<u32>(), any::<bool>()), 1..100),
        ) {
            let mut clock = HybridClock::new(NodeId(1));
            let mut last = Stamp::default();
            for (millis, foreign) in steps {
                let now = UnixMillis(u64::from(millis));
                if foreign {
                    clock.observe(Stamp::new(now, 7, NodeId(9)));
                    last = last.max(Stamp::new(now, 7, NodeId(0)));
                }
                let stamp = clock.stamp(now);
                prop_assert!(stamp > last);
                prop_assert!(stamp.physical() >= now);
                last = stamp;
            }
        }
    }

    #[test]
    fn a_stamp_equals_the_wall_clock_when_that_is_ahead() {
        let mut clock = HybridClock::new(NodeId(1));
        clock.stamp(UnixMillis(10));
        assert_eq!(clock.stamp(UnixMillis(500)).physical(), UnixMillis(500));
        assert_eq!(clock.stamp(UnixMillis(2)).physical(), UnixMillis(500));
    }

    #[test]
    fn a_clock_that_was_far_ahead_returns_to_the_time() {
        let mut clock = HybridClock::new(NodeId(1));
        let max_ahead = Duration::from_secs(5);
        let ahead = clock.stamp(UnixMillis(600_000));
        let now = UnixMillis(1_000);
        assert_eq!(clock.stamp_after(None, now, max_ahead).physical(), now);
        assert!(clock.stamp_after(Some(ahead), now, max_ahead) > ahead);
        let mut other = HybridClock::new(NodeId(2));
        assert!(other.stamp_after(Some(ahead), now, max_ahead) > ahead);
        assert_eq!(
            other.stamp_after(None, now, max_ahead).physical(),
            now,
            "other stamps are not pushed ahead"
        );
        let late = UnixMillis(596_000);
        assert!(clock.stamp_after(None, late, max_ahead) > ahead, "close enough to keep the order");
    }
}
