use std::collections::{BTreeMap, VecDeque};

use crate::control::Knowledge;
use crate::peer::Peer;
use crate::{Incarnation, LeaveReason};

/// Peers that left. One that failed, or whose name was taken by a new life while it
/// was silent, may come back, and must then be told what it missed; one that said
/// goodbye may not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Departed {
    peers: BTreeMap<Incarnation, Gone>,
    /// Oldest first.
    order: VecDeque<(u64, Incarnation)>,
    next_ticket: u64,
}

#[derive(Debug, Clone)]
struct Gone {
    ticket: u64,
    peer: Option<Box<Peer>>,
    /// How far its events were taken, of one that said goodbye: who still misses some asks.
    last: Option<Knowledge>,
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
    pub(crate) fn remember(&mut self, mut peer: Peer, reason: LeaveReason, limit: usize) {
        peer.settle();
        let (incarnation, last) = (peer.info.incarnation, Some(peer.knowledge()));
        let peer = (reason != LeaveReason::Bye).then(|| Box::new(peer));
        self.keep(incarnation, (peer, last), limit);
    }

    fn keep(
        &mut self,
        incarnation: Incarnation,
        (peer, last): (Option<Box<Peer>>, Option<Knowledge>),
        limit: usize,
    ) {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        if self.peers.contains_key(&incarnation) {
            self.order.retain(|(_, other)| *other != incarnation);
        }
        self.peers.insert(incarnation, Gone { ticket, peer, last });
        self.order.push_back((ticket, incarnation));
        while self.peers.len() > limit
            && let Some((ticket, oldest)) = self.order.pop_front()
        {
            if self.peers.get(&oldest).is_some_and(|gone| gone.ticket == ticket) {
                self.peers.remove(&oldest);
            }
        }
    }

    /// Notes that an incarnation never seen said goodbye: what of it comes late must
    /// not be taken for a life.
    pub(crate) fn end(&mut self, incarnation: Incarnation, limit: usize) {
        self.keep(incarnation, (None, None), limit);
    }

    /// A peer that was silent, and may come back.
    pub(crate) fn silent(&self, incarnation: Incarnation) -> Option<&Peer> {
        self.peers.get(&incarnation)?.peer.as_deref()
    }

    /// What is known of those that left last, and whether they fell silent, so that others
    /// may have heard them longer.
    pub(crate) fn latest(&self, most: usize) -> impl Iterator<Item = (Knowledge, bool)> {
        let latest = self.order.iter().rev().take(most);
        latest.filter_map(|(_, who)| {
            let known = Knowledge { in_doubt: true, ..self.knowledge(*who)? };
            Some((known, self.silent(*who).is_some()))
        })
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
