//! The replicated mirror: local changes, expiry, lookups and observers.

mod batch;
mod certificates;
mod content;
mod merge;
mod purge;
mod rekey;
mod saved;
mod values;

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use mailmesh_events::{
    Change, ChangeKey, Network, NetworkChange, NodeId, Rule, RuleDetails, Share, Stamp, UnixMillis,
};
use parking_lot::{Mutex, RwLock, RwLockWriteGuard};

use crate::certificate_index::CertificateIndex;
use crate::entries::{Bounds, Entries, ExpiryWarning, Slot, Swept};
use crate::lookup::Lookup;
use crate::observe::{Observed, Observer, Observers};
use crate::planted::{Fault, planted};
use crate::value_index::ValueIndex;
use crate::verdict::{NetworkEntry, Verdict};
use crate::{HybridClock, StateError};
pub use batch::Batch;
pub use rekey::fingerprint_key_id;
pub use saved::Saved;

/// The result of merging a change. There are only these three.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// The change is the newest of its key and was merged.
    Changed,
    /// The mirror already has this change or one that wins over it. Also: an expired entry that is
    /// past its retention.
    Stale,
    /// The mirror cannot hold the change.
    Refused(StateError),
}

/// Counters since the mirror was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct MirrorCounters {
    /// Changes of other nodes that were merged.
    pub applied: u64,
    /// Changes of other nodes that were [`Applied::Stale`].
    pub stale: u64,
    /// Changes of other nodes that were refused.
    pub refused: u64,
    /// Entries that a sweep found expired.
    pub expired: u64,
    /// Changes of other nodes that were merged although their stamp was more than 5 s ahead of the
    /// time.
    pub ahead: u64,
}

/// The replicated mirror. Every method takes `&self`. Writers hold the lock for at most some dozen
/// changes at a time. Only growing the lookup tables or publishing a batch blocks other writers for
/// longer (75 ms with a million entries). [`is_blocked`](Self::is_blocked) never waits.
pub struct Mirror {
    bounds: Bounds,
    networks: Lookup,
    certificates: CertificateIndex,
    values: ValueIndex,
    writer: RwLock<Writer>,
    /// Serializes batches, purges and rekeying.
    batch: Mutex<()>,
    observers: Observers,
    counters: [AtomicU64; 5],
}

/// Shows the size of the content and the counters. The content may be millions of entries, and the
/// keys of hashes are secret. The digest is `None` while a writer holds the lock.
impl fmt::Debug for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mirror")
            .field("digest", &self.writer.try_read().map(|it| it.entries.fingerprint().digest()))
            .field("bounds", &self.bounds)
            .field("counters", &self.counters())
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Writer {
    clock: HybridClock,
    entries: Entries,
    /// During a batch: networks that other writers changed since it began.
    journal: Option<HashSet<(Rule, Network)>>,
    /// The latest time by which entries were expired. An earlier time means that the clock was set
    /// back.
    expired_until: UnixMillis,
    /// Capacity reserved for networks that the running batch has yet to insert.
    reserved: usize,
}

/// A smaller step back of the time does not undo expiry.
const MIN_STEP_BACK: Duration = Duration::from_millis(100);
/// Maximum number of changes merged or entries swept under one write lock.
const WRITES_PER_LOCK: usize = 64;
/// A scan of the whole content reads 2 to the power of this many shares, one after the other.
const SCAN_SHARE_BITS: u8 = 10;
/// Maximum number of entries that one sweep handles, rounded up to a bucket.
const MAX_SWEPT_PER_CALL: usize = 100_000;

/// A stamp further ahead of the time than this comes from a wrong clock: the nodes of a cluster
/// differ by less once their clocks were compared.
pub(crate) const MAX_CLOCK_AHEAD: Duration = Duration::from_secs(5);
/// The year 10,000. Stamps at or after it are refused, so that every accepted stamp leaves room for
/// later ones. The bound is the same on all nodes, so that mirrors agree on which changes to
/// refuse.
const STAMP_TIME_LIMIT: UnixMillis = UnixMillis(253_402_300_800_000);
/// How long after the expiry of an entry a peer may not have swept it yet.
const EXPIRY_GRACE: Duration = Duration::from_secs(5);

const APPLIED: usize = 0;
const STALE: usize = 1;
const REFUSED: usize = 2;
const EXPIRED: usize = 3;
const AHEAD: usize = 4;

impl Writer {
    /// The stamp for a new local change of a key.
    fn stamp(&mut self, key: &ChangeKey, now: UnixMillis) -> Stamp {
        let current = self.entries.stamp(key);
        self.clock.stamp_after(current, now, MAX_CLOCK_AHEAD)
    }

    /// Records that a network changed, so that a running batch does not overwrite the change in the
    /// lookup tables.
    fn journal_network(&mut self, rule: Rule, network: Network) {
        if let Some(journal) = &mut self.journal {
            journal.insert((rule, network));
        }
    }
}

impl Mirror {
    /// An empty mirror that stamps its changes as `node`. `key` keys the fingerprints and must be
    /// the same on every node of a cluster.
    #[must_use]
    pub fn new(node: NodeId, key: [u8; 16]) -> Self {
        Self::with_bounds(node, key, Bounds::default())
    }

    /// As [`new`](Self::new), with other bounds.
    #[must_use]
    pub fn with_bounds(node: NodeId, key: [u8; 16], bounds: Bounds) -> Self {
        let entries = Entries::new(bounds, key);
        Self {
            bounds,
            networks: Lookup::default(),
            certificates: CertificateIndex::default(),
            values: ValueIndex::default(),
            writer: RwLock::new(Writer {
                clock: HybridClock::new(node),
                entries,
                journal: None,
                expired_until: UnixMillis(0),
                reserved: 0,
            }),
            batch: Mutex::new(()),
            observers: Observers::default(),
            counters: Default::default(),
        }
    }

    /// Blocks a network. The caller sends the change to the other nodes.
    ///
    /// # Errors
    /// [`StateError::AlreadyExpired`], [`StateError::Full`], [`StateError::Superseded`],
    /// [`StateError::InvalidStamp`]; [`StateError::Event`] for the loopback and for prefixes that
    /// [`Network::ensure_blockable`] refuses.
    pub fn block(
        &self,
        network: Network,
        details: RuleDetails,
        now: UnixMillis,
    ) -> Result<Change, StateError> {
        self.set_network(Rule::Block, network.ensure_blockable()?, Some(details), now)
    }

    /// As [`block`](Self::block), for a network of any width.
    ///
    /// # Errors
    /// As [`block`](Self::block); [`StateError::Event`] only for the loopback.
    pub fn block_of_any_width(
        &self,
        network: Network,
        details: RuleDetails,
        now: UnixMillis,
    ) -> Result<Change, StateError> {
        self.set_network(Rule::Block, network.ensure_blockable_of_any_width()?, Some(details), now)
    }

    /// Allows a network. An allowed network is not blocked, whatever blocks match it.
    ///
    /// # Errors
    /// As [`block`](Self::block); [`StateError::Event`] for prefixes that
    /// [`Network::ensure_allowable`] refuses.
    pub fn allow(
        &self,
        network: Network,
        details: RuleDetails,
        now: UnixMillis,
    ) -> Result<Change, StateError> {
        self.set_network(Rule::Allow, network.ensure_allowable()?, Some(details), now)
    }

    /// As [`allow`](Self::allow), for a network of any width.
    ///
    /// # Errors
    /// As [`allow`](Self::allow), without [`StateError::Event`].
    pub fn allow_of_any_width(
        &self,
        network: Network,
        details: RuleDetails,
        now: UnixMillis,
    ) -> Result<Change, StateError> {
        self.set_network(Rule::Allow, network, Some(details), now)
    }

    /// Removes the entry of a network, leaving a tombstone.
    ///
    /// # Errors
    /// [`StateError::NotFound`], [`StateError::Superseded`], [`StateError::InvalidStamp`].
    pub fn remove(
        &self,
        rule: Rule,
        network: Network,
        now: UnixMillis,
    ) -> Result<Change, StateError> {
        self.set_network(rule, network, None, now)
    }

    fn set_network(
        &self,
        rule: Rule,
        network: Network,
        details: Option<RuleDetails>,
        now: UnixMillis,
    ) -> Result<Change, StateError> {
        let mut writer = self.writer.write();
        let key = ChangeKey::Network { rule, network };
        if details.is_none() && !writer.entries.is_live(&key) {
            return Err(StateError::NotFound { key: network.to_string() });
        }
        let stamp = writer.stamp(&key, now);
        let details = details.map(Arc::new);
        let change = Change::Network(NetworkChange::new(rule, network, stamp, details));
        self.put_local(&mut writer, change, now)
    }

    /// Inserts a local change, which must win over the current entry. An entry that has already
    /// expired is refused: peers would drop it at times of their own, so mirrors would differ.
    fn put_local(
        &self,
        writer: &mut Writer,
        change: Change,
        now: UnixMillis,
    ) -> Result<Change, StateError> {
        if let Some(end) = change.expires().filter(|end| *end <= now) {
            return Err(StateError::AlreadyExpired { key: change.key().to_string(), end });
        }
        if change.stamp().physical() >= STAMP_TIME_LIMIT {
            return Err(StateError::InvalidStamp { stamped: change.stamp().physical() });
        }
        let slot = writer.entries.locate(&change.key());
        if self.put(writer, slot, &change, now)? { Ok(change) } else { Err(StateError::Superseded) }
    }

    /// Inserts a change. `false` if the mirror has this change or one that wins over it.
    fn put(
        &self,
        writer: &mut Writer,
        slot: Slot,
        change: &Change,
        now: UnixMillis,
    ) -> Result<bool, StateError> {
        if writer.entries.is_current(&slot, change) {
            return Ok(false);
        }
        if !writer.entries.has_room(&slot, writer.reserved) {
            let (kind, limit) = match change {
                Change::Network(_) => ("networks", self.bounds.networks),
                Change::Value(_) => ("values", self.bounds.values),
                _ => ("certificates", self.bounds.certificates),
            };
            return Err(StateError::Full { kind, limit });
        }
        let was_live = writer.entries.is_live_at(&slot);
        writer.entries.put(slot, change, now);
        if change.expires().is_some_and(|at| at <= now) {
            self.remove_from_lookup(writer, change);
            writer.expired_until = writer.expired_until.max(now);
            // A change that had expired before it arrived, with no live entry before it, is news to
            // the store only.
            let event = if was_live { Observed::Expired } else { Observed::TombstoneChanged };
            self.observers.notify(event(change));
            return Ok(true);
        }
        match change {
            Change::Network(change) => {
                self.networks.set(change, now);
                writer.journal_network(change.rule, change.network);
            }
            Change::Certificate(change) => self.certificates.set(change),
            Change::Value(change) => self.values.set(change),
            _ => {}
        }
        self.observers.notify(Observed::Changed(change));
        Ok(true)
    }

    /// Removes an expired or purged entry from the lookup tables.
    fn remove_from_lookup(&self, writer: &mut Writer, change: &Change) {
        match change {
            Change::Network(change) => {
                self.networks.remove(change.rule, change.network);
                writer.journal_network(change.rule, change.network);
            }
            Change::Value(change) => self.values.remove(&change.key),
            _ => {}
        }
    }

    /// Expires entries, drops old tombstones and warns of certificates that are about to expire.
    /// Handles about 100,000 entries at most; the next call handles the rest. Call about once a
    /// second. The cost depends on the number of entries that are due, not on the size of the
    /// mirror, except after the time was set back. Other writers run in between.
    pub fn sweep(&self, now: UnixMillis) -> Swept {
        let mut swept = Swept::default();
        let mut writer = self.writer.write();
        swept.unexpired = self.unexpire_locked(&mut writer, now);
        writer.expired_until = now;
        loop {
            let some = writer.entries.sweep(now, WRITES_PER_LOCK);
            self.notify_swept(&mut writer, &some);
            swept.add(some);
            if !writer.entries.has_due(now)
                || swept.expired.len() + swept.dropped.len() >= MAX_SWEPT_PER_CALL
            {
                return swept;
            }
            RwLockWriteGuard::bump(&mut writer);
        }
    }

    /// The part of a [`sweep`](Self::sweep) that drops nothing. If the time was set back, entries
    /// that expired by the later time become live again, as far as the mirror still has them.
    /// Returns them. Scans all entries after such a step back; costs nothing otherwise.
    pub fn unexpire(&self, now: UnixMillis) -> Vec<Change> {
        self.unexpire_locked(&mut self.writer.write(), now)
    }

    fn unexpire_locked(&self, writer: &mut Writer, now: UnixMillis) -> Vec<Change> {
        if now.plus(MIN_STEP_BACK) >= writer.expired_until || planted(Fault::EndedForGood) {
            return Vec::new();
        }
        writer.expired_until = now;
        let unexpired = writer.entries.unexpire(now);
        for change in &unexpired {
            match change {
                Change::Network(change) => {
                    self.networks.set(change, now);
                    writer.journal_network(change.rule, change.network);
                }
                Change::Value(change) => self.values.set(change),
                _ => {}
            }
            self.observers.notify(Observed::Changed(change));
        }
        unexpired
    }

    fn notify_swept(&self, writer: &mut Writer, swept: &Swept) {
        for change in &swept.dropped {
            self.observers.notify(Observed::TombstoneChanged(change));
        }
        for ExpiryWarning { change, days_left } in &swept.expiring {
            self.observers.notify(Observed::Expiring { change, days_left: *days_left });
        }
        for change in &swept.expired {
            self.observers.notify(Observed::Expired(change));
            self.remove_from_lookup(writer, change);
        }
        self.counters[EXPIRED].fetch_add(swept.expired.len() as u64, Ordering::Relaxed);
    }

    /// Returns the live entries, without tombstones, and registers `observer`. The observer is
    /// notified of every later event until it is dropped. No event is lost in between.
    pub fn observe(&self, observer: Weak<dyn Observer>) -> Vec<Change> {
        let writer = self.writer.read();
        self.observers.add(observer);
        writer.entries.live().collect()
    }

    /// As [`observe`](Self::observe), without returning the live entries.
    pub fn observe_changes(&self, observer: Weak<dyn Observer>) {
        let _no_change_meanwhile = self.writer.read();
        self.observers.add(observer);
    }

    /// Whether to refuse connections from `address`. Takes no lock and allocates nothing. Expiry is
    /// exact to the millisecond, with one exception: an entry that was set more than 24 days before
    /// its expiry may stay blocked until the [`sweep`](Self::sweep) that expires it.
    #[must_use]
    pub fn is_blocked(&self, address: IpAddr, now: UnixMillis) -> bool {
        self.networks.is_blocked(address, now)
    }

    /// The entry that decides about `address`. An allowed network wins over a blocked one; within a
    /// rule the longest prefix wins; the loopback is never blocked. Allocates nothing. Waits for a
    /// writer only if a network matches the address: for some dozen changes, also during an import
    /// of a million; longer while the tables grow or a batch is published.
    pub fn lookup(&self, address: IpAddr, now: UnixMillis) -> Verdict {
        if self.networks.deciding_network(address, now, |_, _| true).is_none() {
            return Verdict::Clear;
        }
        // Searches again under the read lock, so that tables and entries match.
        let writer = self.writer.read();
        let live = |rule, network| {
            writer.entries.details(rule, network).filter(|details| !details.is_expired(now))
        };
        let found = self.networks.deciding_network(address, now, |rule, n| live(rule, n).is_some());
        let Some((rule, network)) = found else { return Verdict::Clear };
        let Some(details) = live(rule, network) else { return Verdict::Clear };
        let entry = NetworkEntry { network, details };
        match rule {
            Rule::Block => Verdict::Blocked(entry),
            Rule::Allow => Verdict::Allowed(entry),
        }
    }

    /// The networks of a rule that are live at `now`, sorted.
    #[must_use]
    pub fn networks(&self, rule: Rule, now: UnixMillis) -> Vec<NetworkEntry> {
        let mut live = Vec::new();
        // Share by share, so that writers are not blocked for the whole scan.
        for index in 0..1 << SCAN_SHARE_BITS {
            let writer = self.writer.read();
            let share = Share { bits: SCAN_SHARE_BITS, index };
            let networks = writer.entries.live_networks(rule, content::ids(share));
            live.extend(networks.filter(|entry| !entry.details.is_expired(now)));
        }
        live.sort_unstable_by_key(|entry| entry.network);
        live
    }

    /// The current counters.
    #[must_use]
    pub fn counters(&self) -> MirrorCounters {
        let read = |index: usize| self.counters[index].load(Ordering::Relaxed);
        MirrorCounters {
            applied: read(APPLIED),
            stale: read(STALE),
            refused: read(REFUSED),
            expired: read(EXPIRED),
            ahead: read(AHEAD),
        }
    }
}
