//! What a store had, until its age is known by the time of the cluster.
//!
//! A node that was off for longer than tombstones live may have in its store what was removed
//! since. Its own clock may be wrong, and there is nobody else to ask at the start. So what the
//! store had is not compared with others until peers have said what time it is and most clocks agree:
//!
//! - if it is young by the own clock, it is in force at once, on this node alone;
//! - otherwise it waits withheld, for ten seconds at most while nobody is there.
//!
//! Then it is used, or, if it is old and a member runs for longer, dropped.

use std::time::Duration;

use mailmesh_delivery::PeerInfo;
use mailmesh_events::{NodeId, Stamp, UnixMillis};
use mailmesh_state::{Bounds, Saved};
use tokio::time::Instant;

use super::DECISION_TIMEOUT;
use crate::cluster_time::ClusterTime;

#[derive(Debug)]
pub(super) struct StoredContent {
    /// When the node was alive for the last time, by its store.
    alive: UnixMillis,
    /// All that was in the store was stamped by then, and nothing of this life was.
    pub(super) stamp: Stamp,
    /// What the store had, if it is not in force.
    pub(super) withheld: Option<Vec<Saved>>,
    /// The mirror had content before.
    is_late: bool,
    /// It was set withheld at first. It stays known as old, also in force on a node that is alone:
    /// after a restart it would pass for current among nodes that have removed some of it.
    pub(super) was_withheld: bool,
    since: Instant,
    first_member: Option<Instant>,
}

/// What a node knows of the others. Gathered before the store's lock is taken: whoever
/// receives frames may hold the locks that this needs, and wait for that one.
pub(crate) struct ClusterView {
    members: usize,
    knows_time: bool,
    /// When this node started, by the time of the cluster.
    started: UnixMillis,
    has_older_member: bool,
}

impl ClusterView {
    pub(crate) fn of(time: &ClusterTime, peers: &[(PeerInfo, Duration)], members: usize) -> Self {
        Self {
            members,
            knows_time: time.is_known(),
            started: time.started(),
            has_older_member: time.has_older(peers, DECISION_TIMEOUT * 6),
        }
    }
}

/// What becomes of what a store had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AgeVerdict {
    /// Nothing yet.
    Wait,
    /// It is in force here, and not yet compared with others.
    UseLocally,
    /// It is as good as any other's.
    Use,
    /// It may have what was removed since, and others have better.
    Drop,
}

impl StoredContent {
    pub(super) fn new(
        alive: UnixMillis,
        stamp: u64,
        withheld: Option<Vec<Saved>>,
        is_late: bool,
    ) -> Self {
        let stamp = Stamp::from_raw(stamp, NodeId(u64::MAX));
        let (since, was_withheld) = (Instant::now(), withheld.is_some());
        Self { alive, stamp, withheld, is_late, was_withheld, since, first_member: None }
    }

    /// Whether a store was written longer before `start` than removals are remembered. By a
    /// clock that others confirm, one of the future has no age that can be known.
    pub(super) fn is_old(alive: UnixMillis, start: UnixMillis, is_confirmed: bool) -> bool {
        let remembered = Bounds::default().tombstones;
        alive.plus(remembered) < start || is_confirmed && start.plus(remembered) < alive
    }

    /// Whether the content is in force and, by agreed cluster time, recent enough to share.
    pub(super) fn is_confirmed(&self, started: UnixMillis) -> bool {
        self.withheld.is_none() && !Self::is_old(self.alive, started, true)
    }

    pub(super) fn judge(&mut self, others: &ClusterView) -> AgeVerdict {
        let now = Instant::now();
        let ClusterView { members, knows_time, started, has_older_member } = *others;
        if members > 0 {
            self.first_member.get_or_insert(now);
        }
        let has_waited = |since: Instant| since + DECISION_TIMEOUT <= now;
        let has_met = self.first_member.is_some_and(has_waited);
        if !knows_time && !has_met {
            let is_alone = members == 0 && has_waited(self.since) && self.withheld.is_some();
            return match (is_alone, self.is_late) {
                (false, _) => AgeVerdict::Wait,
                (true, false) => AgeVerdict::UseLocally,
                // By its stamps it could not be told from the rest of the mirror any more.
                (true, true) => AgeVerdict::Use,
            };
        }
        if !Self::is_old(self.alive, started, knows_time) {
            AgeVerdict::Use
        } else if has_older_member {
            AgeVerdict::Drop
        } else if has_met && has_waited(self.since) {
            AgeVerdict::Use
        } else {
            AgeVerdict::Wait
        }
    }
}
