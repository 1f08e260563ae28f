//! The links of a node, and the decision which connection to another node becomes a link. No I/O,
//! no clock.
//!
//! Zenoh keeps one link to a node, but two nodes may dial each other at the same time. Then the
//! connection dialed by the node with the greater id is kept, and both ends decide this before
//! Zenoh sees either connection. A dialer *proposes* its connection when it sends its proof; after
//! that the other node may take it. A node sends no proof to a node that it is linked to. While its
//! own proposal to a node with a smaller id is open, it declines that node's connection.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::handshake::{Binding, KeyId, NodeId};

/// Maximum number of links of a node.
const MAX_LINKS: usize = 1024;

/// A link to another node, and the handle that ends it.
#[derive(Debug)]
pub(super) struct Entry<E> {
    /// Number of the link since the start.
    pub(super) number: u64,
    /// The key that proved the link last.
    pub(super) key: KeyId,
    pub(super) binding: Binding,
    /// Whether this node dialed the link.
    pub(super) is_dialed: bool,
    /// The addresses of the connection.
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    /// The addresses at which the node says that it can be dialed.
    pub(super) addresses: Vec<SocketAddr>,
    /// Ends the link when dropped.
    pub(super) _end: E,
}

/// The links of a node, by the id of the other node.
#[derive(Debug)]
pub(super) struct LinkTable<E> {
    own: NodeId,
    links: BTreeMap<NodeId, Entry<E>>,
    /// Number of connections to each node on which this node has sent its proof.
    proposed: BTreeMap<NodeId, usize>,
    next: u64,
}

/// The decision about a connection that another node has proven.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LinkDecision {
    /// The connection becomes a link. If `replaces`, it replaces a link that the other node no
    /// longer has.
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

    /// Whether this node may send its proof to `id` on a connection that it dialed. If so, the
    /// connection is proposed until [`withdraw`](Self::withdraw).
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

    /// Decides about a connection that the node `id` has proven.
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

    /// Enters a link and replaces any other link to the same node. Returns the link's number.
    pub(super) fn enter(&mut self, id: NodeId, mut entry: Entry<E>) -> u64 {
        self.next += 1;
        entry.number = self.next;
        self.links.insert(id, entry);
        self.next
    }

    /// A link ended. Returns whether it was the current link to that node.
    pub(super) fn leave(&mut self, id: NodeId, number: u64) -> bool {
        let is_current = self.links.get(&id).is_some_and(|entry| entry.number == number);
        if is_current {
            self.links.remove(&id);
        }
        is_current
    }

    /// Ends the links for which `is_over` holds, and returns how many.
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

    /// Number of links that this node dialed. Each uses a slot.
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
    fn the_end_of_a_replaced_link_does_not_end_its_successor() {
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

    /// A dial of one of two nodes that dial each other. The steps of the two dials interleave in
    /// any order.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Dial {
        Waiting,
        Proposed,
        Verdict(bool),
        Over,
    }

    proptest! {
        #[test]
        fn two_nodes_that_dial_each_other_keep_the_same_connection(
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
