mod batch;
mod certificates;
mod content;
mod merge;
mod purge;
mod rekey;
mod saved;
mod values;

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use mailmesh_events::{
    Block, Change, ChangeKey, Network, NetworkChange, NodeId, Rule, Share, Stamp, UnixMillis,
};
use parking_lot::{Mutex, RwLock, RwLockWriteGuard};

use crate::certificate_index::CertificateIndex;
use crate::entries::{Bounds, Entries, Slot, Swept};
use crate::lookup::Lookup;
use crate::observe::{Observed, Observer, Observers};
use crate::planted::{Fault, planted};
use crate::value_index::ValueIndex;
use crate::verdict::{NetworkEntry, Verdict};
use crate::{HybridClock, StateError};
pub use batch::Batch;
pub use rekey::fingerprint_key_id;
pub use saved::Saved;

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// It is the newest of its key and was taken.
    Changed,
    /// The mirror had it, or a newer one.
    Stale,
    /// It cannot be held.
    Refused(StateError),
}

/// What was counted since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct MirrorCounters {
    /// Changes taken.
    pub applied: u64,
    /// Changes that were old.
    pub stale: u64,
    /// Changes refused.
    pub refused: u64,
    /// Entries that expired.
    pub expired: u64,
    /// Changes of other nodes taken though their stamp was more than 5 s ahead of the time.
    pub ahead: u64,
}

/// The mirror. Shared: every method takes `&self`; writers take turns, of some dozen
/// changes each; only when the lookup's tables grow, or a batch is shown, the others wait for
/// longer (75 ms of a million entries). [`is_blocked`](Self::is_blocked) waits for nobody.
#[derive(Debug)]
pub struct Mirror {
    bounds: Bounds,
    networks: Lookup,
    certificates: CertificateIndex,
    values: ValueIndex,
    writer: RwLock<Writer>,
    /// Batches take turns.
    batch: Mutex<()>,
    observers: Observers,
    counters: [AtomicU64; 5],
}

#[derive(Debug)]
struct Writer {
    clock: HybridClock,
    entries: Entries,
    /// While a batch is under way: the networks that others changed meanwhile.
    journal: Option<HashSet<(Rule, Network)>>,
    /// The latest time by which something was found to have ended.
    expired_until: UnixMillis,
    /// New networks that a batch has yet to put in.
    reserved: usize,
}

/// A time that is earlier by more than this is one that was corrected.
const MIN_STEP_BACK: Duration = Duration::from_millis(100);
/// Most changes merged, or entries swept, while others wait for their turn.
const WRITES_PER_LOCK: usize = 64;
/// Shares that are listed one after the other: 2 to the power of this.
const SCAN_SHARE_BITS: u8 = 10;
/// Most entries swept in one call.
const MAX_SWEPT_PER_CALL: usize = 100_000;

/// A stamp that is further ahead of the time than this was made by a wrong clock. The clocks
/// of a cluster differ by less once they were compared.
pub(crate) const MAX_CLOCK_AHEAD: Duration = Duration::from_secs(5);
/// The year 10,000. No stamp is that late: each leaves room for later ones, whatever clock
/// made it. The bound is the same on all nodes, so that mirrors agree on what is refused.
const STAMP_TIME_LIMIT: UnixMillis = UnixMillis(253_402_300_800_000);
/// A peer may still have an entry that this mirror dropped at its end, for this long.
const EXPIRY_GRACE: Duration = Duration::from_secs(5);

const APPLIED: usize = 0;
const STALE: usize = 1;
const REFUSED: usize = 2;
const EXPIRED: usize = 3;
const AHEAD: usize = 4;

impl Writer {
    /// The stamp of a new change of a key.
    fn stamp(&mut self, key: &ChangeKey, now: UnixMillis) -> Stamp {
        let current = self.entries.stamp(key);
        self.clock.stamp_after(current, now, MAX_CLOCK_AHEAD)
    }

    /// A batch under way must not undo what others do to a network meanwhile.
    fn journal_network(&mut self, rule: Rule, network: Network) {
        if let Some(journal) = &mut self.journal {
            journal.insert((rule, network));
        }
    }
}

impl Mirror {
    /// An empty mirror that writes as `node`, with fingerprints keyed by `key`
    /// (the same on every node of a cluster).
    #[must_use]
    pub fn new(node: NodeId, key: [u8; 16]) -> Self {
        Self::with_bounds(node, key, Bounds::default())
    }

    /// As [`new`](Self::new), within `bounds`.
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

    /// Blocks a network. Give the change to the other nodes.
    ///
    /// # Errors
    /// [`StateError::AlreadyExpired`], [`StateError::Full`], [`StateError::Superseded`];
    /// [`StateError::Event`] for the loopback and for prefixes that [`Network::blockable`] refuses.
    pub fn block(
        &self,
        network: Network,
        block: Block,
        now: UnixMillis,
    ) -> Result<Change, StateError> {
        self.set_network(Rule::Block, network.blockable()?, Some(block), now)
    }

    /// Blocks a network of any width.
    ///
    /// # Errors
    /// [`StateError::AlreadyExpired`], [`StateError::Full`]; [`StateError::Event`] for the loopback.
    pub fn block_of_any_width(
        &self,
        network: Network,
        block: Block,
        now: UnixMillis,
    ) -> Result<Change, StateError> {
        self.set_network(Rule::Block, network.blockable_of_any_width()?, Some(block), now)
    }

    /// Lets a network in, whatever blocks say.
    ///
    /// # Errors
    /// [`StateError::AlreadyExpired`], [`StateError::Full`].
    pub fn allow(
        &self,
        network: Network,
        block: Block,
        now: UnixMillis,
    ) -> Result<Change, StateError> {
        self.set_network(Rule::Allow, network, Some(block), now)
    }

    /// Takes a network off.
    ///
    /// # Errors
    /// [`StateError::NotFound`].
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
        block: Option<Block>,
        now: UnixMillis,
    ) -> Result<Change, StateError> {
        let mut writer = self.writer.write();
        let key = ChangeKey::Network(rule, network);
        if block.is_none() && !writer.entries.is_live(&key) {
            return Err(StateError::NotFound { key: network.to_string() });
        }
        let stamp = writer.stamp(&key, now);
        let block = block.map(Arc::new);
        let change = Change::Network(NetworkChange { rule, network, stamp, block });
        self.put_local(&mut writer, change, now)
    }

    /// A change of this node's own, which must be the newest. An entry that has ended is
    /// refused: peers forget such an entry at a time of their own, so mirrors would differ.
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

    /// `false` if the mirror has it, or a newer one.
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
            // Of what was over before it came only a store needs to know.
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

    /// Takes out of lookups what has ended.
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

    /// Takes out what has ended, 100,000 entries at most, about; what is left by the
    /// next. Call about once a second; it costs what has ended, not what is stored, but for
    /// when the time was set back. Nobody waits for all of it.
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

    /// The part of a [`sweep`](Self::sweep) that drops nothing: if the time was set back, entries
    /// that an earlier time had ended are in force again. Gives those. Costs a look at all entries
    /// after such a step, and nothing otherwise.
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
        for (change, days) in &swept.ending {
            self.observers.notify(Observed::Ending(change, *days));
        }
        for change in &swept.expired {
            self.observers.notify(Observed::Expired(change));
            self.remove_from_lookup(writer, change);
        }
        self.counters[EXPIRED].fetch_add(swept.expired.len() as u64, Ordering::Relaxed);
    }

    /// The entries there are, no tombstones; whatever happens after that, `observer` is
    /// told, for as long as it lives. Nothing falls in between.
    pub fn observe(&self, observer: Weak<dyn Observer>) -> Vec<Change> {
        let writer = self.writer.read();
        self.observers.add(observer);
        writer.entries.live().collect()
    }

    /// As [`observe`](Self::observe), without what there is.
    pub fn observe_changes(&self, observer: Weak<dyn Observer>) {
        let _no_change_meanwhile = self.writer.read();
        self.observers.add(observer);
    }

    /// Whether connections from `address` are to be refused. Takes no lock, allocates
    /// nothing. What ends more than 24 days after it was set is over with the
    /// [`sweep`](Self::sweep) that finds it ended; all else to the millisecond.
    #[must_use]
    pub fn is_blocked(&self, address: IpAddr, now: UnixMillis) -> bool {
        self.networks.is_blocked(address, now)
    }

    /// What is known of `address`, and why. The longest prefix counts; allowing
    /// wins over blocking; the loopback is never blocked. Allocates nothing. Only for an
    /// address that is known it waits for a writer: for some dozen changes, also while a
    /// million are imported; for longer when the tables grow or a batch is shown.
    pub fn lookup(&self, address: IpAddr, now: UnixMillis) -> Verdict {
        if self.networks.deciding_network(address, now, |_, _| true).is_none() {
            return Verdict::Clear;
        }
        // Once more, while nothing changes between the index and the entry.
        let writer = self.writer.read();
        let live = |rule, network| {
            writer.entries.block(rule, network).filter(|block| !block.is_expired(now))
        };
        let found = self.networks.deciding_network(address, now, |rule, n| live(rule, n).is_some());
        let Some((rule, network)) = found else { return Verdict::Clear };
        let Some(block) = live(rule, network) else { return Verdict::Clear };
        let entry = NetworkEntry { network, block };
        match rule {
            Rule::Block => Verdict::Blocked(entry),
            Rule::Allow => Verdict::Allowed(entry),
        }
    }

    /// The networks of a rule that are live at `now`, in order.
    #[must_use]
    pub fn networks(&self, rule: Rule, now: UnixMillis) -> Vec<NetworkEntry> {
        let mut live = Vec::new();
        // Share by share, so that nobody waits for all of it.
        for index in 0..1 << SCAN_SHARE_BITS {
            let writer = self.writer.read();
            let share = Share { bits: SCAN_SHARE_BITS, index };
            let networks = writer.entries.live_networks(rule, content::ids(share));
            let networks = networks.filter(|(_, block)| !block.is_expired(now));
            live.extend(networks.map(|(network, block)| NetworkEntry { network, block }));
        }
        live.sort_unstable_by_key(|entry| entry.network);
        live
    }

    /// What was counted so far.
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
