//! Decides whether stored content is recent enough to use.
//!
//! A node that was off for longer than tombstones are kept may have entries in its store that were
//! removed since. Its own clock may be wrong, and at the start it can ask no member. Therefore
//! stored content is not compared with other mirrors until members have reported their time and
//! most clocks agree:
//!
//! - if the content is recent by this node's clock, it is in force at once, on this node alone;
//! - otherwise it is withheld, for at most ten seconds while there are no members.
//!
//! Then the content is used, or dropped if it is old and a member has been running for longer.

use std::time::Duration;

use mailmesh_delivery::PeerInfo;
use mailmesh_events::{NodeId, Stamp, UnixMillis};
use mailmesh_state::{Bounds, Saved};
use tokio::time::Instant;

use super::DECISION_TIMEOUT;
use crate::cluster_time::ClusterTime;

#[derive(Debug)]
pub(super) struct StoredContent {
    /// Last time at which the node was alive, by its store.
    alive: UnixMillis,
    /// Upper bound of the stamps in the store; all stamps of this incarnation are later.
    pub(super) stamp: Stamp,
    /// The stored entries while they are not in force.
    pub(super) withheld: Option<Vec<Saved>>,
    /// The mirror had content before the store was loaded.
    is_late: bool,
    /// The content was withheld at first. It counts as old from then on, even if a node without
    /// members uses it: after a restart it would count as current, although other nodes have
    /// removed some of it.
    pub(super) was_withheld: bool,
    since: Instant,
    first_member: Option<Instant>,
}

/// This node's view of the cluster. It is gathered before the store's lock is taken: a thread that
/// receives frames may hold the locks needed here while it waits for the store's lock.
pub(crate) struct ClusterView {
    members: usize,
    knows_time: bool,
    /// Cluster time at which this node started.
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

/// Decision about stored content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AgeVerdict {
    /// No decision yet.
    Wait,
    /// Use it on this node, and do not compare it with others yet.
    UseLocally,
    /// Use it like any other mirror.
    Use,
    /// Drop it: it may have removed entries, and a member has a better mirror.
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

    /// Whether a store was last written longer before `start` than removals are remembered. If
    /// members confirm the time, content from the future counts as old too, because its age is
    /// unknown.
    pub(super) fn is_old(alive: UnixMillis, start: UnixMillis, is_confirmed: bool) -> bool {
        let remembered = Bounds::default().tombstone_retention;
        alive.plus(remembered) < start || is_confirmed && start.plus(remembered) < alive
    }

    /// Whether the content is in force and, by agreed cluster time, recent enough to compare.
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
                // Once in the mirror, late content cannot be separated from the rest by its stamps.
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
