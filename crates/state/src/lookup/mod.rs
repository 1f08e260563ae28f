//! Lookup of networks by address, which delays every connection. Readers take no lock, allocate
//! nothing and never wait for a writer.
//!
//! - [`filter`]: a Bloom filter that decides most lookups;
//! - [`table`]: a hash table of atomic words;
//! - [`family`]: addresses and prefixes of IPv4 or of IPv6;
//! - here: both families under both rules, and how a rebuilt table, or a whole batch, replaces the
//!   current tables in one step.
//!
//! The tables know which network matches and until when. Its reason and origin are in
//! [`entries`](crate::entries).

mod address;
mod family;
mod filter;
mod table;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use mailmesh_events::{Network, NetworkChange, Rule, RuleDetails, UnixMillis};

use crate::planted::{Fault, planted};
use address::Address;
use family::Family;
use filter::{Candidates, Filter};
use table::NO_EXPIRY;

/// A network as the lookup tables store it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LookupEntry {
    rule: Rule,
    network: Network,
    /// Milliseconds of Unix time, or [`NO_EXPIRY`]; `None` if the network is not listed.
    end: Option<u64>,
}

impl LookupEntry {
    pub(crate) fn new(rule: Rule, network: Network, details: Option<&RuleDetails>) -> Self {
        let end = details.map(|details| details.expires.map_or(NO_EXPIRY, |at| at.0));
        Self { rule, network, end }
    }

    pub(crate) fn of(change: &NetworkChange) -> Self {
        Self::new(change.rule, change.network, change.details.as_deref())
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
struct RuleTables {
    v4: Arc<Family<u32>>,
    v6: Arc<Family<u128>>,
}

/// The tables that readers see at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Tables {
    blocked: RuleTables,
    allowed: RuleTables,
}

/// The networks of both rules. The caller's lock admits one writer at a time.
///
/// **Invariant**: every blocked network in `current` is marked in the filters.
#[derive(Debug)]
pub(crate) struct Lookup {
    /// Filters of the blocked networks.
    v4: Filter<u32>,
    v6: Filter<u128>,
    /// The networks of a batch may be marked already, but are not in `current` yet.
    is_batch_open: AtomicBool,
    current: ArcSwap<Tables>,
}

impl Default for Lookup {
    fn default() -> Self {
        let tables = || RuleTables { v4: Arc::new(Family::empty()), v6: Arc::new(Family::empty()) };
        let empty = Tables { blocked: tables(), allowed: tables() };
        Self {
            v4: Filter::empty(),
            v6: Filter::empty(),
            is_batch_open: AtomicBool::new(false),
            current: ArcSwap::from_pointee(empty),
        }
    }
}

/// The answer used where no filter is queried.
const UNFILTERED: Candidates = Candidates { address: true, prefix: true };

impl Lookup {
    /// Inserts or removes one network.
    pub(crate) fn set(&self, change: &NetworkChange, now: UnixMillis) {
        let entry = LookupEntry::of(change);
        if entry.end.is_none() {
            return self.remove(change.rule, change.network);
        }
        self.mark(change.rule, change.network);
        let current = self.current.load();
        if current.of(change.rule).needs_rebuild_for(change.network, now) {
            let mut next = Tables::clone(&current);
            next.set(entry, now);
            self.publish(next);
        } else {
            current.of(change.rule).set(&entry);
        }
    }

    /// Removes one network.
    pub(crate) fn remove(&self, rule: Rule, network: Network) {
        if !planted(Fault::RemovalStillListed) {
            self.current.load().of(rule).set(&LookupEntry::new(rule, network, None));
        }
        match network.address() {
            _ if rule == Rule::Allow => {}
            IpAddr::V4(_) => self.v4.note_removal(),
            IpAddr::V6(_) => self.v6.note_removal(),
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

    /// Begins a batch. The caller holds the writer's lock.
    pub(crate) fn begin_batch(&self) {
        self.is_batch_open.store(true, Ordering::Relaxed);
    }

    /// A copy of the current tables with many networks inserted or removed. Other writers may
    /// change the current tables meanwhile; the copy may or may not include such a change.
    pub(crate) fn build_batch(&self, entries: &[LookupEntry], now: UnixMillis) -> Tables {
        for entry in entries.iter().filter(|entry| entry.end.is_some()) {
            self.mark(entry.rule, entry.network);
        }
        let mut next = Tables::clone(&self.current.load());
        for rule in [Rule::Block, Rule::Allow] {
            for is_v4 in [true, false] {
                let of_these = |entry: &&LookupEntry| entry.rule == rule && entry.is_v4() == is_v4;
                let these = entries.iter().filter(of_these);
                let singles = these.clone().filter(|entry| entry.is_single()).count();
                let prefixes = these.clone().count() - singles;
                if singles + prefixes > 0 {
                    next.of_mut(rule).rebuild(is_v4, (singles, prefixes), now);
                    these.for_each(|entry| next.of(rule).set(entry));
                }
            }
        }
        next
    }

    /// Publishes the tables that [`build_batch`](Self::build_batch) made, in one step: a reader
    /// sees all of them or none. The caller has repeated the changes of other writers in them.
    pub(crate) fn publish_batch(&self, next: Tables) {
        self.is_batch_open.store(false, Ordering::Relaxed);
        self.publish(next);
    }

    /// Publishes tables whose blocked networks are all marked.
    fn publish(&self, next: Tables) {
        let (v4, v6) = (next.blocked.v4.clone(), next.blocked.v6.clone());
        self.current.store(Arc::new(next));
        // The marks of an open batch are in no table yet, so a rebuild would lose them.
        if !self.is_batch_open.load(Ordering::Relaxed) {
            rebuild_if_stale(&self.v4, &v4);
            rebuild_if_stale(&self.v6, &v6);
        }
    }

    /// Whether to refuse connections from an address.
    #[inline]
    pub(crate) fn is_blocked(&self, address: IpAddr, now: UnixMillis) -> bool {
        let address = address.to_canonical();
        let candidates = self.candidates(address);
        (candidates.address || candidates.prefix) && self.search(address, candidates, now)
    }

    #[inline]
    fn candidates(&self, address: IpAddr) -> Candidates {
        match address {
            IpAddr::V4(address) => self.v4.candidates(address.into()),
            IpAddr::V6(address) => self.v6.candidates(address.into()),
        }
    }

    fn search(&self, address: IpAddr, candidates: Candidates, now: UnixMillis) -> bool {
        let current = self.current.load();
        current.blocked.longest_match(address, candidates, now, |_| true).is_some()
            && !address.is_loopback()
            && current.allowed.longest_match(address, UNFILTERED, now, |_| true).is_none()
    }

    /// The rule and network that decide about an address, among those that satisfy `is_live`, since
    /// the tables cannot represent ends that are far away.
    pub(crate) fn deciding_network(
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
        let candidates = [(Rule::Allow, UNFILTERED), (Rule::Block, self.candidates(address))];
        candidates.into_iter().find_map(|(rule, candidates)| {
            let network = |len| Network::new(address, len).ok();
            let is_live = |len| network(len).is_some_and(|network| is_live(rule, network));
            let len = current.of(rule).longest_match(address, candidates, now, is_live)?;
            Some((rule, network(len)?))
        })
    }

    /// Size of tables and filters, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let current = self.current.load();
        let of = |tables: &RuleTables| tables.v4.size() + tables.v6.size();
        of(&current.blocked) + of(&current.allowed) + self.v4.size() + self.v6.size()
    }
}

/// Removes the marks of removed networks from a filter, once there are many.
fn rebuild_if_stale<A: Address>(filter: &Filter<A>, family: &Family<A>) {
    if filter.is_stale() {
        filter.replace_marks(filter.marks_of(family.iter()));
    }
}

impl Tables {
    /// Inserts or removes one network in tables that are not published yet.
    pub(crate) fn set(&mut self, entry: LookupEntry, now: UnixMillis) {
        if entry.end.is_some() && self.of(entry.rule).needs_rebuild_for(entry.network, now) {
            let single = usize::from(entry.is_single());
            self.of_mut(entry.rule).rebuild(entry.is_v4(), (single, 1 - single), now);
        }
        self.of(entry.rule).set(&entry);
    }

    fn of(&self, rule: Rule) -> &RuleTables {
        match rule {
            Rule::Block => &self.blocked,
            Rule::Allow => &self.allowed,
        }
    }

    fn of_mut(&mut self, rule: Rule) -> &mut RuleTables {
        match rule {
            Rule::Block => &mut self.blocked,
            Rule::Allow => &mut self.allowed,
        }
    }
}

impl RuleTables {
    fn needs_rebuild_for(&self, network: Network, now: UnixMillis) -> bool {
        if network.address().is_ipv4() {
            self.v4.needs_rebuild(now.0)
        } else {
            self.v6.needs_rebuild(now.0)
        }
    }

    /// Rebuilds a family with room for this many more addresses and prefixes.
    fn rebuild(&mut self, is_v4: bool, (singles, prefixes): (usize, usize), now: UnixMillis) {
        if is_v4 {
            self.v4 = Arc::new(self.v4.rebuilt(singles, prefixes, now.0));
        } else {
            self.v6 = Arc::new(self.v6.rebuilt(singles, prefixes, now.0));
        }
    }

    fn set(&self, entry: &LookupEntry) {
        let len = entry.network.prefix_len();
        match (entry.network.address(), entry.end) {
            (IpAddr::V4(address), Some(end)) => self.v4.set(address.into(), len, end),
            (IpAddr::V4(address), None) => self.v4.remove(address.into(), len),
            (IpAddr::V6(address), Some(end)) => self.v6.set(address.into(), len, end),
            (IpAddr::V6(address), None) => self.v6.remove(address.into(), len),
        }
    }

    #[inline]
    fn longest_match(
        &self,
        address: IpAddr,
        candidates: Candidates,
        now: UnixMillis,
        is_live: impl Fn(u8) -> bool,
    ) -> Option<u8> {
        match address {
            IpAddr::V4(address) => {
                self.v4.longest_match(address.into(), candidates, now.0, is_live)
            }
            IpAddr::V6(address) => {
                self.v6.longest_match(address.into(), candidates, now.0, is_live)
            }
        }
    }
}
