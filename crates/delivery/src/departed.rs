use std::collections::BTreeMap;
use std::ops::Bound;

use crate::control::Knowledge;
use crate::peer::Peer;
use crate::planted::{Fault, planted};
use crate::{Incarnation, LeaveReason, Time};

/// Peers that left. One that failed, or whose name was taken by a new life while it
/// was silent, may come back, and must then be told what it missed; one that said
/// goodbye may not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Departed {
    peers: BTreeMap<Incarnation, Gone>,
    /// Those that are forgotten first, oldest first; then the others.
    light: Tickets,
    heavy: Tickets,
    /// Those of which something is known that can be told.
    known: Tickets,
    /// Of these, those that left lately or are told of for another reason: a digest looks at them
    /// alone, and drops those whose time is over.
    lately: Tickets,
    next_ticket: u64,
    /// Until when all are told of.
    told_until: Option<Time>,
    /// How many are to be told of besides, so that each has its turn.
    owed: usize,
    /// The tickets of the last ones told of: of those that left lately, and of all.
    told: [Option<u64>; 2],
    /// Entries that digests and evictions have looked at.
    #[cfg(test)]
    looked_at: usize,
}

/// Lives by ticket: the latest has the highest.
type Tickets = BTreeMap<u64, Incarnation>;

#[derive(Debug, Clone)]
struct Gone {
    ticket: u64,
    peer: Option<Box<Peer>>,
    /// How far its events were taken, of one that said goodbye: who still misses some asks.
    last: Option<Knowledge>,
    /// Until when it is told of.
    told_until: Time,
    /// It is forgotten before the others.
    is_light: bool,
}

/// What is remembered of an incarnation.
pub(crate) enum Memory {
    /// Never seen, or forgotten.
    None,
    /// It was silent; this is where it was.
    Failed(Box<Peer>),
    /// It ended for good.
    Ended,
}

impl Departed {
    /// Remembers who left, and tells of it until then.
    pub(crate) fn remember(
        &mut self,
        mut peer: Peer,
        reason: LeaveReason,
        told_until: Time,
        limit: usize,
    ) {
        peer.settle();
        let (incarnation, last) = (peer.info.incarnation, Some(peer.knowledge()));
        let is_light = peer.is_light();
        let may_return = reason != LeaveReason::Bye || planted(Fault::EndedLifeTakenIn);
        let peer = may_return.then(|| Box::new(peer));
        let gone = Gone { ticket: 0, peer, last, told_until, is_light };
        self.keep(incarnation, gone, limit);
    }

    /// Past the limit the oldest goes of those of which little is known, whom anybody with the
    /// key can make up; then the oldest.
    fn keep(&mut self, incarnation: Incarnation, mut gone: Gone, limit: usize) {
        self.forget(incarnation);
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        gone.ticket = ticket;
        let order = if gone.is_light { &mut self.light } else { &mut self.heavy };
        order.insert(ticket, incarnation);
        if gone.knowledge().is_some() {
            self.known.insert(ticket, incarnation);
            if gone.told_until > Time::default() {
                self.lately.insert(ticket, incarnation);
            }
        }
        self.peers.insert(incarnation, gone);
        while self.peers.len() > limit
            && let Some((_, oldest)) = self.light.first_key_value().or(self.heavy.first_key_value())
        {
            #[cfg(test)]
            {
                self.looked_at += 1;
            }
            self.forget(*oldest);
        }
    }

    fn forget(&mut self, incarnation: Incarnation) -> Option<Gone> {
        let gone = self.peers.remove(&incarnation)?;
        for tickets in [&mut self.light, &mut self.heavy, &mut self.known, &mut self.lately] {
            tickets.remove(&gone.ticket);
        }
        Some(gone)
    }

    /// Notes that an incarnation that is not there said goodbye: what of it comes late
    /// must not be taken for a life.
    pub(crate) fn end(&mut self, incarnation: Incarnation, limit: usize) {
        let (last, is_light) = (self.knowledge(incarnation), self.is_light(incarnation));
        let gone = Gone { ticket: 0, peer: None, last, told_until: Time::default(), is_light };
        self.keep(incarnation, gone, limit);
    }

    /// Whether it is known.
    pub(crate) fn knows(&self, incarnation: Incarnation) -> bool {
        self.peers.contains_key(&incarnation)
    }

    fn is_light(&self, incarnation: Incarnation) -> bool {
        self.peers.get(&incarnation).is_none_or(|gone| gone.is_light)
    }

    /// A peer that was silent, and may come back.
    pub(crate) fn silent(&self, incarnation: Incarnation) -> Option<&Peer> {
        self.peers.get(&incarnation)?.peer.as_deref()
    }

    /// All are told of until then and once at least, from the last that left on: somebody
    /// may have been out of reach when they ended.
    pub(crate) fn tell_all(&mut self, until: Time) {
        if self.owed == 0 {
            self.told[1] = None;
        }
        self.told_until = Some(until);
        self.owed = self.known.len();
    }

    /// One is told of until then.
    pub(crate) fn tell(&mut self, incarnation: Incarnation, until: Time) {
        if let Some(gone) = self.peers.get_mut(&incarnation) {
            gone.told_until = gone.told_until.max(until);
            if gone.knowledge().is_some() {
                self.lately.insert(gone.ticket, incarnation);
            }
        }
    }

    /// What to tell others of those that left: at most `most`, in turn, from the last to
    /// the first; half of them of those that left lately.
    pub(crate) fn digest(&mut self, now: Time, most: usize) -> Vec<Knowledge> {
        let tells_all = self.owed > 0 || self.told_until.is_some_and(|until| until > now);
        let room = if tells_all { most / 2 } else { most };
        let mut digest = self.lately(now, room);
        if tells_all {
            let rest = self.all(most - digest.len());
            self.owed = if rest.is_empty() { 0 } else { self.owed.saturating_sub(rest.len()) };
            for known in rest {
                if digest.iter().all(|told| told.of != known.of) {
                    digest.push(known);
                }
            }
        }
        digest
    }

    /// The next in turn of those that left lately.
    fn lately(&mut self, now: Time, most: usize) -> Vec<Knowledge> {
        let (mut told, mut over) = (Vec::new(), Vec::new());
        for (ticket, who) in from_last(&self.lately, self.told[0]) {
            if told.len() >= most {
                break;
            }
            #[cfg(test)]
            {
                self.looked_at += 1;
            }
            match self.peers.get(who).filter(|gone| gone.told_until > now) {
                Some(gone) => told.extend(gone.knowledge().map(|known| (*ticket, known))),
                None => over.push(*ticket),
            }
        }
        for ticket in over {
            self.lately.remove(&ticket);
        }
        self.note_turn(0, told)
    }

    /// The next in turn of all.
    fn all(&mut self, most: usize) -> Vec<Knowledge> {
        let next = from_last(&self.known, self.told[1]).take(most);
        let known = next.filter_map(|(ticket, who)| Some((*ticket, self.knowledge(*who)?)));
        let told: Vec<_> = known.collect();
        #[cfg(test)]
        {
            self.looked_at += told.len();
        }
        self.note_turn(1, told)
    }

    fn note_turn(&mut self, turn: usize, told: Vec<(u64, Knowledge)>) -> Vec<Knowledge> {
        self.told[turn] = told.last().map(|(ticket, _)| *ticket);
        if planted(Fault::DepartedNotToldOf) {
            return Vec::new();
        }
        told.into_iter().map(|(_, known)| Knowledge { in_doubt: true, ..known }).collect()
    }

    /// What is known of one that left.
    pub(crate) fn knowledge(&self, incarnation: Incarnation) -> Option<Knowledge> {
        self.peers.get(&incarnation)?.knowledge()
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
    pub(crate) fn recall(&mut self, incarnation: Incarnation) -> Memory {
        match self.peers.get_mut(&incarnation).map(|gone| gone.peer.take()) {
            None => Memory::None,
            Some(None) => Memory::Ended,
            Some(Some(peer)) => {
                self.forget(incarnation);
                if planted(Fault::ReturnAsNew) { Memory::None } else { Memory::Failed(peer) }
            }
        }
    }
}

impl Gone {
    fn knowledge(&self) -> Option<Knowledge> {
        self.peer.as_ref().map(|peer| peer.knowledge()).or(self.last)
    }
}

/// Each once, from the last before the one that was `told` last.
fn from_last(tickets: &Tickets, told: Option<u64>) -> impl Iterator<Item = (&u64, &Incarnation)> {
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
    fn five() -> Departed {
        let mut departed = Departed::default();
        for n in 1..=5 {
            let (positions, told_until) = ([n.into(), 0], at(u64::from(n) + 6));
            let last = Knowledge { of: id(n), beat: 0, positions, in_doubt: false, sent: [0; 2] };
            let gone =
                Gone { ticket: 0, peer: None, last: Some(last), told_until, is_light: false };
            departed.keep(id(n), gone, 4);
        }
        departed
    }

    fn told(departed: &mut Departed, now: u64, most: usize) -> Vec<u8> {
        let digest = departed.digest(at(now), most);
        assert!(digest.iter().all(|known| known.in_doubt));
        digest.iter().map(|known| known.of.0[0]).collect()
    }

    #[test]
    fn those_that_left_are_told_of_for_a_while_the_last_first_and_in_turn() {
        let mut departed = five();
        assert_eq!(told(&mut departed, 5, 3), [5, 4, 3]);
        assert_eq!(told(&mut departed, 5, 3), [2, 5, 4], "1 is past the bound");
        assert_eq!(told(&mut departed, 9, 3), [5, 4], "3 and 2 were told of long enough");
        assert_eq!(told(&mut departed, 11, 3), [0; 0]);
    }

    #[test]
    fn each_has_its_turn_though_peers_keep_returning_and_it_is_late() {
        let mut departed = Departed::default();
        for n in 1..=100 {
            let (positions, told_until) = ([n.into(), 0], at(0));
            let last = Knowledge { of: id(n), beat: 0, positions, in_doubt: false, sent: [0; 2] };
            let gone =
                Gone { ticket: 0, peer: None, last: Some(last), told_until, is_light: false };
            departed.keep(id(n), gone, 100);
        }
        let mut seen = std::collections::BTreeSet::new();
        for second in 0..25 {
            if second < 3 {
                departed.tell_all(at(second + 6));
            }
            let digest = told(&mut departed, second, 8);
            assert!(digest.len() <= 8);
            seen.extend(digest);
        }
        assert_eq!(seen.len(), 100);
        assert_eq!(told(&mut departed, 30, 8), [0; 0]);
    }

    #[test]
    fn a_return_has_all_told_of_again_and_who_heard_more_tells_of_one() {
        let mut departed = five();
        assert_eq!(told(&mut departed, 20, 3), [0; 0]);
        departed.tell(id(3), at(26));
        assert_eq!(told(&mut departed, 20, 3), [3]);
        departed.tell_all(at(36));
        assert_eq!(told(&mut departed, 30, 9), [5, 4, 3, 2]);
        assert_eq!(told(&mut departed, 36, 9), [0; 0]);
    }

    /// Four thousand that left long ago, half of them made up by goodbyes of strangers, and
    /// three that left lately.
    #[test]
    fn a_digest_looks_at_those_it_tells_of_and_no_others() {
        let (mut departed, limit) = (Departed::default(), 4_096);
        let id = |n: u64| {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&n.to_be_bytes());
            Incarnation(id)
        };
        let gone = |n, told_until| {
            let positions = [n, 0];
            let last = Knowledge { of: id(n), beat: 0, positions, in_doubt: false, sent: [0; 2] };
            Gone { ticket: 0, peer: None, last: Some(last), told_until, is_light: false }
        };
        for n in 0..2_000 {
            departed.keep(id(n), gone(n, at(6)), limit);
            departed.end(id(10_000 + n), limit);
        }
        departed.digest(at(10), 32);
        for n in 2_000..2_003 {
            departed.keep(id(n), gone(n, at(26)), limit);
        }
        for _ in 0..10 {
            departed.looked_at = 0;
            assert_eq!(departed.digest(at(20), 32).len(), 3);
            assert!(departed.looked_at <= 3, "{} entries", departed.looked_at);
        }
        departed.tell_all(at(26));
        for _ in 0..10 {
            departed.looked_at = 0;
            let told = departed.digest(at(20), 32).len();
            assert!((29..=32).contains(&told), "{told}");
            assert!(departed.looked_at <= 32, "{} entries", departed.looked_at);
        }
        departed.looked_at = 0;
        for n in 0..2_000 {
            departed.end(id(20_000 + n), limit);
            departed.recall(id(n));
        }
        assert!(departed.looked_at <= 4_000, "{} entries", departed.looked_at);
        assert!(departed.peers.len() <= limit);
    }
}
