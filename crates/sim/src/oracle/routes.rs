//! Routes between nodes, as the nodes report them and as they are.

use std::collections::BTreeMap;
use std::time::Duration;

use mailmesh_delivery::{Incarnation, Reach, Time};

/// A peer that was heard this recently is not suspected yet.
const FAILURE_SUSPICION_TIME: Duration = Duration::from_millis(300);
/// Time from the end of a cut until the relay of a stream is requested again.
const RELAY_RENEWAL_TIME: Duration = Duration::from_millis(700);
/// Longest delay of an event by a relay, once the route is established.
const MAX_RELAY_DELAY: Duration = Duration::from_millis(100);
/// Time without a cut after which all nodes know each other again.
const RECONVERGENCE_TIME: Duration = Duration::from_secs(4);

/// The routes of all pairs of nodes.
#[derive(Debug, Clone, Default)]
pub(super) struct Routes {
    /// When a node last heard a peer directly, by (node, peer).
    heard: BTreeMap<(Incarnation, Incarnation), Time>,
    /// The relay through which a node reports to hear a peer, and since when.
    via: BTreeMap<(Incarnation, Incarnation), (Incarnation, Time)>,
    /// End of each cut, by (from, to).
    cuts: BTreeMap<(usize, usize), Time>,
}

impl Routes {
    pub(super) fn heard(&mut self, now: Time, observer: Incarnation, from: Incarnation) {
        self.heard.insert((observer, from), now);
    }

    /// Whether a node heard a peer directly just now.
    pub(super) fn heard_recently(
        &self,
        now: Time,
        observer: Incarnation,
        from: Incarnation,
    ) -> bool {
        self.heard
            .get(&(observer, from))
            .is_some_and(|heard| now.since(*heard) < FAILURE_SUSPICION_TIME)
    }

    pub(super) fn link_cut(&mut self, from: usize, to: usize, until: Time) {
        let cut = self.cuts.entry((from, to)).or_insert(until);
        *cut = until.max(*cut);
    }

    /// A peer left or joined: its route is direct until a report says otherwise.
    pub(super) fn forget(&mut self, observer: Incarnation, peer: Incarnation) {
        self.via.remove(&(observer, peer));
    }

    /// A node reports its route to a peer. Returns the former relay if the report of a direct route
    /// is wrong: no direct packet arrives now, and the node still hears the relay.
    pub(super) fn reach(
        &mut self,
        now: Time,
        (observer, peer): (Incarnation, Incarnation),
        reach: Reach,
    ) -> Option<Incarnation> {
        if let Reach::Relayed { via } = reach {
            self.via.insert((observer, peer), (via, now));
            return None;
        }
        let (via, _) = self.via.remove(&(observer, peer))?;
        let arrived_now = self.heard.get(&(observer, peer)) == Some(&now);
        (!arrived_now && self.heard_recently(now, observer, via)).then_some(via)
    }

    /// A third node that had open links to and from both for a while, so that it could report that
    /// `peer` is alive. All nodes in `host_names` are alive.
    pub(super) fn witness(
        &self,
        now: Time,
        (observer, peer): (Incarnation, Incarnation),
        host_names: &BTreeMap<Incarnation, usize>,
    ) -> Option<Incarnation> {
        let (observer_host, peer_host) = (*host_names.get(&observer)?, *host_names.get(&peer)?);
        let open =
            |link| self.cuts.get(&link).is_none_or(|until| *until + RECONVERGENCE_TIME <= now);
        let links =
            |via| [(peer_host, via), (via, peer_host), (observer_host, via), (via, observer_host)];
        let candidates = host_names.iter().filter(|(id, _)| **id != observer && **id != peer);
        candidates.filter(|(_, via)| links(**via).into_iter().all(open)).map(|(id, _)| *id).next()
    }

    /// Whether an event arrives too late, although an established relay hears its sender.
    pub(super) fn is_late(
        &self,
        now: Time,
        (observer, from): (Incarnation, Incarnation),
        published: Time,
        name_of: impl Fn(Incarnation) -> Option<usize>,
    ) -> bool {
        if now.since(published) <= MAX_RELAY_DELAY {
            return false;
        }
        let Some((via, since)) = self.via.get(&(observer, from)) else { return false };
        let (Some(observer), Some(from), Some(via)) =
            (name_of(observer), name_of(from), name_of(*via))
        else {
            return false;
        };
        let links = [(from, via), (via, observer), (observer, via)];
        let open =
            |link| self.cuts.get(link).is_none_or(|until| *until + RELAY_RENEWAL_TIME <= published);
        *since + FAILURE_SUSPICION_TIME <= published && links.iter().all(open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_direct_route_needs_a_direct_packet() {
        let at = |ms| Time::from_start(Duration::from_millis(ms));
        let [a, b, c] = [1, 2, 3].map(|n| Incarnation([n; 16]));
        let mut routes = Routes::default();
        for (a_heard, b_heard, wrong) in [(10, 10, None), (5, 10, Some(b)), (5, 0, Some(b))] {
            routes.heard(at(a_heard), c, a);
            routes.heard(at(b_heard), c, b);
            assert_eq!(routes.reach(at(1), (c, a), Reach::Relayed { via: b }), None);
            assert_eq!(routes.reach(at(10), (c, a), Reach::Direct), wrong);
        }
        routes.reach(at(1_000), (c, a), Reach::Relayed { via: b });
        assert_eq!(routes.reach(at(1_001), (c, a), Reach::Direct), None, "b is silent");
    }

    #[test]
    fn an_event_is_late_only_while_its_route_is_open() {
        let at = |ms| Time::from_start(Duration::from_millis(ms));
        let [a, b, c] = [0, 1, 2].map(|n| Incarnation([n; 16]));
        let name_of = |incarnation: Incarnation| Some(usize::from(incarnation.0[0]));
        let mut routes = Routes::default();
        routes.link_cut(0, 2, at(9_000));
        routes.reach(at(2_000), (c, a), Reach::Relayed { via: b });
        let late = |routes: &Routes, published, now| {
            routes.is_late(at(now), (c, a), at(published), name_of)
        };
        assert!(late(&routes, 2_300, 2_401) && !late(&routes, 2_300, 2_400));
        assert!(!late(&routes, 2_299, 2_600), "the route was new");
        routes.link_cut(1, 2, at(3_000));
        assert!(!late(&routes, 3_699, 4_000) && late(&routes, 3_700, 4_000));
    }
}
