//! Lookup of networks by address, which every connection waits for: readers take no
//! lock, allocate nothing and never wait for a writer.
//!
//! - [`table`]: one hash table of atomic words;
//! - [`family`]: addresses, prefixes and the coarse filter of IPv4 or of IPv6;
//! - here: both families under both rules, and how a table that is full, or a whole
//!   batch, takes the place of what was there in one step.
//!
//! It knows which network matches and until when; why is asked elsewhere.

mod address;
mod family;
mod table;

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use mailmesh_events::{Network, NetworkChange, Rule, UnixMillis};

use family::Family;

/// Both families under one rule.
#[derive(Debug, Clone)]
struct Ruled {
    v4: Arc<Family<u32>>,
    v6: Arc<Family<u128>>,
}

/// What readers see at one moment.
#[derive(Debug, Clone)]
struct Snapshot {
    blocked: Ruled,
    allowed: Ruled,
}

/// The networks of both rules. One writer at a time: its lock is the caller's.
#[derive(Debug)]
pub(crate) struct Lookup {
    current: ArcSwap<Snapshot>,
}

impl Default for Lookup {
    fn default() -> Self {
        let ruled = || Ruled { v4: Arc::new(Family::empty()), v6: Arc::new(Family::empty()) };
        Self { current: ArcSwap::from_pointee(Snapshot { blocked: ruled(), allowed: ruled() }) }
    }
}

impl Lookup {
    /// Puts one network in, or takes it out.
    pub(crate) fn set(&self, change: &NetworkChange) {
        let until = change.block.as_ref().map(|block| until(block.expires));
        let current = self.current.load();
        if until.is_none() || !current.of(change.rule).is_crowded_for(change.network) {
            return current.of(change.rule).set(change.network, until);
        }
        let mut next = Snapshot::clone(&current);
        next.of_mut(change.rule).make_room(change.network, 1);
        next.of(change.rule).set(change.network, until);
        self.current.store(Arc::new(next));
    }

    /// Takes one network out.
    pub(crate) fn remove(&self, rule: Rule, network: Network) {
        self.current.load().of(rule).set(network, None);
    }

    /// Puts many networks in, or takes them out, in one step: a reader sees all of it or
    /// nothing. Costs a copy of what is there.
    pub(crate) fn set_all<'a>(&self, changes: impl Iterator<Item = &'a NetworkChange> + Clone) {
        let mut next = Snapshot::clone(&self.current.load());
        for rule in [Rule::Block, Rule::Allow] {
            for is_v4 in [true, false] {
                let of_these = |change: &&NetworkChange| {
                    change.rule == rule && change.network.address().is_ipv4() == is_v4
                };
                let changes = changes.clone().filter(of_these);
                let count = changes.clone().count();
                let Some(one) = changes.clone().next() else { continue };
                next.of_mut(rule).make_room(one.network, count);
                for change in changes {
                    let until = change.block.as_ref().map(|block| until(block.expires));
                    next.of(rule).set(change.network, until);
                }
            }
        }
        self.current.store(Arc::new(next));
    }

    /// Whether connections from an address are refused.
    #[inline]
    pub(crate) fn is_blocked(&self, address: IpAddr, now: UnixMillis) -> bool {
        let address = address.to_canonical();
        let current = self.current.load();
        current.blocked.longest(address, now).is_some()
            && !address.is_loopback()
            && current.allowed.longest(address, now).is_none()
    }

    /// The network that decides about an address, and how.
    pub(crate) fn decisive(&self, address: IpAddr, now: UnixMillis) -> Option<(Rule, Network)> {
        let address = address.to_canonical();
        if address.is_loopback() {
            return None;
        }
        let current = self.current.load();
        [Rule::Allow, Rule::Block].into_iter().find_map(|rule| {
            let len = current.of(rule).longest(address, now)?;
            Some((rule, Network::new(address, len).ok()?))
        })
    }

    /// Bytes of the tables.
    pub(crate) fn bytes(&self) -> usize {
        let current = self.current.load();
        let of = |ruled: &Ruled| ruled.v4.size() + ruled.v6.size();
        of(&current.blocked) + of(&current.allowed)
    }
}

impl Snapshot {
    fn of(&self, rule: Rule) -> &Ruled {
        match rule {
            Rule::Block => &self.blocked,
            Rule::Allow => &self.allowed,
        }
    }

    fn of_mut(&mut self, rule: Rule) -> &mut Ruled {
        match rule {
            Rule::Block => &mut self.blocked,
            Rule::Allow => &mut self.allowed,
        }
    }
}

impl Ruled {
    fn is_crowded_for(&self, network: Network) -> bool {
        if network.address().is_ipv4() { self.v4.is_crowded() } else { self.v6.is_crowded() }
    }

    /// Builds the family of `network` anew, with room for `more` and none of what went.
    fn make_room(&mut self, network: Network, more: usize) {
        if network.address().is_ipv4() {
            self.v4 = Arc::new(self.v4.rebuilt(more));
        } else {
            self.v6 = Arc::new(self.v6.rebuilt(more));
        }
    }

    fn set(&self, network: Network, until: Option<u64>) {
        let len = network.prefix_len();
        match (network.address(), until) {
            (IpAddr::V4(address), Some(until)) => self.v4.set(address.into(), len, until),
            (IpAddr::V4(address), None) => self.v4.remove(address.into(), len),
            (IpAddr::V6(address), Some(until)) => self.v6.set(address.into(), len, until),
            (IpAddr::V6(address), None) => self.v6.remove(address.into(), len),
        }
    }

    #[inline]
    fn longest(&self, address: IpAddr, now: UnixMillis) -> Option<u8> {
        match address {
            IpAddr::V4(address) => self.v4.longest(address.into(), now.0),
            IpAddr::V6(address) => self.v6.longest(address.into(), now.0),
        }
    }
}

/// An end as the tables keep it.
fn until(expires: Option<UnixMillis>) -> u64 {
    expires.map_or(u64::MAX, |expires| expires.0)
}
