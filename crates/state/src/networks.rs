//! Lookup of networks by address: exact map first, then prefixes from the longest
//! present to the shortest. Readers never wait for reconciliation; they share a
//! shard of the map with a writer at most for one insertion.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use mailmesh_events::{Block, Network, NetworkChange, Rule, UnixMillis};

/// A network in the mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkEntry {
    /// The network.
    pub network: Network,
    /// Why, by whom, since when, until when.
    pub block: Arc<Block>,
}

/// What the mirror says of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Nothing.
    Clear,
    /// It is let in, whatever blocks say.
    Allowed(NetworkEntry),
    /// It is blocked.
    Blocked(NetworkEntry),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clear => f.write_str("not blocked"),
            Self::Allowed(entry) => write!(f, "allowed by {}: {}", entry.network, entry.block),
            Self::Blocked(entry) => write!(f, "blocked by {}: {}", entry.network, entry.block),
        }
    }
}

/// The networks of one rule.
#[derive(Debug, Default)]
struct Table {
    map: DashMap<Network, Arc<Block>>,
    v4: Lengths,
    v6: Lengths,
}

/// Which prefix lengths are present. A length stays once seen: at worst a lookup
/// asks the map once more.
#[derive(Debug, Default)]
struct Lengths([AtomicU64; 3]);

impl Lengths {
    fn add(&self, len: u8) {
        self.0[usize::from(len / 64)].fetch_or(1 << (len % 64), Ordering::Release);
    }

    /// The lengths present, longest first.
    fn descending(&self) -> impl Iterator<Item = u8> {
        (0..3_u8).rev().flat_map(|word| {
            let mut bits = self.0[usize::from(word)].load(Ordering::Acquire);
            std::iter::from_fn(move || {
                let top = 63_u8.checked_sub(bits.leading_zeros() as u8)?;
                bits &= !(1 << top);
                Some(word * 64 + top)
            })
        })
    }
}

impl Table {
    fn set(&self, network: Network, block: Option<Arc<Block>>) {
        match block {
            Some(block) => {
                let lengths = if network.address().is_ipv4() { &self.v4 } else { &self.v6 };
                lengths.add(network.prefix_len());
                self.map.insert(network, block);
            }
            None => {
                self.map.remove(&network);
            }
        }
    }

    /// What `f` makes of the longest live match.
    fn longest<R>(
        &self,
        address: IpAddr,
        now: UnixMillis,
        f: impl Fn(&Network, &Arc<Block>) -> R,
    ) -> Option<R> {
        if self.map.is_empty() {
            return None;
        }
        let lengths = if address.is_ipv4() { &self.v4 } else { &self.v6 };
        lengths.descending().find_map(|len| {
            let network = Network::new(address, len).ok()?;
            let found = self.map.get(&network)?;
            (!found.is_expired(now)).then(|| f(found.key(), found.value()))
        })
    }
}

#[derive(Debug, Default)]
pub(crate) struct Networks {
    blocked: Table,
    allowed: Table,
}

impl Networks {
    pub(crate) fn set(&self, change: &NetworkChange) {
        self.table(change.rule).set(change.network, change.block.clone());
    }

    pub(crate) fn remove(&self, rule: Rule, network: Network) {
        self.table(rule).set(network, None);
    }

    fn table(&self, rule: Rule) -> &Table {
        match rule {
            Rule::Block => &self.blocked,
            Rule::Allow => &self.allowed,
        }
    }

    pub(crate) fn is_blocked(&self, address: IpAddr, now: UnixMillis) -> bool {
        let address = address.to_canonical();
        !address.is_loopback()
            && self.blocked.longest(address, now, |_, _| ()).is_some()
            && self.allowed.longest(address, now, |_, _| ()).is_none()
    }

    pub(crate) fn lookup(&self, address: IpAddr, now: UnixMillis) -> Verdict {
        let address = address.to_canonical();
        let entry = |network: &Network, block: &Arc<Block>| NetworkEntry {
            network: *network,
            block: block.clone(),
        };
        if address.is_loopback() {
            return Verdict::Clear;
        }
        if let Some(entry) = self.allowed.longest(address, now, entry) {
            return Verdict::Allowed(entry);
        }
        self.blocked.longest(address, now, entry).map_or(Verdict::Clear, Verdict::Blocked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_come_longest_first() {
        let lengths = Lengths::default();
        for len in [0, 8, 24, 63, 64, 128, 32, 24] {
            lengths.add(len);
        }
        assert_eq!(lengths.descending().collect::<Vec<_>>(), [128, 64, 63, 32, 24, 8, 0]);
    }
}
