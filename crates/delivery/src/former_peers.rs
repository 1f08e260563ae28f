//! Memory of former peers: how far their events were received, and whether they may return.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::control::PeerReport;
use crate::peer::Peer;
use crate::planted::{Fault, planted};
use crate::{Incarnation, LeaveReason, Time};

/// Peers that left. A peer that failed, or was replaced by a new incarnation while it was silent,
/// may return and must then learn what it missed. A peer that said goodbye never returns.
#[derive(Debug, Clone, Default)]
pub(crate) struct FormerPeers {
    peers: BTreeMap<Incarnation, FormerPeer>,
    /// Eviction order, oldest first: the short-lived entries go before the long-lived ones.
    short_lived: ByTicket,
    long_lived: ByTicket,
    /// Entries with a report that can go into a digest.
    known: ByTicket,
    /// Those of `known` with a report time of their own. A digest examines only these, and drops
    /// entries whose time is over.
    recent: ByTicket,
    next_ticket: u64,
    /// Until when digests report all of `known`.
    report_until: Option<Time>,
    /// Entries that still need their turn in the current round, even after `report_until`.
    reports_due: usize,
    /// Ticket of the last entry that was reported in the turn of `recent`.
    last_recent: Option<u64>,
    /// Ticket of the last entry that was reported in the turn of `known`.
    last_known: Option<u64>,
    /// Entries that digests and evictions have examined.
    #[cfg(test)]
    examined: usize,
}

/// Incarnations by ticket. The peer that left last has the highest ticket.
type ByTicket = BTreeMap<u64, Incarnation>;

#[derive(Debug, Clone)]
struct FormerPeer {
    ticket: u64,
    peer: Option<Box<Peer>>,
    /// Last report about the peer. Nodes that miss its events learn from the report that this node
    /// has them.
    last: Option<PeerReport>,
    /// Until when digests report this entry on its own.
    report_until: Time,
    /// This entry is evicted before the long-lived ones.
    is_short_lived: bool,
}

/// The memory of one incarnation.
pub(crate) enum Recall {
    /// The incarnation is unknown, or was evicted.
    None,
    /// The peer failed or was replaced; its state resumes where it stopped.
    Failed(Box<Peer>),
    /// The peer said goodbye, so it must not return.
    Ended,
}

impl FormerPeers {
    /// Remembers a peer that left, and reports it in digests until `report_until`.
    pub(crate) fn remember(
        &mut self,
        mut peer: Peer,
        reason: LeaveReason,
        report_until: Time,
        limit: usize,
    ) {
        peer.clear_live_state();
        let (incarnation, last) = (peer.info.incarnation, Some(peer.report()));
        let is_short_lived = peer.is_short_lived();
        let may_return = reason != LeaveReason::Bye || planted(Fault::EndedLifeAdmitted);
        let peer = may_return.then(|| Box::new(peer));
        let former = FormerPeer { ticket: 0, peer, last, report_until, is_short_lived };
        self.keep(incarnation, former, limit);
    }

    /// Adds an entry. Past the limit, the oldest short-lived entry is evicted first, because any
    /// holder of the key can forge those; then the oldest long-lived entry.
    fn keep(&mut self, incarnation: Incarnation, mut former: FormerPeer, limit: usize) {
        self.forget(incarnation);
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        former.ticket = ticket;
        let order =
            if former.is_short_lived { &mut self.short_lived } else { &mut self.long_lived };
        order.insert(ticket, incarnation);
        if former.report().is_some() {
            self.known.insert(ticket, incarnation);
            if former.report_until > Time::default() {
                self.recent.insert(ticket, incarnation);
            }
        }
        self.peers.insert(incarnation, former);
        while self.peers.len() > limit
            && let Some((_, oldest)) =
                self.short_lived.first_key_value().or(self.long_lived.first_key_value())
        {
            #[cfg(test)]
            {
                self.examined += 1;
            }
            self.forget(*oldest);
        }
    }

    fn forget(&mut self, incarnation: Incarnation) -> Option<FormerPeer> {
        let former = self.peers.remove(&incarnation)?;
        for tickets in
            [&mut self.short_lived, &mut self.long_lived, &mut self.known, &mut self.recent]
        {
            tickets.remove(&former.ticket);
        }
        Some(former)
    }

    /// Records the goodbye of a non-member, so that its late messages do not introduce it again.
    pub(crate) fn mark_ended(&mut self, incarnation: Incarnation, limit: usize) {
        let (last, is_short_lived) = (self.report(incarnation), self.is_short_lived(incarnation));
        let former = FormerPeer {
            ticket: 0,
            peer: None,
            last,
            report_until: Time::default(),
            is_short_lived,
        };
        self.keep(incarnation, former, limit);
    }

    /// Whether the incarnation is remembered.
    pub(crate) fn knows(&self, incarnation: Incarnation) -> bool {
        self.peers.contains_key(&incarnation)
    }

    fn is_short_lived(&self, incarnation: Incarnation) -> bool {
        self.peers.get(&incarnation).is_none_or(|former| former.is_short_lived)
    }

    /// State of a peer that failed or was replaced, and so may return.
    pub(crate) fn failed(&self, incarnation: Incarnation) -> Option<&Peer> {
        self.peers.get(&incarnation)?.peer.as_deref()
    }

    /// Reports every entry until `until`, and at least once, newest first. A peer that was out of
    /// reach may have missed their end.
    pub(crate) fn report_all(&mut self, until: Time) {
        if self.reports_due == 0 {
            self.last_known = None;
        }
        self.report_until = Some(until);
        self.reports_due = self.known.len();
    }

    /// Reports one entry until `until`.
    pub(crate) fn report_one(&mut self, incarnation: Incarnation, until: Time) {
        if let Some(former) = self.peers.get_mut(&incarnation) {
            former.report_until = former.report_until.max(until);
            if former.report().is_some() {
                self.recent.insert(former.ticket, incarnation);
            }
        }
    }

    /// Reports about former peers for a digest: at most `most`, newest first and in turn. While all
    /// are reported, `recent` entries take at most half.
    pub(crate) fn digest(&mut self, now: Time, most: usize) -> Vec<PeerReport> {
        let reports_all =
            self.reports_due > 0 || self.report_until.is_some_and(|until| until > now);
        let room = if reports_all { most / 2 } else { most };
        let mut digest = self.recent(now, room);
        if reports_all {
            let rest = self.all(most - digest.len());
            self.reports_due =
                if rest.is_empty() { 0 } else { self.reports_due.saturating_sub(rest.len()) };
            for known in rest {
                if digest.iter().all(|report| report.peer != known.peer) {
                    digest.push(known);
                }
            }
        }
        digest
    }

    /// The next `recent` entries in turn.
    fn recent(&mut self, now: Time, most: usize) -> Vec<PeerReport> {
        let (mut reports, mut expired) = (Vec::new(), Vec::new());
        for (ticket, incarnation) in newest_first_from(&self.recent, self.last_recent) {
            if reports.len() >= most {
                break;
            }
            #[cfg(test)]
            {
                self.examined += 1;
            }
            match self.peers.get(incarnation).filter(|former| former.report_until > now) {
                Some(former) => reports.extend(former.report().map(|known| (*ticket, known))),
                None => expired.push(*ticket),
            }
        }
        for ticket in expired {
            self.recent.remove(&ticket);
        }
        self.last_recent = reports.last().map(|(ticket, _)| *ticket);
        suspected(reports)
    }

    /// The next `known` entries in turn.
    fn all(&mut self, most: usize) -> Vec<PeerReport> {
        let next = newest_first_from(&self.known, self.last_known).take(most);
        let known =
            next.filter_map(|(ticket, incarnation)| Some((*ticket, self.report(*incarnation)?)));
        let reports: Vec<_> = known.collect();
        #[cfg(test)]
        {
            self.examined += reports.len();
        }
        self.last_known = reports.last().map(|(ticket, _)| *ticket);
        suspected(reports)
    }

    /// The last report about a former peer.
    pub(crate) fn report(&self, incarnation: Incarnation) -> Option<PeerReport> {
        self.peers.get(&incarnation)?.report()
    }

    /// Whether the peer said goodbye.
    pub(crate) fn has_ended(&self, incarnation: Incarnation) -> bool {
        self.peers.get(&incarnation).is_some_and(|former| former.peer.is_none())
    }

    /// Records the message number of a former peer. Returns `false` for a replay, and for any
    /// message of a peer that said goodbye. Unknown incarnations are accepted.
    pub(crate) fn accept(&mut self, incarnation: Incarnation, number: u64) -> bool {
        match self.peers.get_mut(&incarnation) {
            None => true,
            Some(former) => former.peer.as_mut().is_some_and(|peer| peer.controls.accept(number)),
        }
    }

    /// Looks up an incarnation, and takes a failed peer out of the memory.
    pub(crate) fn recall(&mut self, incarnation: Incarnation) -> Recall {
        match self.peers.get_mut(&incarnation).map(|former| former.peer.take()) {
            None => Recall::None,
            Some(None) => Recall::Ended,
            Some(Some(peer)) => {
                self.forget(incarnation);
                if planted(Fault::RejoinAsNew) { Recall::None } else { Recall::Failed(peer) }
            }
        }
    }
}

impl FormerPeer {
    fn report(&self) -> Option<PeerReport> {
        self.peer.as_ref().map(|peer| peer.report()).or(self.last)
    }
}

/// The reports of one turn as a digest carries them.
fn suspected(reports: Vec<(u64, PeerReport)>) -> Vec<PeerReport> {
    if planted(Fault::FormerPeersNotReported) {
        return Vec::new();
    }
    reports.into_iter().map(|(_, known)| PeerReport { is_suspected: true, ..known }).collect()
}

/// Iterates over all tickets once, newest first, starting after the ticket `last_reported`.
fn newest_first_from(
    tickets: &ByTicket,
    last_reported: Option<u64>,
) -> impl Iterator<Item = (&u64, &Incarnation)> {
    let last = last_reported.unwrap_or(u64::MAX);
    let after = tickets.range((Bound::Unbounded, Bound::Excluded(last))).rev();
    after.chain(tickets.range(last..).rev())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::PerLane;

    fn id(n: u8) -> Incarnation {
        Incarnation([n; 16])
    }

    fn at(s: u64) -> Time {
        Time::from_start(Duration::from_secs(s))
    }

    /// Five peers that said goodbye in the seconds 1 to 5, with a memory of four. Each is reported
    /// for 6 s.
    fn five() -> FormerPeers {
        let mut former_peers = FormerPeers::default();
        for n in 1..=5 {
            let (positions, report_until) = (PerLane::new(n.into(), 0), at(u64::from(n) + 6));
            let last = PeerReport { positions, ..PeerReport::unknown(id(n)) };
            let former = FormerPeer {
                ticket: 0,
                peer: None,
                last: Some(last),
                report_until,
                is_short_lived: false,
            };
            former_peers.keep(id(n), former, 4);
        }
        former_peers
    }

    fn reported(former_peers: &mut FormerPeers, now: u64, most: usize) -> Vec<u8> {
        let digest = former_peers.digest(at(now), most);
        assert!(digest.iter().all(|known| known.is_suspected));
        digest.iter().map(|known| known.peer.0[0]).collect()
    }

    #[test]
    fn former_peers_are_reported_newest_first_in_turn_and_for_limited_time() {
        let mut former_peers = five();
        assert_eq!(reported(&mut former_peers, 5, 3), [5, 4, 3]);
        assert_eq!(reported(&mut former_peers, 5, 3), [2, 5, 4], "1 was evicted");
        assert_eq!(reported(&mut former_peers, 9, 3), [5, 4], "the report time of 3 and 2 is over");
        assert_eq!(reported(&mut former_peers, 11, 3), [0; 0]);
    }

    #[test]
    fn every_former_peer_has_its_turn_while_peers_keep_returning() {
        let mut former_peers = FormerPeers::default();
        for n in 1..=100 {
            let (positions, report_until) = (PerLane::new(n.into(), 0), at(0));
            let last = PeerReport { positions, ..PeerReport::unknown(id(n)) };
            let former = FormerPeer {
                ticket: 0,
                peer: None,
                last: Some(last),
                report_until,
                is_short_lived: false,
            };
            former_peers.keep(id(n), former, 100);
        }
        let mut seen = std::collections::BTreeSet::new();
        for second in 0..25 {
            if second < 3 {
                former_peers.report_all(at(second + 6));
            }
            let digest = reported(&mut former_peers, second, 8);
            assert!(digest.len() <= 8);
            seen.extend(digest);
        }
        assert_eq!(seen.len(), 100);
        assert_eq!(reported(&mut former_peers, 30, 8), [0; 0]);
    }

    #[test]
    fn former_peers_are_reported_again_one_by_one_or_all_together() {
        let mut former_peers = five();
        assert_eq!(reported(&mut former_peers, 20, 3), [0; 0]);
        former_peers.report_one(id(3), at(26));
        assert_eq!(reported(&mut former_peers, 20, 3), [3]);
        former_peers.report_all(at(36));
        assert_eq!(reported(&mut former_peers, 30, 9), [5, 4, 3, 2]);
        assert_eq!(reported(&mut former_peers, 36, 9), [0; 0]);
    }

    /// Four thousand peers left long ago, half of them forged by goodbyes of unknown nodes. Three
    /// peers left recently.
    #[test]
    fn a_digest_examines_only_the_entries_that_it_reports() {
        let (mut former_peers, limit) = (FormerPeers::default(), 4_096);
        let id = |n: u64| {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&n.to_be_bytes());
            Incarnation(id)
        };
        let former = |n, report_until| {
            let positions = PerLane::new(n, 0);
            let last = PeerReport { positions, ..PeerReport::unknown(id(n)) };
            FormerPeer {
                ticket: 0,
                peer: None,
                last: Some(last),
                report_until,
                is_short_lived: false,
            }
        };
        for n in 0..2_000 {
            former_peers.keep(id(n), former(n, at(6)), limit);
            former_peers.mark_ended(id(10_000 + n), limit);
        }
        former_peers.digest(at(10), 32);
        for n in 2_000..2_003 {
            former_peers.keep(id(n), former(n, at(26)), limit);
        }
        for _ in 0..10 {
            former_peers.examined = 0;
            assert_eq!(former_peers.digest(at(20), 32).len(), 3);
            assert!(former_peers.examined <= 3, "{} entries", former_peers.examined);
        }
        former_peers.report_all(at(26));
        for _ in 0..10 {
            former_peers.examined = 0;
            let reported = former_peers.digest(at(20), 32).len();
            assert!((29..=32).contains(&reported), "{reported}");
            assert!(former_peers.examined <= 32, "{} entries", former_peers.examined);
        }
        former_peers.examined = 0;
        for n in 0..2_000 {
            former_peers.mark_ended(id(20_000 + n), limit);
            former_peers.recall(id(n));
        }
        assert!(former_peers.examined <= 4_000, "{} entries", former_peers.examined);
        assert!(former_peers.peers.len() <= limit);
    }
}
