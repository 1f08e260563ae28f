use std::time::Duration;

use mailmesh_events::{NodeId, Stamp, UnixMillis};

/// Makes stamps that are later than every stamp made or seen before, and as near
/// to the wall clock as that allows (Kulkarni et al., "Logical Physical Clocks",
/// 2014). A clock that steps back does not take stamps back; how far they may then be ahead
/// of it is bounded by [`stamp_after`](Self::stamp_after).
#[derive(Debug, Clone)]
pub struct HybridClock {
    node: NodeId,
    last: u64,
}

impl HybridClock {
    /// A clock that makes stamps of `node`.
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

    /// The stamp of a change that takes the place of one stamped `replaced`.
    ///
    /// As [`stamp`](Self::stamp), unless that or the stamp in place is ahead of the time by
    /// more than `max_ahead`, as after a clock was wrong. Then the new stamp is only later than
    /// the one that it replaces, so that one wrong clock does not take all other stamps along.
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

    /// The latest stamp made or seen, as one of this node.
    pub(crate) fn latest(&self) -> Stamp {
        Stamp::from_raw(self.last, self.node)
    }

    /// A stamp of another node was seen.
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
        fn stamps_grow_whatever_the_clock_does(steps in prop::collection::vec((any::<u32>(), any::<bool>()), 1..100)) {
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
    fn a_stamp_is_the_time_of_the_wall_clock_when_that_is_ahead() {
        let mut clock = HybridClock::new(NodeId(1));
        clock.stamp(UnixMillis(10));
        assert_eq!(clock.stamp(UnixMillis(500)).physical(), UnixMillis(500));
        assert_eq!(clock.stamp(UnixMillis(2)).physical(), UnixMillis(500));
    }

    #[test]
    fn a_clock_that_was_far_ahead_stamps_by_the_time_again_but_after_what_it_replaces() {
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
            "nothing is taken along"
        );
        let late = UnixMillis(596_000);
        assert!(clock.stamp_after(None, late, max_ahead) > ahead, "near enough to keep the order");
    }
}
