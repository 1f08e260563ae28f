//! Changes whose stamps are ahead of the time.

use std::collections::{BTreeSet, HashMap};

use mailmesh_events::{Change, ChangeKey, Stamp, UnixMillis};

/// Most changes held back: more would be offered again by reconciliation.
const MOST: usize = 64 * 1024;
/// Most bytes of these, about.
const BYTES: usize = 32 << 20;

/// Of each key the latest change, until it is due.
#[derive(Debug, Default)]
pub(crate) struct Held {
    changes: HashMap<ChangeKey, Change>,
    /// So that they are taken in the order of their stamps.
    order: BTreeSet<(Stamp, ChangeKey)>,
    bytes: usize,
}

impl Held {
    /// Holds a change back; `false` if there is no room.
    pub(crate) fn hold(&mut self, change: Change) -> bool {
        let (key, stamp) = (change.key(), change.stamp());
        match self.changes.get(&key) {
            Some(held) if held.stamp() >= stamp => return true,
            Some(held) => {
                self.bytes -= held.size_estimate();
                self.order.remove(&(held.stamp(), key.clone()));
                self.changes.remove(&key);
            }
            None => {}
        }
        if self.changes.len() >= MOST || self.bytes + change.size_estimate() > BYTES {
            return false;
        }
        self.bytes += change.size_estimate();
        self.order.insert((stamp, key.clone()));
        self.changes.insert(key, change);
        true
    }

    /// Those that are stamped with this time or before.
    pub(crate) fn take_due(&mut self, until: UnixMillis) -> Vec<Change> {
        let mut due = Vec::new();
        while let Some((stamp, _)) = self.order.first()
            && stamp.physical() <= until
            && let Some((_, key)) = self.order.pop_first()
        {
            due.extend(self.changes.remove(&key));
        }
        self.bytes -= due.iter().map(Change::size_estimate).sum::<usize>();
        due
    }
}

#[cfg(test)]
mod tests {
    use mailmesh_events::{Network, NetworkChange, NodeId, Rule};

    use super::*;

    fn change(n: u8, at: u64) -> Change {
        let network = Network::single([192, 0, 2, n].into());
        let stamp = Stamp::new(UnixMillis(at), 0, NodeId(1));
        Change::Network(NetworkChange { rule: Rule::Block, network, stamp, block: None })
    }

    #[test]
    fn of_each_key_the_latest_is_held_until_it_is_due() {
        let mut held = Held::default();
        for (n, at) in [(1, 30), (2, 10), (1, 20), (3, 10), (2, 40), (1, 50)] {
            assert!(held.hold(change(n, at)));
        }
        assert_eq!(held.take_due(UnixMillis(9)), []);
        assert_eq!(held.take_due(UnixMillis(40)), [change(3, 10), change(2, 40)]);
        assert_eq!(held.take_due(UnixMillis(50)), [change(1, 50)]);
        assert!(held.order.is_empty() && held.changes.is_empty());
    }
}
