//! The links of a node, and the decision which connection to another node becomes one. No I/O,
//! no clock.
//!
//! Zenoh keeps one link to a node, and two nodes may dial each other at the same time. The
//! connection of the node with the greater id is kept then, and both ends know it before Zenoh
//! sees either: a dialer *proposes* its connection when it sends its proof, after which the
//! other node may take it. A node does not send a proof to a node that it is linked to, and with
//! a greater id it declines what it is offered while its own proposal is open.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::handshake::{Binding, KeyId, NodeId};

/// Most links of a node.
const MAX_LINKS: usize = 1024;

/// A link to another node, and what ends it.
#[derive(Debug)]
pub(super) struct Entry<E> {
    /// Counts links since the start.
    pub(super) number: u64,
    /// The key that has proven it last.
    pub(super) key: KeyId,
    pub(super) binding: Binding,
    /// Whether this node dialed it.
    pub(super) is_dialed: bool,
    /// The ends of its connection.
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    /// Where the node says that it can be dialed.
    pub(super) addresses: Vec<SocketAddr>,
    /// Ends it when dropped.
    pub(super) _end: E,
}

/// The links of a node by the other's id.
#[derive(Debug)]
pub(super) struct LinkTable<E> {
    own: NodeId,
    links: BTreeMap<NodeId, Entry<E>>,
    /// Connections to each node that this node has sent its proof on.
    proposed: BTreeMap<NodeId, usize>,
    next: u64,
}

/// What becomes of a connection that another node has proven.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LinkDecision {
    /// It becomes a link, instead of one that the other node has no more, if there is any.
    Accept { replaces: bool },
    /// This node's own connection to that node is kept.
    Crossed,
    /// There is no room.
    Full,
}

impl<E> LinkTable<E> {
    pub(super) fn new(own: NodeId) -> Self {
        Self { own, links: BTreeMap::new(), proposed: BTreeMap::new(), next: 0 }
    }

    /// Whether a connection that this node dialed may be proven to `id`; if so it is proposed
    /// until [`withdraw`](Self::withdraw).
    pub(super) fn propose(&mut self, id: NodeId) -> bool {
        let may = !self.links.contains_key(&id) && self.links.len() < MAX_LINKS;
        if may {
            *self.proposed.entry(id).or_default() += 1;
        }
        may
    }

    /// A proposed connection was taken, declined or lost.
    pub(super) fn withdraw(&mut self, id: NodeId) {
        if let Some(count) = self.proposed.get_mut(&id) {
            *count -= 1;
            if *count == 0 {
                self.proposed.remove(&id);
            }
        }
    }

    /// What becomes of a connection that the node `id` has proven.
    pub(super) fn decide(&self, id: NodeId) -> LinkDecision {
        let replaces = self.links.contains_key(&id);
        if self.own > id && self.proposed.contains_key(&id) {
            LinkDecision::Crossed
        } else if !replaces && self.links.len() >= MAX_LINKS {
            LinkDecision::Full
        } else {
            LinkDecision::Accept { replaces }
        }
    }

    /// Enters a link, instead of one to the same node. Gives its number.
    pub(super) fn enter(&mut self, id: NodeId, mut entry: Entry<E>) -> u64 {
        self.next += 1;
        entry.number = self.next;
        self.links.insert(id, entry);
        self.next
    }

    /// A link ended; whether it was the one to that node.
    pub(super) fn leave(&mut self, id: NodeId, number: u64) -> bool {
        let is_it = self.links.get(&id).is_some_and(|entry| entry.number == number);
        if is_it {
            self.links.remove(&id);
        }
        is_it
    }

    /// Ends the links of which `is_over` holds; how many.
    pub(super) fn end(&mut self, is_over: impl Fn(&NodeId, &Entry<E>) -> bool) -> usize {
        let before = self.links.len();
        self.links.retain(|id, entry| !is_over(id, entry));
        before - self.links.len()
    }

    pub(super) fn get(&self, id: &NodeId) -> Option<&Entry<E>> {
        self.links.get(id)
    }

    pub(super) fn get_mut(&mut self, id: &NodeId) -> Option<&mut Entry<E>> {
        self.links.get_mut(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&NodeId, &Entry<E>)> {
        self.links.iter()
    }

    /// How many links this node dialed, each of which uses a slot.
    pub(super) fn dialed_count(&self) -> usize {
        self.links.values().filter(|entry| entry.is_dialed).count()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(is_dialed: bool) -> Entry<()> {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        Entry {
            number: 0,
            key: [0; 8],
            binding: [0; 32],
            is_dialed,
            local: address,
            remote: address,
            addresses: Vec::new(),
            _end: (),
        }
    }

    #[test]
    fn a_link_is_replaced_by_a_newer_one_and_its_end_says_nothing_of_that() {
        let mut links = LinkTable::new([2; 16]);
        assert_eq!(links.decide([1; 16]), LinkDecision::Accept { replaces: false });
        let old = links.enter([1; 16], entry(false));
        assert!(!links.propose([1; 16]), "it is linked");
        assert_eq!(links.decide([1; 16]), LinkDecision::Accept { replaces: true });
        let new = links.enter([1; 16], entry(false));
        assert!(!links.leave([1; 16], old));
        assert!(links.get(&[1; 16]).is_some());
        assert!(links.leave([1; 16], new));
        assert!(links.propose([1; 16]));
    }

    #[test]
    fn links_are_bounded() {
        let mut links = LinkTable::new([0xff; 16]);
        let id = |n: usize| (n as u128).to_be_bytes();
        for n in 0..MAX_LINKS {
            links.enter(id(n), entry(false));
        }
        assert_eq!(links.decide(id(MAX_LINKS)), LinkDecision::Full);
        assert!(!links.propose(id(MAX_LINKS)));
        assert_eq!(links.decide(id(1)), LinkDecision::Accept { replaces: true });
        assert_eq!(links.end(|id, _| id[15] == 0), MAX_LINKS / 256);
    }

    /// Two nodes that dial each other; each step of either dial happens in any order.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Dial {
        Waiting,
        Proposed,
        Verdict(bool),
        Over,
    }

    proptest! {
        #[test]
        fn of_two_nodes_that_dial_each_other_one_connection_is_kept_at_both_ends(
            order in prop::collection::vec(any::<bool>(), 12),
        ) {
            let ids: [NodeId; 2] = [[1; 16], [2; 16]];
            let mut tables = ids.map(LinkTable::new);
            let mut dials = [Dial::Waiting; 2];
            // The connection that each end keeps, by its dialer.
            let mut kept: [Option<usize>; 2] = [None; 2];
            let rest = [true, true, true, true, false, false, false, false];
            for dialer in order.into_iter().chain(rest).map(usize::from) {
                let other = 1 - dialer;
                dials[dialer] = match dials[dialer] {
                    Dial::Waiting if tables[dialer].propose(ids[other]) => Dial::Proposed,
                    Dial::Waiting => Dial::Over,
                    Dial::Proposed => match tables[other].decide(ids[dialer]) {
                        LinkDecision::Accept { .. } => {
                            tables[other].enter(ids[dialer], entry(false));
                            kept[other] = Some(dialer);
                            Dial::Verdict(true)
                        }
                        _ => Dial::Verdict(false),
                    },
                    Dial::Verdict(is_taken) => {
                        tables[dialer].withdraw(ids[other]);
                        if is_taken {
                            tables[dialer].enter(ids[other], entry(true));
                            kept[dialer] = Some(dialer);
                        }
                        Dial::Over
                    }
                    Dial::Over => Dial::Over,
                };
            }
            prop_assert_eq!(dials, [Dial::Over; 2]);
            prop_assert!(kept[0].is_some() && kept[0] == kept[1], "{:?}", kept);
            prop_assert!(tables.iter().all(|links| links.proposed.is_empty()));
        }
    }
}
