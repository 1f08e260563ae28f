mod batch;
mod certificates;
mod content;
mod forget;
mod merge;
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

use crate::certificates::Certificates;
use crate::entries::{Bounds, Entries, Located, Swept};
use crate::lookup::Lookup;
use crate::observe::{Observed, Observer, Observers};
use crate::planted::{Fault, planted};
use crate::values::Values;
use crate::verdict::{NetworkEntry, Verdict};
use crate::{HybridClock, StateError};
pub use batch::Batch;
pub use rekey::fingerprint_key_name;
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
    certificates: Certificates,
    values: Values,
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
    ended_by: UnixMillis,
    /// New networks that a batch has yet to put in.
    reserved: usize,
}

/// A time that is earlier by more than this is one that was corrected.
const BACK: Duration = Duration::from_millis(100);
/// Most changes merged, or entries swept, while others wait for their turn.
const AT_A_TIME: usize = 64;
/// Shares that are listed one after the other: 2 to the power of this.
const LISTED_BITS: u8 = 10;
/// Most entries swept in one call.
const SWEPT: usize = 100_000;

/// A stamp that is further ahead of the time than this was made by a wrong clock. The clocks
/// of a cluster differ by less once they were compared.
pub(crate) const MAX_AHEAD: Duration = Duration::from_secs(5);
/// The year 10,000. No stamp is that late: each leaves room for later ones, whatever clock
/// made it. The bound is the same on all nodes, so that mirrors agree on what is refused.
const NEVER: UnixMillis = UnixMillis(253_402_300_800_000);
/// A peer may still have an entry that this mirror dropped at its end, for this long.
const JUST_ENDED: Duration = Duration::from_secs(5);

const APPLIED: usize = 0;
const STALE: usize = 1;
const REFUSED: usize = 2;
const EXPIRED: usize = 3;
const AHEAD: usize = 4;

impl Writer {
    /// The stamp of a new change of a key.
    fn stamp(&mut self, key: &ChangeKey, now: UnixMillis) -> Stamp {
        let held = self.entries.stamp(key);
        self.clock.stamp_after(held, now, MAX_AHEAD)
    }

    /// A batch under way must not undo what others do to a network meanwhile.
    fn note(&mut self, rule: Rule, network: Network) {
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
            certificates: Certificates::default(),
            values: Values::default(),
            writer: RwLock::new(Writer {
                clock: HybridClock::new(node),
                entries,
                journal: None,
                ended_by: UnixMillis(0),
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
    /// [`StateError::Ended`], [`StateError::Full`], [`StateError::Outrun`];
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
    /// [`StateError::Ended`], [`StateError::Full`]; [`StateError::Event`] for the loopback.
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
    /// [`StateError::Ended`], [`StateError::Full`].
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
    /// [`StateError::Absent`].
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
            return Err(StateError::Absent { key: network.to_string() });
        }
        let stamp = writer.stamp(&key, now);
        let block = block.map(Arc::new);
        let change = Change::Network(NetworkChange { rule, network, stamp, block });
        self.put_own(&mut writer, change, now)
    }

    /// A change of this node's own, which must be the newest. An entry that has ended is
    /// refused: peers forget such an entry at a time of their own, so mirrors would differ.
    fn put_own(
        &self,
        writer: &mut Writer,
        change: Change,
        now: UnixMillis,
    ) -> Result<Change, StateError> {
        if let Some(end) = change.expires().filter(|end| *end <= now) {
            return Err(StateError::Ended { key: change.key().to_string(), end });
        }
        if change.stamp().physical() >= NEVER {
            return Err(StateError::Future { stamped: change.stamp().physical() });
        }
        let located = writer.entries.locate(&change.key());
        if self.put(writer, located, &change, now)? { Ok(change) } else { Err(StateError::Outrun) }
    }

    /// `false` if the mirror has it, or a newer one.
    fn put(
        &self,
        writer: &mut Writer,
        located: Located,
        change: &Change,
        now: UnixMillis,
    ) -> Result<bool, StateError> {
        if writer.entries.has(&located, change) {
            return Ok(false);
        }
        if !writer.entries.has_room(&located, writer.reserved) {
            let (what, limit) = match change {
                Change::Network(_) => ("networks", self.bounds.networks),
                Change::Value(_) => ("values", self.bounds.values),
                _ => ("certificates", self.bounds.certificates),
            };
            return Err(StateError::Full { what, limit });
        }
        let was_live = writer.entries.is_live_at(&located);
        writer.entries.put(located, change, now);
        if change.expires().is_some_and(|at| at <= now) {
            self.unlist(writer, change);
            writer.ended_by = writer.ended_by.max(now);
            // Of what was over before it came only a store needs to know.
            let over = if was_live { Observed::Expired } else { Observed::Forgotten };
            self.observers.tell(over(change));
            return Ok(true);
        }
        match change {
            Change::Network(change) => {
                self.networks.set(change, now);
                writer.note(change.rule, change.network);
            }
            Change::Certificate(change) => self.certificates.set(change),
            Change::Value(change) => self.values.set(change),
            _ => {}
        }
        self.observers.tell(Observed::Changed(change));
        Ok(true)
    }

    /// Takes out of lookups what has ended.
    fn unlist(&self, writer: &mut Writer, change: &Change) {
        match change {
            Change::Network(change) => {
                self.networks.remove(change.rule, change.network);
                writer.note(change.rule, change.network);
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
        swept.revived = self.bring_back(&mut writer, now);
        writer.ended_by = now;
        loop {
            let some = writer.entries.sweep(now, AT_A_TIME);
            self.tell_swept(&mut writer, &some);
            swept.add(some);
            if !writer.entries.has_due(now) || swept.expired.len() + swept.forgotten.len() >= SWEPT
            {
                return swept;
            }
            RwLockWriteGuard::bump(&mut writer);
        }
    }

    /// The part of a [`sweep`](Self::sweep) that drops nothing: if the time was set back, entries
    /// that an earlier time had ended are in force again. Gives those. Costs a look at all entries
    /// after such a step, and nothing otherwise.
    pub fn revive(&self, now: UnixMillis) -> Vec<Change> {
        self.bring_back(&mut self.writer.write(), now)
    }

    fn bring_back(&self, writer: &mut Writer, now: UnixMillis) -> Vec<Change> {
        if now.plus(BACK) >= writer.ended_by || planted(Fault::EndedForGood) {
            return Vec::new();
        }
        writer.ended_by = now;
        let revived = writer.entries.revive(now);
        for change in &revived {
            match change {
                Change::Network(change) => {
                    self.networks.set(change, now);
                    writer.note(change.rule, change.network);
                }
                Change::Value(change) => self.values.set(change),
                _ => {}
            }
            self.observers.tell(Observed::Changed(change));
        }
        revived
    }

    fn tell_swept(&self, writer: &mut Writer, swept: &Swept) {
        for change in &swept.forgotten {
            self.observers.tell(Observed::Forgotten(change));
        }
        for (change, days) in &swept.ending {
            self.observers.tell(Observed::Ending(change, *days));
        }
        for change in &swept.expired {
            self.observers.tell(Observed::Expired(change));
            self.unlist(writer, change);
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
        if self.networks.decisive(address, now, |_, _| true).is_none() {
            return Verdict::Clear;
        }
        // Once more, while nothing changes between the index and the entry.
        let writer = self.writer.read();
        let live = |rule, network| {
            writer.entries.block(rule, network).filter(|block| !block.is_expired(now))
        };
        let found = self.networks.decisive(address, now, |rule, n| live(rule, n).is_some());
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
        for index in 0..1 << LISTED_BITS {
            let writer = self.writer.read();
            let share = Share { bits: LISTED_BITS, index };
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
