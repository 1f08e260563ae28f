//! An entry in 48 bytes, and the pool of values that rows share.

use std::cmp::Ordering;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use mailmesh_events::{
    Change, ChangeKey, Network, NetworkChange, NodeId, Rule, RuleDetails, Stamp, UnixMillis,
};
use slab::Slab;

use super::interned::Interned;
use crate::planted::{Fault, planted};
use crate::version::{Content, ContentHash, Version};

/// The end of a row that never ends.
pub(super) const NO_END: u64 = u64::MAX;

/// Kinds: an IPv4 network, an IPv6 network, anything else.
const V4: u8 = 0;
const V6: u8 = 1;
const NON_NETWORK: u8 = 2;
const KIND_MASK: u8 = 3;
/// The network is allowed, not blocked.
const ALLOW: u8 = 1 << 2;
/// The row is an entry, not a tombstone.
const ENTRY: u8 = 1 << 3;
/// The entry replaced another one.
const REPLACED: u8 = 1 << 4;
/// The entry has an expiry.
const EXPIRES: u8 = 1 << 5;
/// The entry has expired and is retained, so that the entry it replaced does not come back.
const EXPIRED: u8 = 1 << 6;

/// An entry, with references into its [`Pool`].
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Row {
    /// The first half of the entry's id.
    pub(super) id: u64,
    /// Milliseconds of Unix time at which the entry expires, a tombstone or retained entry is
    /// dropped, or the next expiry warning of a certificate is due.
    pub(super) end: u64,
    /// The clock part of the stamp.
    time: u64,
    /// When the network was blocked, in milliseconds of Unix time.
    added: u64,
    /// Reference to the node of the stamp.
    node: u32,
    /// Reference to the reason and origin of a rule.
    text: u32,
    /// The IPv4 address, or a reference to the IPv6 address or the non-network entry.
    subject: u32,
    /// Length of the network's prefix.
    len: u8,
    flags: u8,
}

impl Row {
    pub(super) fn with_end(self, end: u64) -> Self {
        Self { end, ..self }
    }

    pub(super) fn is_network(&self) -> bool {
        self.flags & KIND_MASK != NON_NETWORK
    }

    /// Whether the row is an entry that has not expired.
    pub(super) fn is_live(&self) -> bool {
        self.flags & (ENTRY | EXPIRED) == ENTRY
    }

    /// The row as expired at its `end`, to be retained for `retention` after that.
    pub(super) fn expired(self, retention: Duration) -> Self {
        let end = UnixMillis(self.end).plus(retention).0;
        Self { flags: self.flags | EXPIRED, end, ..self }
    }

    pub(super) fn is_expired(&self) -> bool {
        self.flags & EXPIRED != 0
    }

    /// Undoes [`expired`](Self::expired) with the same `retention`.
    pub(super) fn unexpired(self, retention: Duration) -> Self {
        let end = self.end.saturating_sub(UnixMillis(0).plus(retention).0);
        Self { flags: self.flags & !EXPIRED, end, ..self }
    }

    /// Whether the entry replaced another one. If so, it is retained after its expiry, or a node
    /// that missed it would bring the other entry back.
    pub(super) fn has_replaced(&self) -> bool {
        self.flags & REPLACED != 0
    }
}

/// Values that rows refer to by number.
#[derive(Debug)]
pub(super) struct Pool {
    /// Reasons and origins, stored as details without times.
    texts: Interned<RuleDetails, ContentHash>,
    nodes: Interned<NodeId>,
    addresses: Slab<[u64; 2]>,
    non_networks: Slab<(Change, ContentHash)>,
    /// How long expired entries are retained, in milliseconds.
    retention_ms: u64,
}

impl Pool {
    pub(super) fn new(retention: Duration) -> Self {
        Self {
            retention_ms: UnixMillis(0).plus(retention).0,
            texts: Interned::new(),
            nodes: Interned::new(),
            addresses: Slab::new(),
            non_networks: Slab::new(),
        }
    }

    /// Makes a row of an entry and acquires its references.
    pub(super) fn pack(&mut self, id: u64, change: &Change, replaced: bool, end: u64) -> Row {
        let stamp = change.stamp();
        let mut row = Row {
            id,
            end,
            time: stamp.time(),
            node: self.nodes.acquire(stamp.node()),
            flags: if change.is_live() { ENTRY } else { 0 },
            ..Row::default()
        };
        if replaced {
            row.flags |= REPLACED;
        }
        let Change::Network(NetworkChange { rule, network, details, .. }) = change else {
            row.flags |= NON_NETWORK;
            let hash = ContentHash::of_other(change);
            row.subject = self.non_networks.insert((change.clone(), hash)) as u32;
            return row;
        };
        if *rule == Rule::Allow {
            row.flags |= ALLOW;
        }
        row.len = network.prefix_len();
        match network.address() {
            IpAddr::V4(v4) => row.subject = v4.into(),
            IpAddr::V6(v6) => {
                row.flags |= V6;
                row.subject = self.addresses.insert(halves(v6)) as u32;
            }
        }
        if let Some(details) = details {
            row.added = details.added.0;
            if details.expires.is_some() {
                row.flags |= EXPIRES;
            }
            let mut text = RuleDetails::clone(details);
            (text.added, text.expires) = (UnixMillis(0), None);
            row.text = self.texts.acquire_with(text, ContentHash::of_text);
        }
        row
    }

    /// Releases the references of a row.
    pub(super) fn release(&mut self, row: &Row) {
        self.nodes.release(row.node);
        match row.flags & KIND_MASK {
            NON_NETWORK => drop(self.non_networks.try_remove(row.subject as usize)),
            V6 => drop(self.addresses.try_remove(row.subject as usize)),
            _ => {}
        }
        if row.is_network() && row.flags & ENTRY != 0 {
            self.texts.release(row.text);
        }
    }

    pub(super) fn stamp(&self, row: &Row) -> Stamp {
        Stamp::from_raw(row.time, *self.nodes.get(row.node))
    }

    /// The change of a row that is not a network.
    pub(super) fn non_network(&self, row: &Row) -> Option<&Change> {
        self.hashed(row).map(|(change, _)| change)
    }

    fn hashed(&self, row: &Row) -> Option<&(Change, ContentHash)> {
        if row.is_network() { None } else { self.non_networks.get(row.subject as usize) }
    }

    /// The version of an entry, also of an expired one.
    pub(super) fn version(&self, row: &Row) -> Version {
        let content = match self.hashed(row) {
            _ if row.flags & ENTRY == 0 => Content::Removed,
            Some((_, hash)) => Content::Other(*hash),
            None => Content::Network {
                text: if planted(Fault::ContentNotHashed) {
                    ContentHash::default()
                } else {
                    *self.texts.derived(row.text)
                },
                added: UnixMillis(row.added),
                expires: self.expires(row),
            },
        };
        Version { stamp: self.stamp(row), content }
    }

    fn expires(&self, row: &Row) -> Option<UnixMillis> {
        let end = if row.flags & EXPIRED == 0 { row.end } else { row.end - self.retention_ms };
        (row.flags & EXPIRES != 0).then_some(UnixMillis(end))
    }

    pub(super) fn change(&self, row: &Row) -> Change {
        if let Some(change) = self.non_network(row) {
            return change.clone();
        }
        let (rule, network) = self.network(row);
        let details = self.details(row).map(Arc::new);
        Change::Network(NetworkChange::new(rule, network, self.stamp(row), details))
    }

    pub(super) fn key(&self, row: &Row) -> ChangeKey {
        self.non_network(row).map_or_else(
            || {
                let (rule, network) = self.network(row);
                ChangeKey::Network { rule, network }
            },
            Change::key,
        )
    }

    /// The details of a network's entry, also of an expired one.
    pub(super) fn details(&self, row: &Row) -> Option<RuleDetails> {
        let is_network_entry = row.is_network() && row.flags & ENTRY != 0;
        is_network_entry.then(|| {
            let mut details = self.texts.get(row.text).clone();
            details.added = UnixMillis(row.added);
            details.expires = self.expires(row);
            details
        })
    }

    /// Compares the key of a row with another key of the same 64-bit id.
    pub(super) fn compare_key(&self, row: &Row, key: &ChangeKey) -> Ordering {
        if let ChangeKey::Network { rule, network } = key
            && row.is_network()
            && (*rule, *network) == self.network(row)
        {
            return Ordering::Equal;
        }
        // Two keys with the same 64 bits: in practice only a member that searches for them.
        self.key(row).cmp(key)
    }

    pub(super) fn network(&self, row: &Row) -> (Rule, Network) {
        let rule = if row.flags & ALLOW != 0 { Rule::Allow } else { Rule::Block };
        let address: IpAddr = match row.flags & KIND_MASK {
            V4 => Ipv4Addr::from(row.subject).into(),
            _ => {
                let [high, low] =
                    self.addresses.get(row.subject as usize).copied().unwrap_or_default();
                Ipv6Addr::from(u128::from(high) << 64 | u128::from(low)).into()
            }
        };
        // Infallible: the row was made from a network.
        let network = Network::new(address, row.len);
        (rule, network.unwrap_or_else(|_| Network::single(address)))
    }
}

fn halves(address: Ipv6Addr) -> [u64; 2] {
    let bits = u128::from(address);
    [(bits >> 64) as u64, bits as u64]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_48_bytes() {
        assert_eq!(size_of::<Row>(), 48);
    }
}
