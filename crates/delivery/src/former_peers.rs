use std::collections::BTreeMap;
use std::ops::Bound;

use crate::control::PeerReport;
use crate::peer::Peer;
use crate::planted::{Fault, planted};
use crate::{Incarnation, LeaveReason, Time};

/// Peers that left. One that failed, or whose name was taken by a new life while it
/// was silent, may come back, and must then be told what it missed; one that said
/// goodbye may not.
#[derive(Debug, Clone, Default)]
pub(crate) struct FormerPeers {
    peers: BTreeMap<Incarnation, FormerPeer>,
    /// Those that are forgotten first, oldest first; then the others.
    short_lived: ByTicket,
    long_lived: ByTicket,
    /// Those of which something is known that can be told.
    known: ByTicket,
    /// Of these, those that left lately or are told of for another reason: a digest looks at them
    /// alone, and drops those whose time is over.
    recent: ByTicket,
    next_ticket: u64,
    /// Until when all are told of.
    report_until: Option<Time>,
    /// How many are to be told of besides, so that each has its turn.
    reports_due: usize,
    /// The tickets of the last ones told of: of those that left lately, and of all.
    last_reported: [Option<u64>; 2],
    /// Entries that digests and evictions have looked at.
    #[cfg(test)]
    looked_at: usize,
}

/// Lives by ticket: the latest has the highest.
type ByTicket = BTreeMap<u64, Incarnation>;

#[derive(Debug, Clone)]
struct FormerPeer {
    ticket: u64,
    peer: Option<Box<Peer>>,
    /// How far its events were taken, of one that said goodbye: who still misses some asks.
    last: Option<PeerReport>,
    /// Until when it is told of.
    report_until: Time,
    /// It is forgotten before the others.
    is_short_lived: bool,
}

/// What is remembered of an incarnation.
pub(crate) enum Recall {
    /// Never seen, or forgotten.
    None,
    /// It was silent; this is where it was.
    Failed(Box<Peer>),
    /// It ended for good.
    Ended,
}

impl FormerPeers {
    /// Remembers who left, and tells of it until then.
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
        let gone = FormerPeer { ticket: 0, peer, last, report_until, is_short_lived };
        self.keep(incarnation, gone, limit);
    }

    /// Past the limit the oldest goes of those of which little is known, whom anybody with the
    /// key can make up; then the oldest.
    fn keep(&mut self, incarnation: Incarnation, mut gone: FormerPeer, limit: usize) {
        self.forget(incarnation);
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        gone.ticket = ticket;
        let order = if gone.is_short_lived { &mut self.short_lived } else { &mut self.long_lived };
        order.insert(ticket, incarnation);
        if gone.report().is_some() {
            self.known.insert(ticket, incarnation);
            if gone.report_until > Time::default() {
                self.recent.insert(ticket, incarnation);
            }
        }
        self.peers.insert(incarnation, gone);
        while self.peers.len() > limit
            && let Some((_, oldest)) =
                self.short_lived.first_key_value().or(self.long_lived.first_key_value())
        {
            #[cfg(test)]
            {
                self.looked_at += 1;
            }
            self.forget(*oldest);
        }
    }

    fn forget(&mut self, incarnation: Incarnation) -> Option<FormerPeer> {
        let gone = self.peers.remove(&incarnation)?;
        for tickets in
            [&mut self.short_lived, &mut self.long_lived, &mut self.known, &mut self.recent]
        {
            tickets.remove(&gone.ticket);
        }
        Some(gone)
    }

    /// Notes that an incarnation that is not there said goodbye: what of it comes late
    /// must not be taken for a life.
    pub(crate) fn mark_ended(&mut self, incarnation: Incarnation, limit: usize) {
        let (last, is_short_lived) = (self.report(incarnation), self.is_short_lived(incarnation));
        let gone = FormerPeer {
            ticket: 0,
            peer: None,
            last,
            report_until: Time::default(),
            is_short_lived,
        };
        self.keep(incarnation, gone, limit);
    }

    /// Whether it is known.
    pub(crate) fn knows(&self, incarnation: Incarnation) -> bool {
        self.peers.contains_key(&incarnation)
    }

    fn is_short_lived(&self, incarnation: Incarnation) -> bool {
        self.peers.get(&incarnation).is_none_or(|gone| gone.is_short_lived)
    }

    /// A peer that was silent, and may come back.
    pub(crate) fn failed(&self, incarnation: Incarnation) -> Option<&Peer> {
        self.peers.get(&incarnation)?.peer.as_deref()
    }

    /// All are told of until then and once at least, from the last that left on: somebody
    /// may have been out of reach when they ended.
    pub(crate) fn report_all(&mut self, until: Time) {
        if self.reports_due == 0 {
            self.last_reported[1] = None;
        }
        self.report_until = Some(until);
        self.reports_due = self.known.len();
    }

    /// One is told of until then.
    pub(crate) fn report_one(&mut self, incarnation: Incarnation, until: Time) {
        if let Some(gone) = self.peers.get_mut(&incarnation) {
            gone.report_until = gone.report_until.max(until);
            if gone.report().is_some() {
                self.recent.insert(gone.ticket, incarnation);
            }
        }
    }

    /// What to tell others of those that left: at most `most`, in turn, from the last to
    /// the first; half of them of those that left lately.
    pub(crate) fn digest(&mut self, now: Time, most: usize) -> Vec<PeerReport> {
        let tells_all = self.reports_due > 0 || self.report_until.is_some_and(|until| until > now);
        let room = if tells_all { most / 2 } else { most };
        let mut digest = self.recent(now, room);
        if tells_all {
            let rest = self.all(most - digest.len());
            self.reports_due =
                if rest.is_empty() { 0 } else { self.reports_due.saturating_sub(rest.len()) };
            for known in rest {
                if digest.iter().all(|told| told.peer != known.peer) {
                    digest.push(known);
                }
            }
        }
        digest
    }

    /// The next in turn of those that left lately.
    fn recent(&mut self, now: Time, most: usize) -> Vec<PeerReport> {
        let (mut told, mut over) = (Vec::new(), Vec::new());
        for (ticket, who) in newest_first_from(&self.recent, self.last_reported[0]) {
            if told.len() >= most {
                break;
            }
            #[cfg(test)]
            {
                self.looked_at += 1;
            }
            match self.peers.get(who).filter(|gone| gone.report_until > now) {
                Some(gone) => told.extend(gone.report().map(|known| (*ticket, known))),
                None => over.push(*ticket),
            }
        }
        for ticket in over {
            self.recent.remove(&ticket);
        }
        self.finish_turn(0, told)
    }

    /// The next in turn of all.
    fn all(&mut self, most: usize) -> Vec<PeerReport> {
        let next = newest_first_from(&self.known, self.last_reported[1]).take(most);
        let known = next.filter_map(|(ticket, who)| Some((*ticket, self.report(*who)?)));
        let told: Vec<_> = known.collect();
        #[cfg(test)]
        {
            self.looked_at += told.len();
        }
        self.finish_turn(1, told)
    }

    fn finish_turn(&mut self, turn: usize, told: Vec<(u64, PeerReport)>) -> Vec<PeerReport> {
        self.last_reported[turn] = told.last().map(|(ticket, _)| *ticket);
        if planted(Fault::FormerPeersNotReported) {
            return Vec::new();
        }
        told.into_iter().map(|(_, known)| PeerReport { is_suspected: true, ..known }).collect()
    }

    /// What is known of one that left.
    pub(crate) fn report(&self, incarnation: Incarnation) -> Option<PeerReport> {
        self.peers.get(&incarnation)?.report()
    }

    /// Whether it said goodbye.
    pub(crate) fn has_ended(&self, incarnation: Incarnation) -> bool {
        self.peers.get(&incarnation).is_some_and(|gone| gone.peer.is_none())
    }

    /// Notes the number of a message of who is gone; `false` if it had come before,
    /// or it is of who said goodbye.
    pub(crate) fn accept(&mut self, incarnation: Incarnation, number: u64) -> bool {
        match self.peers.get_mut(&incarnation) {
            None => true,
            Some(gone) => gone.peer.as_mut().is_some_and(|peer| peer.controls.accept(number)),
        }
    }

    /// What is remembered; a failed peer is taken out.
    pub(crate) fn recall(&mut self, incarnation: Incarnation) -> Recall {
        match self.peers.get_mut(&incarnation).map(|gone| gone.peer.take()) {
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

/// Each once, from the last before the one that was `told` last.
fn newest_first_from(
    tickets: &ByTicket,
    told: Option<u64>,
) -> impl Iterator<Item = (&u64, &Incarnation)> {
    let told = told.unwrap_or(u64::MAX);
    let after = tickets.range((Bound::Unbounded, Bound::Excluded(told))).rev();
    after.chain(tickets.range(told..).rev())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn id(n: u8) -> Incarnation {
        Incarnation([n; 16])
    }

    fn at(s: u64) -> Time {
        Time::from_start(Duration::from_secs(s))
    }

    /// Five that said goodbye in the seconds 1 to 5, each told of for 6 s.
    fn five() -> FormerPeers {
        let mut former_peers = FormerPeers::default();
        for n in 1..=5 {
            let (positions, report_until) = ([n.into(), 0], at(u64::from(n) + 6));
            let last = PeerReport {
                peer: id(n),
                heartbeat_seq: 0,
                positions,
                is_suspected: false,
                sent: [0; 2],
            };
            let gone = FormerPeer {
                ticket: 0,
                peer: None,
                last: Some(last),
                report_until,
                is_short_lived: false,
            };
            former_peers.keep(id(n), gone, 4);
        }
        former_peers
    }

    fn told(former_peers: &mut FormerPeers, now: u64, most: usize) -> Vec<u8> {
        let digest = former_peers.digest(at(now), most);
        assert!(digest.iter().all(|known| known.is_suspected));
        digest.iter().map(|known| known.peer.0[0]).collect()
    }

    #[test]
    fn those_that_left_are_told_of_for_a_while_the_last_first_and_in_turn() {
        let mut former_peers = five();
        assert_eq!(told(&mut former_peers, 5, 3), [5, 4, 3]);
        assert_eq!(told(&mut former_peers, 5, 3), [2, 5, 4], "1 is past the bound");
        assert_eq!(told(&mut former_peers, 9, 3), [5, 4], "3 and 2 were told of long enough");
        assert_eq!(told(&mut former_peers, 11, 3), [0; 0]);
    }

    #[test]
    fn each_has_its_turn_though_peers_keep_returning_and_it_is_late() {
        let mut former_peers = FormerPeers::default();
        for n in 1..=100 {
            let (positions, report_until) = ([n.into(), 0], at(0));
            let last = PeerReport {
                peer: id(n),
                heartbeat_seq: 0,
                positions,
                is_suspected: false,
                sent: [0; 2],
            };
            let gone = FormerPeer {
                ticket: 0,
                peer: None,
                last: Some(last),
                report_until,
                is_short_lived: false,
            };
            former_peers.keep(id(n), gone, 100);
        }
        let mut seen = std::collections::BTreeSet::new();
        for second in 0..25 {
            if second < 3 {
                former_peers.report_all(at(second + 6));
            }
            let digest = told(&mut former_peers, second, 8);
            assert!(digest.len() <= 8);
            seen.extend(digest);
        }
        assert_eq!(seen.len(), 100);
        assert_eq!(told(&mut former_peers, 30, 8), [0; 0]);
    }

    #[test]
    fn a_return_has_all_told_of_again_and_who_heard_more_tells_of_one() {
        let mut former_peers = five();
        assert_eq!(told(&mut former_peers, 20, 3), [0; 0]);
        former_peers.report_one(id(3), at(26));
        assert_eq!(told(&mut former_peers, 20, 3), [3]);
        former_peers.report_all(at(36));
        assert_eq!(told(&mut former_peers, 30, 9), [5, 4, 3, 2]);
        assert_eq!(told(&mut former_peers, 36, 9), [0; 0]);
    }

    /// Four thousand that left long ago, half of them made up by goodbyes of strangers, and
    /// three that left lately.
    #[test]
    fn a_digest_looks_at_those_it_tells_of_and_no_others() {
        let (mut former_peers, limit) = (FormerPeers::default(), 4_096);
        let id = |n: u64| {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&n.to_be_bytes());
            Incarnation(id)
        };
        let gone = |n, report_until| {
            let positions = [n, 0];
            let last = PeerReport {
                peer: id(n),
                heartbeat_seq: 0,
                positions,
                is_suspected: false,
                sent: [0; 2],
            };
            FormerPeer {
                ticket: 0,
                peer: None,
                last: Some(last),
                report_until,
                is_short_lived: false,
            }
        };
        for n in 0..2_000 {
            former_peers.keep(id(n), gone(n, at(6)), limit);
            former_peers.mark_ended(id(10_000 + n), limit);
        }
        former_peers.digest(at(10), 32);
        for n in 2_000..2_003 {
            former_peers.keep(id(n), gone(n, at(26)), limit);
        }
        for _ in 0..10 {
            former_peers.looked_at = 0;
            assert_eq!(former_peers.digest(at(20), 32).len(), 3);
            assert!(former_peers.looked_at <= 3, "{} entries", former_peers.looked_at);
        }
        former_peers.report_all(at(26));
        for _ in 0..10 {
            former_peers.looked_at = 0;
            let told = former_peers.digest(at(20), 32).len();
            assert!((29..=32).contains(&told), "{told}");
            assert!(former_peers.looked_at <= 32, "{} entries", former_peers.looked_at);
        }
        former_peers.looked_at = 0;
        for n in 0..2_000 {
            former_peers.mark_ended(id(20_000 + n), limit);
            former_peers.recall(id(n));
        }
        assert!(former_peers.looked_at <= 4_000, "{} entries", former_peers.looked_at);
        assert!(former_peers.peers.len() <= limit);
    }
}
