use std::collections::{BTreeMap, VecDeque};

use crate::control::Knowledge;
use crate::peer::Peer;
use crate::{Incarnation, LeaveReason, Time};

/// Peers that left. One that failed, or whose name was taken by a new life while it
/// was silent, may come back, and must then be told what it missed; one that said
/// goodbye may not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Departed {
    peers: BTreeMap<Incarnation, Gone>,
    /// Oldest first.
    order: VecDeque<(u64, Incarnation)>,
    next_ticket: u64,
    /// Until when all are told of.
    told_until: Option<Time>,
    /// How many are to be told of besides, so that each has its turn.
    owed: usize,
    /// The tickets of the last ones told of: of those that left lately, and of all.
    told: [Option<u64>; 2],
}

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
        let peer = (reason != LeaveReason::Bye).then(|| Box::new(peer));
        let gone = Gone { ticket: 0, peer, last, told_until, is_light };
        self.keep(incarnation, gone, limit);
    }

    /// Past the limit the oldest goes of those of which little is known, whom anybody with the
    /// key can make up; then the oldest.
    fn keep(&mut self, incarnation: Incarnation, gone: Gone, limit: usize) {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        if self.peers.contains_key(&incarnation) {
            self.order.retain(|(_, other)| *other != incarnation);
        }
        self.peers.insert(incarnation, Gone { ticket, ..gone });
        self.order.push_back((ticket, incarnation));
        while self.peers.len() > limit
            && let light = self.order.iter().position(|(_, who)| self.is_light(*who))
            && let Some((ticket, oldest)) = self.order.remove(light.unwrap_or(0))
        {
            if self.peers.get(&oldest).is_some_and(|gone| gone.ticket == ticket) {
                self.peers.remove(&oldest);
            }
        }
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
        self.owed = self.order.len();
    }

    /// One is told of until then.
    pub(crate) fn tell(&mut self, incarnation: Incarnation, until: Time) {
        if let Some(gone) = self.peers.get_mut(&incarnation) {
            gone.told_until = gone.told_until.max(until);
        }
    }

    /// What to tell others of those that left: at most `most`, in turn, from the last to
    /// the first; half of them of those that left lately.
    pub(crate) fn digest(&mut self, now: Time, most: usize) -> Vec<Knowledge> {
        let tells_all = self.owed > 0 || self.told_until.is_some_and(|until| until > now);
        let lately = |gone: &Gone| gone.told_until > now;
        let room = if tells_all { most / 2 } else { most };
        let mut digest = self.turn(0, room, lately);
        if tells_all {
            let rest = self.turn(1, most - digest.len(), |_| true);
            self.owed = if rest.is_empty() { 0 } else { self.owed.saturating_sub(rest.len()) };
            for known in rest {
                if digest.iter().all(|told| told.of != known.of) {
                    digest.push(known);
                }
            }
        }
        digest
    }

    fn turn(&mut self, turn: usize, most: usize, tells: impl Fn(&Gone) -> bool) -> Vec<Knowledge> {
        let told = self.told[turn].unwrap_or(u64::MAX);
        let after = self.order.iter().rev().filter(|(ticket, _)| *ticket < told);
        let before = self.order.iter().rev().filter(|(ticket, _)| *ticket >= told);
        let known = after.chain(before).filter_map(|(ticket, who)| {
            let known = self.knowledge(*who).filter(|_| self.peers.get(who).is_some_and(&tells))?;
            Some((*ticket, Knowledge { in_doubt: true, ..known }))
        });
        let (tickets, digest): (Vec<_>, Vec<_>) = known.take(most).unzip();
        self.told[turn] = tickets.last().copied();
        digest
    }

    /// What is known of one that left.
    pub(crate) fn knowledge(&self, incarnation: Incarnation) -> Option<Knowledge> {
        let gone = self.peers.get(&incarnation)?;
        gone.peer.as_ref().map(|peer| peer.knowledge()).or(gone.last)
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
                self.peers.remove(&incarnation);
                self.order.retain(|(_, other)| *other != incarnation);
                Memory::Failed(peer)
            }
        }
    }
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
}
