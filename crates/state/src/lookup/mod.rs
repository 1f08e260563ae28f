//! Lookup of networks by address, which every connection waits for: readers take no
//! lock, allocate nothing and never wait for a writer.
//!
//! - [`filter`]: a hint that is done with most addresses;
//! - [`table`]: one hash table of atomic words;
//! - [`family`]: addresses and prefixes of IPv4 or of IPv6;
//! - here: both families under both rules, and how a table that is full, or a whole
//!   batch, takes the place of what was there in one step.
//!
//! It knows which network matches and until when; why is asked elsewhere.

mod address;
mod family;
mod filter;
mod table;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use mailmesh_events::{Block, Network, NetworkChange, Rule, UnixMillis};

use crate::planted::{Fault, planted};
use address::Address;
use family::Family;
use filter::{Filter, Near};
use table::NEVER;

/// A network as lookups know it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listing {
    rule: Rule,
    network: Network,
    /// `None`: it is not listed.
    end: Option<u64>,
}

impl Listing {
    pub(crate) fn new(rule: Rule, network: Network, block: Option<&Block>) -> Self {
        let end = block.map(|block| block.expires.map_or(NEVER, |at| at.0));
        Self { rule, network, end }
    }

    pub(crate) fn of(change: &NetworkChange) -> Self {
        Self::new(change.rule, change.network, change.block.as_deref())
    }

    fn is_single(&self) -> bool {
        self.network.prefix_len() == if self.is_v4() { 32 } else { 128 }
    }

    fn is_v4(&self) -> bool {
        self.network.address().is_ipv4()
    }
}

/// Both families under one rule.
#[derive(Debug, Clone)]
struct Ruled {
    v4: Arc<Family<u32>>,
    v6: Arc<Family<u128>>,
}

/// What readers see at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    blocked: Ruled,
    allowed: Ruled,
}

/// The networks of both rules. One writer at a time: its lock is the caller's.
///
/// **Invariant**: what is blocked in `current` is marked in the filters, always.
#[derive(Debug)]
pub(crate) struct Lookup {
    /// Of what is blocked.
    v4: Filter<u32>,
    v6: Filter<u128>,
    /// Many networks are marked that are not shown yet.
    is_preparing: AtomicBool,
    current: ArcSwap<Snapshot>,
}

impl Default for Lookup {
    fn default() -> Self {
        let ruled = || Ruled { v4: Arc::new(Family::empty()), v6: Arc::new(Family::empty()) };
        let empty = Snapshot { blocked: ruled(), allowed: ruled() };
        Self {
            v4: Filter::empty(),
            v6: Filter::empty(),
            is_preparing: AtomicBool::new(false),
            current: ArcSwap::from_pointee(empty),
        }
    }
}

/// What is said of an address of which no filter was asked.
const PERHAPS: Near = Near { address: true, prefix: true };

impl Lookup {
    /// Puts one network in, or takes it out.
    pub(crate) fn set(&self, change: &NetworkChange, now: UnixMillis) {
        let listing = Listing::of(change);
        if listing.end.is_none() {
            return self.remove(change.rule, change.network);
        }
        self.mark(change.rule, change.network);
        let current = self.current.load();
        if current.of(change.rule).is_crowded_for(change.network, now) {
            let mut next = Snapshot::clone(&current);
            next.set(listing, now);
            self.show(next);
        } else {
            current.of(change.rule).set(&listing);
        }
    }

    /// Takes one network out.
    pub(crate) fn remove(&self, rule: Rule, network: Network) {
        if !planted(Fault::RemovalStillListed) {
            self.current.load().of(rule).set(&Listing::new(rule, network, None));
        }
        match network.address() {
            _ if rule == Rule::Allow => {}
            IpAddr::V4(_) => self.v4.unmark_later(),
            IpAddr::V6(_) => self.v6.unmark_later(),
        }
    }

    fn mark(&self, rule: Rule, network: Network) {
        let len = network.prefix_len();
        match network.address() {
            _ if rule == Rule::Allow => {}
            IpAddr::V4(address) => self.v4.mark(address.into(), len),
            IpAddr::V6(address) => self.v6.mark(address.into(), len),
        }
    }

    /// Before [`with_all`](Self::with_all), while nobody else writes.
    pub(crate) fn prepare(&self) {
        self.is_preparing.store(true, Ordering::Relaxed);
    }

    /// What is to be shown, with many networks put in or taken out. Costs a copy of what
    /// is there. Others may change what is there meanwhile: that is in the copy, or not.
    pub(crate) fn with_all(&self, listings: &[Listing], now: UnixMillis) -> Snapshot {
        for listing in listings.iter().filter(|listing| listing.end.is_some()) {
            self.mark(listing.rule, listing.network);
        }
        let mut next = Snapshot::clone(&self.current.load());
        for rule in [Rule::Block, Rule::Allow] {
            for is_v4 in [true, false] {
                let of_these =
                    |listing: &&Listing| listing.rule == rule && listing.is_v4() == is_v4;
                let these = listings.iter().filter(of_these);
                let singles = these.clone().filter(|listing| listing.is_single()).count();
                let prefixes = these.clone().count() - singles;
                if singles + prefixes > 0 {
                    next.of_mut(rule).make_room(is_v4, (singles, prefixes), now);
                    these.for_each(|listing| next.of(rule).set(listing));
                }
            }
        }
        next
    }

    /// Shows what [`with_all`](Self::with_all) prepared, in one step: a reader sees all of it or
    /// nothing. What was put in since is to be put into it first.
    pub(crate) fn show_all(&self, next: Snapshot) {
        self.is_preparing.store(false, Ordering::Relaxed);
        self.show(next);
    }

    /// Shows tables of which everything is marked.
    fn show(&self, next: Snapshot) {
        let (v4, v6) = (next.blocked.v4.clone(), next.blocked.v6.clone());
        self.current.store(Arc::new(next));
        // What is being prepared is marked, and in no table yet.
        if !self.is_preparing.load(Ordering::Relaxed) {
            clean(&self.v4, &v4);
            clean(&self.v6, &v6);
        }
    }

    /// Whether connections from an address are refused.
    #[inline]
    pub(crate) fn is_blocked(&self, address: IpAddr, now: UnixMillis) -> bool {
        let address = address.to_canonical();
        let near = self.near(address);
        (near.address || near.prefix) && self.search(address, near, now)
    }

    #[inline]
    fn near(&self, address: IpAddr) -> Near {
        match address {
            IpAddr::V4(address) => self.v4.near(address.into()),
            IpAddr::V6(address) => self.v6.near(address.into()),
        }
    }

    fn search(&self, address: IpAddr, near: Near, now: UnixMillis) -> bool {
        let current = self.current.load();
        current.blocked.longest(address, near, now, |_| true).is_some()
            && !address.is_loopback()
            && current.allowed.longest(address, PERHAPS, now, |_| true).is_none()
    }

    /// The network that decides about an address, and how, of those that `is_live`: tables
    /// do not tell ends that are far away.
    pub(crate) fn decisive(
        &self,
        address: IpAddr,
        now: UnixMillis,
        is_live: impl Fn(Rule, Network) -> bool,
    ) -> Option<(Rule, Network)> {
        let address = address.to_canonical();
        if address.is_loopback() {
            return None;
        }
        let current = self.current.load();
        let near = [(Rule::Allow, PERHAPS), (Rule::Block, self.near(address))];
        near.into_iter().find_map(|(rule, near)| {
            let network = |len| Network::new(address, len).ok();
            let is_live = |len| network(len).is_some_and(|network| is_live(rule, network));
            let len = current.of(rule).longest(address, near, now, is_live)?;
            Some((rule, network(len)?))
        })
    }

    /// Bytes of the tables.
    pub(crate) fn bytes(&self) -> usize {
        let current = self.current.load();
        let of = |ruled: &Ruled| ruled.v4.size() + ruled.v6.size();
        of(&current.blocked) + of(&current.allowed) + self.v4.size() + self.v6.size()
    }
}

/// Takes marks of what went out of a filter, once they are many.
fn clean<A: Address>(filter: &Filter<A>, family: &Family<A>) {
    if filter.says_too_much() {
        filter.keep_only(filter.marks_of(family.iter()));
    }
}

impl Snapshot {
    /// Puts one network in, or takes it out. Nobody is shown these tables yet.
    pub(crate) fn set(&mut self, listing: Listing, now: UnixMillis) {
        if listing.end.is_some() && self.of(listing.rule).is_crowded_for(listing.network, now) {
            let single = usize::from(listing.is_single());
            self.of_mut(listing.rule).make_room(listing.is_v4(), (single, 1 - single), now);
        }
        self.of(listing.rule).set(&listing);
    }

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
    fn is_crowded_for(&self, network: Network, now: UnixMillis) -> bool {
        if network.address().is_ipv4() {
            self.v4.is_crowded(now.0)
        } else {
            self.v6.is_crowded(now.0)
        }
    }

    /// Builds a family anew, with room for so many more addresses and prefixes and none of
    /// what went.
    fn make_room(&mut self, is_v4: bool, (singles, prefixes): (usize, usize), now: UnixMillis) {
        if is_v4 {
            self.v4 = Arc::new(self.v4.rebuilt(singles, prefixes, now.0));
        } else {
            self.v6 = Arc::new(self.v6.rebuilt(singles, prefixes, now.0));
        }
    }

    fn set(&self, listing: &Listing) {
        let len = listing.network.prefix_len();
        match (listing.network.address(), listing.end) {
            (IpAddr::V4(address), Some(end)) => self.v4.set(address.into(), len, end),
            (IpAddr::V4(address), None) => self.v4.remove(address.into(), len),
            (IpAddr::V6(address), Some(end)) => self.v6.set(address.into(), len, end),
            (IpAddr::V6(address), None) => self.v6.remove(address.into(), len),
        }
    }

    #[inline]
    fn longest(
        &self,
        address: IpAddr,
        near: Near,
        now: UnixMillis,
        is_live: impl Fn(u8) -> bool,
    ) -> Option<u8> {
        match address {
            IpAddr::V4(address) => self.v4.longest(address.into(), near, now.0, is_live),
            IpAddr::V6(address) => self.v6.longest(address.into(), near, now.0, is_live),
        }
    }
}
