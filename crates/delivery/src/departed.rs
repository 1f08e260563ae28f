use std::collections::{BTreeMap, VecDeque};

use crate::peer::Peer;
use crate::{Incarnation, LeaveReason};

/// Peers that left. One that failed may come back, and must then be told what it
/// missed; one that said goodbye or was replaced may not.
#[derive(Debug, Default)]
pub(crate) struct Departed {
    peers: BTreeMap<Incarnation, Gone>,
    /// Oldest first; may name a peer that came back meanwhile.
    order: VecDeque<(u64, Incarnation)>,
    next_ticket: u64,
}

#[derive(Debug)]
struct Gone {
    ticket: u64,
    peer: Option<Box<Peer>>,
}

/// What is remembered of an incarnation.
pub(crate) enum Memory {
    /// Never seen, or forgotten.
    None,
    /// It failed; this is where it was.
    Failed(Box<Peer>),
    /// It ended for good.
    Ended,
}

impl Departed {
    pub(crate) fn remember(&mut self, peer: Peer, reason: LeaveReason, limit: usize) {
        let incarnation = peer.info.incarnation;
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let peer = (reason == LeaveReason::Failed).then(|| Box::new(peer));
        self.peers.insert(incarnation, Gone { ticket, peer });
        self.order.push_back((ticket, incarnation));
        while self.order.len() > limit
            && let Some((ticket, oldest)) = self.order.pop_front()
        {
            if self.peers.get(&oldest).is_some_and(|gone| gone.ticket == ticket) {
                self.peers.remove(&oldest);
            }
        }
    }

    /// What is remembered; a failed peer is taken out.
    pub(crate) fn recall(&mut self, incarnation: Incarnation) -> Memory {
        match self.peers.get_mut(&incarnation).map(|gone| gone.peer.take()) {
            None => Memory::None,
            Some(None) => Memory::Ended,
            Some(Some(peer)) => {
                self.peers.remove(&incarnation);
                Memory::Failed(peer)
            }
        }
    }
}
