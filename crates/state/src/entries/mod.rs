//! Every entry by key, with its stamp. Merging, expiry and reconciliation work on this table;
//! lookups have their own indexes.
//!
//! Entries are ordered by their [`EntryId`], a keyed hash of the key. A range of ids is therefore a
//! fair share of the entries, whatever the keys are, and an item locates its entry.
//!
//! - [`row`]: an entry in 48 bytes, and the pool of values that rows share;
//! - [`buckets`]: rows ordered by id, and which of them are due;
//! - [`interned`]: values that are stored once.

mod buckets;
mod copy;
mod interned;
mod row;

use std::cmp::Ordering;
use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use mailmesh_events::{
    Certificate, Change, ChangeKey, Network, Rule, RuleDetails, Stamp, UnixMillis,
};

use crate::Saved;
use crate::fingerprint::{EntryId, Fingerprint, ITEM_VERSION_MASK};
use crate::planted::{Fault, planted};
use crate::riblt::{ItemHasher, Sketch};
use crate::verdict::NetworkEntry;
use crate::version::compare_changes;
use buckets::{Buckets, RowPosition};
use row::{NO_END, Pool, Row};

/// Coded symbols of the whole content that are kept current: enough for some 700 differences.
pub(crate) const SKETCH_SYMBOLS: usize = 1_024;

/// Capacity of a mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bounds {
    /// Maximum number of networks, tombstones included. Default: 4,000,000.
    pub networks: usize,
    /// Maximum number of certificates, tombstones included. Default: 10,000.
    pub certificates: usize,
    /// Maximum number of values of downstream crates, tombstones included. Default: 10,000.
    pub values: usize,
    /// How long tombstones, and expired entries that had replaced another, are kept. Default: 24 h.
    /// A node that was away for longer brings back entries that were removed meanwhile.
    pub tombstone_retention: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            networks: 4_000_000,
            certificates: 10_000,
            values: 10_000,
            tombstone_retention: Duration::from_secs(24 * 3600),
        }
    }
}

/// The kinds of entries; each has its own bound.
#[derive(Debug, Clone, Copy)]
enum EntryKind {
    Network,
    Certificate,
    Value,
}

impl EntryKind {
    fn of(key: &ChangeKey) -> Self {
        match key {
            ChangeKey::Network { .. } => Self::Network,
            ChangeKey::Value(_) => Self::Value,
            _ => Self::Certificate,
        }
    }

    fn of_change(change: &Change) -> Self {
        match change {
            Change::Network(_) => Self::Network,
            Change::Value(_) => Self::Value,
            _ => Self::Certificate,
        }
    }
}

/// The position of a key, or the position at which to insert it. Valid until the next change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    id: EntryId,
    position: Result<RowPosition, RowPosition>,
    kind: EntryKind,
    /// The stamp of the current entry.
    pub(crate) stamp: Option<Stamp>,
}

/// A certificate that expires soon or has expired.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExpiryWarning {
    /// The current change of the certificate's names.
    pub change: Change,
    /// The certificate has at most this many days left: 30, 7, 1, or 0 once it has expired.
    pub days_left: u32,
}

/// The result of a sweep.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Swept {
    /// Entries that expired.
    pub expired: Vec<Change>,
    /// Tombstones, and expired entries kept as such, that were dropped.
    pub dropped: Vec<Change>,
    /// Certificates that crossed an expiry warning. Each warning is given once.
    pub expiring: Vec<ExpiryWarning>,
    /// Expired entries that are live again because the time was set back.
    pub unexpired: Vec<Change>,
}

impl Swept {
    pub(crate) fn add(&mut self, more: Self) {
        self.expired.extend(more.expired);
        self.dropped.extend(more.dropped);
        self.expiring.extend(more.expiring);
        self.unexpired.extend(more.unexpired);
    }

    /// Whether the sweep changed nothing and gave no warning.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { expired, dropped, expiring, unexpired } = self;
        expired.is_empty() && dropped.is_empty() && expiring.is_empty() && unexpired.is_empty()
    }
}

/// Days before the expiry of a certificate at which a warning is due; 0 is the expiry itself.
const WARNING_DAYS: [u32; 4] = [30, 7, 1, 0];

/// The latest warning that is due for a certificate, in days, and the time of the next one.
fn expiry_warning(not_after: UnixMillis, now: UnixMillis) -> (Option<u32>, Option<UnixMillis>) {
    let due = |days: u32| UnixMillis(not_after.0.saturating_sub(u64::from(days) * 86_400_000));
    let days = WARNING_DAYS.into_iter().rfind(|days| due(*days) <= now);
    (days, WARNING_DAYS.into_iter().map(due).find(|due| *due > now))
}

#[derive(Debug)]
pub(crate) struct Entries {
    bounds: Bounds,
    rows: Buckets,
    pool: Pool,
    /// Number of entries of each [`EntryKind`], tombstones included.
    counts: [usize; 3],
    fingerprint: Fingerprint,
    sketch: Sketch,
    /// While the entries are copied to a table with another key: the keys that changed meanwhile.
    journal: Option<HashSet<ChangeKey>>,
}

impl Entries {
    pub(crate) fn new(bounds: Bounds, fingerprint_key: [u8; 16]) -> Self {
        Self {
            bounds,
            rows: Buckets::new(),
            pool: Pool::new(bounds.tombstone_retention),
            counts: [0; 3],
            fingerprint: Fingerprint::new(fingerprint_key),
            sketch: Sketch::new(ItemHasher::new(fingerprint_key), SKETCH_SYMBOLS),
            journal: None,
        }
    }

    pub(crate) fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// The first coded symbols of the whole content.
    pub(crate) fn sketch(&self) -> &Sketch {
        &self.sketch
    }

    /// Number of networks, tombstones included.
    pub(crate) fn networks(&self) -> usize {
        self.counts[EntryKind::Network as usize]
    }

    pub(crate) fn get(&self, key: &ChangeKey) -> Option<Change> {
        self.row(key).map(|row| self.pool.change(row))
    }

    /// The stamp of the current entry of a key.
    pub(crate) fn stamp(&self, key: &ChangeKey) -> Option<Stamp> {
        self.row(key).map(|row| self.pool.stamp(row))
    }

    /// Whether a key has an entry that is neither a tombstone nor expired.
    pub(crate) fn is_live(&self, key: &ChangeKey) -> bool {
        self.row(key).is_some_and(Row::is_live)
    }

    /// The details of a network's live entry under a rule. Allocates nothing.
    pub(crate) fn details(&self, rule: Rule, network: Network) -> Option<RuleDetails> {
        let row = self.row(&ChangeKey::Network { rule, network })?;
        row.is_live().then(|| self.pool.details(row)).flatten()
    }

    /// Live entries, tombstones and retained expired entries whose ids begin in this range of 64
    /// bits.
    pub(crate) fn changes(&self, ids: RangeInclusive<u64>) -> impl Iterator<Item = Change> {
        self.rows_in(ids).map(|row| self.pool.change(row))
    }

    pub(crate) fn live(&self) -> impl Iterator<Item = Change> {
        self.rows.from(0).filter(|row| row.is_live()).map(|row| self.pool.change(row))
    }

    /// The live networks of a rule whose ids begin in this range of 64 bits.
    pub(crate) fn live_networks(
        &self,
        rule: Rule,
        ids: RangeInclusive<u64>,
    ) -> impl Iterator<Item = NetworkEntry> {
        self.rows_in(ids).filter(|row| row.is_network() && row.is_live()).filter_map(move |row| {
            let (held, network) = self.pool.network(row);
            let details = (held == rule).then(|| self.pool.details(row)).flatten()?;
            Some(NetworkEntry { network, details })
        })
    }

    /// The items of the entries whose ids begin in this range of 64 bits.
    pub(crate) fn items(&self, ids: RangeInclusive<u64>) -> impl Iterator<Item = u64> {
        self.rows_in(ids).map(|row| self.item(row))
    }

    /// The entry with an item.
    pub(crate) fn by_item(&self, item: u64) -> Option<Change> {
        let mut near = self.rows_in(item & !ITEM_VERSION_MASK..=item | ITEM_VERSION_MASK);
        near.find(|row| self.item(row) == item).map(|row| self.pool.change(row))
    }

    fn rows_in(&self, ids: RangeInclusive<u64>) -> impl Iterator<Item = &Row> {
        let last = *ids.end();
        self.rows.from(*ids.start()).take_while(move |row| row.id <= last)
    }

    fn item(&self, row: &Row) -> u64 {
        self.fingerprint.item(self.id(row), &self.pool.version(row))
    }

    fn id(&self, row: &Row) -> EntryId {
        self.fingerprint.id(&self.pool.key(row))
    }

    fn find(&self, id: EntryId, key: &ChangeKey) -> Result<RowPosition, RowPosition> {
        self.rows.find(id.high(), |row| self.pool.compare_key(row, key))
    }

    fn row(&self, key: &ChangeKey) -> Option<&Row> {
        self.find(self.fingerprint.id(key), key).ok().map(|position| self.rows.row(position))
    }

    /// Finds the slot of a key.
    pub(crate) fn locate(&self, key: &ChangeKey) -> Slot {
        let id = self.fingerprint.id(key);
        let position = self.find(id, key);
        let stamp = position.ok().map(|position| self.pool.stamp(self.rows.row(position)));
        Slot { id, position, kind: EntryKind::of(key), stamp }
    }

    /// Whether the current entry of the change's key equals the change or wins over it.
    pub(crate) fn is_current(&self, slot: &Slot, change: &Change) -> bool {
        let Ok(position) = slot.position else { return false };
        let row = self.rows.row(position);
        match self.pool.stamp(row).cmp(&change.stamp()) {
            Ordering::Equal => compare_changes(&self.pool.change(row), change).is_ge(),
            stamps => stamps.is_gt(),
        }
    }

    /// Whether a change fits the bounds if `reserved` networks are still to be inserted by a batch.
    pub(crate) fn has_room(&self, slot: &Slot, reserved: usize) -> bool {
        let held = self.counts[slot.kind as usize];
        let (held, limit) = match slot.kind {
            EntryKind::Network => (held + reserved, self.bounds.networks),
            EntryKind::Certificate => (held, self.bounds.certificates),
            EntryKind::Value => (held, self.bounds.values),
        };
        slot.position.is_ok() || held < limit
    }

    /// Inserts a change, replacing the current entry of its key. An entry that has expired at `now`
    /// is retained as expired.
    pub(crate) fn put(&mut self, slot: Slot, change: &Change, now: UnixMillis) {
        let is_expired = change.expires().is_some_and(|at| at <= now);
        self.set(slot, change, None, (self.initial_end(change), is_expired));
    }

    /// Whether the retention of an entry that ended at `end` is over.
    pub(crate) fn is_past_retention(&self, end: UnixMillis, now: UnixMillis) -> bool {
        end.plus(self.bounds.tombstone_retention) <= now
    }

    /// Whether the slot has an entry that is neither a tombstone nor expired.
    pub(crate) fn is_live_at(&self, slot: &Slot) -> bool {
        slot.position.is_ok_and(|position| self.rows.row(position).is_live())
    }

    /// Handles the rows that have ended at `now`, about `max` of them, bucket by bucket.
    pub(crate) fn sweep(&mut self, now: UnixMillis, max: usize) -> Swept {
        let (mut swept, mut examined) = (Swept::default(), 0);
        while examined < max
            && let Some((bucket, positions)) = self.rows.next_due_bucket(now.0)
        {
            examined += positions.len().max(1);
            for position in positions {
                self.sweep_row(position, now, &mut swept);
            }
            self.rows.update_earliest(bucket);
        }
        swept
    }

    /// Whether a bucket may have rows that have ended at `now`.
    pub(crate) fn has_due(&self, now: UnixMillis) -> bool {
        self.rows.next_due_bucket(now.0).is_some()
    }

    fn sweep_row(&mut self, position: RowPosition, now: UnixMillis, swept: &mut Swept) {
        let row = *self.rows.row(position);
        let change = self.pool.change(&row);
        if let Some(certificate) = certificate(&change) {
            let (days, end) = expiry_warning(certificate.not_after(), now);
            self.rows.replace(position, row.with_end(end_millis(end)));
            self.journal_key(|| change.key());
            swept.expiring.extend(days.map(|days_left| ExpiryWarning { change, days_left }));
        } else if !row.is_live() {
            self.remove(position);
            swept.dropped.push(change);
        } else {
            if row.has_replaced() && !planted(Fault::EndedNotRemembered) {
                // Retained with its original end, so that every node drops it at the same time.
                self.rows.replace(position, row.expired(self.bounds.tombstone_retention));
                self.journal_key(|| change.key());
            } else {
                self.remove(position);
            }
            swept.expired.push(change);
        }
    }

    /// Makes retained expired entries live again that have not ended at `now`. Scans all rows.
    pub(crate) fn unexpire(&mut self, now: UnixMillis) -> Vec<Change> {
        let retention = self.bounds.tombstone_retention;
        let expired = self.rows.from(0).filter(|row| row.is_expired());
        let changes = expired.map(|row| self.pool.change(row));
        let live: Vec<Change> =
            changes.filter(|change| change.expires().is_some_and(|at| at > now)).collect();
        for change in &live {
            let key = change.key();
            if let Ok(position) = self.find(self.fingerprint.id(&key), &key) {
                self.rows.replace(position, self.rows.row(position).unexpired(retention));
                self.journal_key(|| key);
            }
        }
        live
    }

    /// The record of a key for a store.
    pub(crate) fn saved(&self, key: &ChangeKey) -> Option<Saved> {
        let row = self.row(key)?;
        let end = (row.end != NO_END).then_some(UnixMillis(row.end));
        Some(Saved { change: self.pool.change(row), replaced_another: row.has_replaced(), end })
    }

    /// Inserts a record of a store. Returns whether its entry is live.
    pub(crate) fn restore(&mut self, slot: Slot, saved: &Saved) -> bool {
        let Saved { change, replaced_another, end } = saved;
        let is_expired = change.expires().is_some_and(|at| end.is_some_and(|end| end > at));
        // The end of a live entry follows from the entry; that of a tombstone only from the record.
        let end = if change.is_live() { self.initial_end(change) } else { *end };
        self.set(slot, change, Some(*replaced_another), (end, is_expired));
        change.is_live() && !is_expired
    }

    /// Inserts a change. If `replaced` is `None`, the change counts as a replacement if its slot
    /// has an entry.
    fn set(
        &mut self,
        Slot { id, position, .. }: Slot,
        change: &Change,
        replaced: Option<bool>,
        (end, is_expired): (Option<UnixMillis>, bool),
    ) {
        let replaced = replaced.unwrap_or(position.is_ok());
        let mut row = self.pool.pack(id.high(), change, replaced, end_millis(end));
        if is_expired {
            row = row.expired(self.bounds.tombstone_retention);
        }
        match position {
            Ok(position) => {
                let old = *self.rows.row(position);
                self.uncount(&old, id);
                self.pool.release(&old);
                self.rows.replace(position, row);
            }
            Err(mut position) => {
                if self.rows.split_for(id.high()) {
                    let (Ok(found) | Err(found)) = self.find(id, &change.key());
                    position = found;
                }
                self.rows.insert(position, row);
            }
        }
        self.journal_key(|| change.key());
        self.counts[EntryKind::of_change(change) as usize] += 1;
        let version = self.pool.version(&row);
        self.fingerprint.add(id, &version);
        self.sketch.add(self.fingerprint.item(id, &version));
    }

    /// Removes an entry unless it has changed since. Returns whether it was removed.
    pub(crate) fn remove_exact(&mut self, change: &Change) -> bool {
        let Ok(position) = self.locate(&change.key()).position else { return false };
        let held = self.pool.change(self.rows.row(position));
        let is_same = compare_changes(&held, change).is_eq();
        if is_same {
            self.remove(position);
        }
        is_same
    }

    fn remove(&mut self, position: RowPosition) {
        let row = *self.rows.row(position);
        if let Some(journal) = &mut self.journal {
            journal.insert(self.pool.key(&row));
        }
        self.uncount(&row, self.id(&row));
        self.pool.release(&row);
        self.rows.remove(position);
    }

    /// Records the key of a changed entry while [`Mirror::rekey`](crate::Mirror::rekey) copies the
    /// others.
    fn journal_key(&mut self, key: impl FnOnce() -> ChangeKey) {
        if let Some(journal) = &mut self.journal {
            journal.insert(key());
        }
    }

    /// Removes a row from counts, fingerprint and sketch.
    fn uncount(&mut self, row: &Row, id: EntryId) {
        let version = self.pool.version(row);
        let kind = self.pool.non_network(row).map_or(EntryKind::Network, EntryKind::of_change);
        self.counts[kind as usize] -= 1;
        self.fingerprint.remove(id, &version);
        self.sketch.remove(self.fingerprint.item(id, &version));
    }

    /// When an entry expires, a tombstone is dropped, or the first expiry warning of a certificate
    /// is due.
    fn initial_end(&self, change: &Change) -> Option<UnixMillis> {
        if !change.is_live() {
            let is_brief = planted(Fault::RemovalForgotten);
            let kept = if is_brief { Duration::ZERO } else { self.bounds.tombstone_retention };
            return Some(change.stamp().physical().plus(kept));
        }
        match certificate(change) {
            Some(certificate) => expiry_warning(certificate.not_after(), UnixMillis(0)).1,
            None => change.expires(),
        }
    }
}

fn end_millis(end: Option<UnixMillis>) -> u64 {
    end.map_or(NO_END, |end| end.0)
}

fn certificate(change: &Change) -> Option<&Certificate> {
    match change {
        Change::Certificate(change) => change.certificate.as_deref(),
        _ => None,
    }
}
