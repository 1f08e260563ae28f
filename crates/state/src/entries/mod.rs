//! Every entry by key, with its stamp: what merging, expiry and reconciliation
//! work on. Lookups have indexes of their own.
//!
//! Entries stand in the order of their [`EntryId`], a keyed hash of the key: so a range
//! of ids is a fair share of them, whatever the keys, and the item of an entry tells where
//! it stands.
//!
//! - [`row`]: an entry in few bytes, and what several of them share;
//! - [`buckets`]: rows by id, and which of them have ended;
//! - [`interned`]: values that are kept once.

mod buckets;
mod interned;
mod rekey;
mod row;

use std::cmp::Ordering;
use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use mailmesh_events::{Block, Certificate, Change, ChangeKey, Network, Rule, Stamp, UnixMillis};

use crate::Saved;
use crate::fingerprint::{EntryId, Fingerprint, ITEM_VERSION};
use crate::planted::{Fault, planted};
use crate::sketch::{Checker, Sketch};
use crate::version::compare_changes;
use buckets::{Buckets, Place};
use row::{NEVER, Pool, Row};

/// Symbols of the whole content that are kept current: enough for some 700 differences.
pub(crate) const SYMBOLS: usize = 1_024;

/// How much a mirror may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bounds {
    /// Most networks, tombstones included. 4,000,000.
    pub networks: usize,
    /// Most certificates, tombstones included. 10,000.
    pub certificates: usize,
    /// Most values of downstream crates, tombstones included. 10,000.
    pub values: usize,
    /// How long a removal is remembered. 24 h: a node that was away longer would
    /// bring back what was removed meanwhile.
    pub tombstones: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            networks: 4_000_000,
            certificates: 10_000,
            values: 10_000,
            tombstones: Duration::from_secs(24 * 3600),
        }
    }
}

/// Sorts of entries, each with a bound of its own.
#[derive(Debug, Clone, Copy)]
enum Sort {
    Network,
    Certificate,
    Value,
}

impl Sort {
    fn of(key: &ChangeKey) -> Self {
        match key {
            ChangeKey::Network(..) => Self::Network,
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

/// Where a key is, or would be; until the next change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Located {
    id: EntryId,
    place: Result<Place, Place>,
    sort: Sort,
    /// The stamp of what is there.
    pub(crate) stamp: Option<Stamp>,
}

/// What a sweep found to be over.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Swept {
    /// Entries that expired.
    pub expired: Vec<Change>,
    /// Tombstones that were dropped.
    pub forgotten: Vec<Change>,
    /// Certificates that have so many days left, or fewer: 30, 7, 1, or 0, once each.
    pub ending: Vec<(Change, u32)>,
    /// Entries that had ended by a time that was set back since, and are live again.
    pub revived: Vec<Change>,
}

impl Swept {
    pub(crate) fn add(&mut self, more: Self) {
        self.expired.extend(more.expired);
        self.forgotten.extend(more.forgotten);
        self.ending.extend(more.ending);
        self.revived.extend(more.revived);
    }

    /// Whether nothing was over.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { expired, forgotten, ending, revived } = self;
        expired.is_empty() && forgotten.is_empty() && ending.is_empty() && revived.is_empty()
    }
}

/// Of how many days that a certificate has left there is a warning; 0: it has ended.
const WARNINGS: [u32; 4] = [30, 7, 1, 0];

/// The days that a certificate has left at most, as far as there is a warning of them, and
/// when the next warning is due.
fn warning(not_after: UnixMillis, now: UnixMillis) -> (Option<u32>, Option<UnixMillis>) {
    let due = |days: u32| UnixMillis(not_after.0.saturating_sub(u64::from(days) * 86_400_000));
    let days = WARNINGS.into_iter().rfind(|days| due(*days) <= now);
    (days, WARNINGS.into_iter().map(due).find(|due| *due > now))
}

#[derive(Debug)]
pub(crate) struct Entries {
    bounds: Bounds,
    rows: Buckets,
    pool: Pool,
    /// How many there are of each [`Sort`].
    counts: [usize; 3],
    fingerprint: Fingerprint,
    sketch: Sketch,
    /// While all of it is put in order by another key: what has changed meanwhile.
    journal: Option<HashSet<ChangeKey>>,
}

impl Entries {
    pub(crate) fn new(bounds: Bounds, fingerprint_key: [u8; 16]) -> Self {
        Self {
            bounds,
            rows: Buckets::new(),
            pool: Pool::new(bounds.tombstones),
            counts: [0; 3],
            fingerprint: Fingerprint::new(fingerprint_key),
            sketch: Sketch::new(Checker::new(fingerprint_key), SYMBOLS),
            journal: None,
        }
    }

    pub(crate) fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// The first symbols of the content.
    pub(crate) fn sketch(&self) -> &Sketch {
        &self.sketch
    }

    /// Number of networks, tombstones included.
    pub(crate) fn networks(&self) -> usize {
        self.counts[Sort::Network as usize]
    }

    pub(crate) fn get(&self, key: &ChangeKey) -> Option<Change> {
        self.row(key).map(|row| self.pool.change(row))
    }

    /// The stamp of a key.
    pub(crate) fn stamp(&self, key: &ChangeKey) -> Option<Stamp> {
        self.row(key).map(|row| self.pool.stamp(row))
    }

    /// Whether a key has an entry that is no tombstone and not over.
    pub(crate) fn is_live(&self, key: &ChangeKey) -> bool {
        self.row(key).is_some_and(Row::is_live)
    }

    /// What is known of a network. Allocates nothing.
    pub(crate) fn block(&self, rule: Rule, network: Network) -> Option<Block> {
        let row = self.row(&ChangeKey::Network(rule, network))?;
        row.is_live().then(|| self.pool.block(row)).flatten()
    }

    /// Live entries and tombstones whose ids begin in this range of 64 bits.
    pub(crate) fn changes(&self, ids: RangeInclusive<u64>) -> impl Iterator<Item = Change> {
        self.range(ids).map(|row| self.pool.change(row))
    }

    pub(crate) fn live(&self) -> impl Iterator<Item = Change> {
        self.rows.from(0).filter(|row| row.is_live()).map(|row| self.pool.change(row))
    }

    /// The live networks of a rule whose ids begin in this range of 64 bits.
    pub(crate) fn live_networks(
        &self,
        rule: Rule,
        ids: RangeInclusive<u64>,
    ) -> impl Iterator<Item = (Network, Block)> {
        self.range(ids).filter(|row| row.is_network() && row.is_live()).filter_map(move |row| {
            let (held, network) = self.pool.network(row);
            (held == rule).then(|| self.pool.block(row)).flatten().map(|block| (network, block))
        })
    }

    /// The items of the entries whose ids begin in this range of 64 bits.
    pub(crate) fn items(&self, ids: RangeInclusive<u64>) -> impl Iterator<Item = u64> {
        self.range(ids).map(|row| self.item(row))
    }

    /// The entry of an item.
    pub(crate) fn of_item(&self, item: u64) -> Option<Change> {
        let mut near = self.range(item & !ITEM_VERSION..=item | ITEM_VERSION);
        near.find(|row| self.item(row) == item).map(|row| self.pool.change(row))
    }

    fn range(&self, ids: RangeInclusive<u64>) -> impl Iterator<Item = &Row> {
        let last = *ids.end();
        self.rows.from(*ids.start()).take_while(move |row| row.id <= last)
    }

    fn item(&self, row: &Row) -> u64 {
        self.fingerprint.item(self.id(row), &self.pool.version(row))
    }

    fn id(&self, row: &Row) -> EntryId {
        self.fingerprint.id(&self.pool.key(row))
    }

    fn find(&self, id: EntryId, key: &ChangeKey) -> Result<Place, Place> {
        self.rows.find(id.high(), |row| self.pool.order(row, key))
    }

    fn row(&self, key: &ChangeKey) -> Option<&Row> {
        self.find(self.fingerprint.id(key), key).ok().map(|place| self.rows.row(place))
    }

    /// Finds a key.
    pub(crate) fn locate(&self, key: &ChangeKey) -> Located {
        let id = self.fingerprint.id(key);
        let place = self.find(id, key);
        let stamp = place.ok().map(|place| self.pool.stamp(self.rows.row(place)));
        Located { id, place, sort: Sort::of(key), stamp }
    }

    /// Whether what is at the key of a change is the same, or stands before it.
    pub(crate) fn has(&self, located: &Located, change: &Change) -> bool {
        let Ok(place) = located.place else { return false };
        let row = self.rows.row(place);
        match self.pool.stamp(row).cmp(&change.stamp()) {
            Ordering::Equal => compare_changes(&self.pool.change(row), change).is_ge(),
            stamps => stamps.is_gt(),
        }
    }

    /// Whether there is room for a change, where room for so many networks is spoken for.
    pub(crate) fn has_room(&self, located: &Located, reserved: usize) -> bool {
        let held = self.counts[located.sort as usize];
        let (held, limit) = match located.sort {
            Sort::Network => (held + reserved, self.bounds.networks),
            Sort::Certificate => (held, self.bounds.certificates),
            Sort::Value => (held, self.bounds.values),
        };
        located.place.is_ok() || held < limit
    }

    /// Puts a change where its key is, in the place of the one before. What has expired at
    /// `now` is only remembered.
    pub(crate) fn put(&mut self, located: Located, change: &Change, now: UnixMillis) {
        let is_over = change.expires().is_some_and(|at| at <= now);
        self.set(located, change, None, (self.end(change), is_over));
    }

    /// Whether what has ended at `end` is remembered no more.
    pub(crate) fn is_forgotten(&self, end: UnixMillis, now: UnixMillis) -> bool {
        end.plus(self.bounds.tombstones) <= now
    }

    /// Whether a located key has an entry that is no tombstone and not over.
    pub(crate) fn is_live_at(&self, located: &Located) -> bool {
        located.place.is_ok_and(|place| self.rows.row(place).is_live())
    }

    /// Takes out what has ended at `now`, of so many entries at most, about.
    pub(crate) fn sweep(&mut self, now: UnixMillis, most: usize) -> Swept {
        let (mut swept, mut looked_at) = (Swept::default(), 0);
        while looked_at < most
            && let Some((bucket, places)) = self.rows.next_due(now.0)
        {
            looked_at += places.len().max(1);
            for place in places {
                self.end_at(place, now, &mut swept);
            }
            self.rows.settle(bucket);
        }
        swept
    }

    /// Whether something may have ended at `now`.
    pub(crate) fn has_due(&self, now: UnixMillis) -> bool {
        self.rows.next_due(now.0).is_some()
    }

    fn end_at(&mut self, place: Place, now: UnixMillis, swept: &mut Swept) {
        let row = *self.rows.row(place);
        let change = self.pool.change(&row);
        if let Some(certificate) = certificate(&change) {
            let (days, end) = warning(certificate.not_after(), now);
            self.rows.replace(place, row.ending_at(number(end)));
            self.note(|| change.key());
            swept.ending.extend(days.map(|days| (change, days)));
        } else if !row.is_live() {
            self.take_out(place);
            swept.forgotten.push(change);
        } else {
            if row.has_replaced() && !planted(Fault::EndedNotRemembered) {
                // As it is, so that whoever learns of it forgets it at the same time.
                self.rows.replace(place, row.over(self.bounds.tombstones));
                self.note(|| change.key());
            } else {
                self.take_out(place);
            }
            swept.expired.push(change);
        }
    }

    /// Brings back what is remembered as over and has not ended at `now`.
    pub(crate) fn revive(&mut self, now: UnixMillis) -> Vec<Change> {
        let remembered = self.bounds.tombstones;
        let over = self.rows.from(0).filter(|row| row.is_over());
        let changes = over.map(|row| self.pool.change(row));
        let live: Vec<Change> =
            changes.filter(|change| change.expires().is_some_and(|at| at > now)).collect();
        for change in &live {
            let key = change.key();
            if let Ok(place) = self.find(self.fingerprint.id(&key), &key) {
                self.rows.replace(place, self.rows.row(place).revived(remembered));
                self.note(|| key);
            }
        }
        live
    }

    /// An entry as a store keeps it.
    pub(crate) fn saved(&self, key: &ChangeKey) -> Option<Saved> {
        let row = self.row(key)?;
        let end = (row.end != NEVER).then_some(UnixMillis(row.end));
        Some(Saved { change: self.pool.change(row), replaced_another: row.has_replaced(), end })
    }

    /// Puts back what a store kept; whether it is live.
    pub(crate) fn restore(&mut self, located: Located, saved: &Saved) -> bool {
        let Saved { change, replaced_another, end } = saved;
        let is_over = change.expires().is_some_and(|at| end.is_some_and(|end| end > at));
        // Of an entry it tells the end itself; of a tombstone only the store does.
        let end = if change.is_live() { self.end(change) } else { *end };
        self.set(located, change, Some(*replaced_another), (end, is_over));
        change.is_live() && !is_over
    }

    /// Puts an entry in; if not said, it has taken the place of another if there is one.
    fn set(
        &mut self,
        Located { id, place, .. }: Located,
        change: &Change,
        replaced: Option<bool>,
        (end, is_over): (Option<UnixMillis>, bool),
    ) {
        let replaced = replaced.unwrap_or(place.is_ok());
        let mut row = self.pool.pack(id.high(), change, replaced, number(end));
        if is_over {
            row = row.over(self.bounds.tombstones);
        }
        match place {
            Ok(place) => {
                let old = *self.rows.row(place);
                self.discount(&old, id);
                self.pool.release(&old);
                self.rows.replace(place, row);
            }
            Err(mut place) => {
                if self.rows.make_room(id.high()) {
                    let (Ok(found) | Err(found)) = self.find(id, &change.key());
                    place = found;
                }
                self.rows.insert(place, row);
            }
        }
        self.note(|| change.key());
        self.counts[Sort::of_change(change) as usize] += 1;
        let version = self.pool.version(&row);
        self.fingerprint.add(id, &version);
        self.sketch.add(self.fingerprint.item(id, &version));
    }

    /// Takes an entry out, unless it has changed since; whether it was there.
    pub(crate) fn forget(&mut self, change: &Change) -> bool {
        let Ok(place) = self.locate(&change.key()).place else { return false };
        let held = self.pool.change(self.rows.row(place));
        let is_same = compare_changes(&held, change).is_eq();
        if is_same {
            self.take_out(place);
        }
        is_same
    }

    fn take_out(&mut self, place: Place) {
        let row = *self.rows.row(place);
        if let Some(journal) = &mut self.journal {
            journal.insert(self.pool.key(&row));
        }
        self.discount(&row, self.id(&row));
        self.pool.release(&row);
        self.rows.remove(place);
    }

    /// Notes what has changed, for who copies the rest.
    fn note(&mut self, key: impl FnOnce() -> ChangeKey) {
        if let Some(journal) = &mut self.journal {
            journal.insert(key());
        }
    }

    /// Counts a row out.
    fn discount(&mut self, row: &Row, id: EntryId) {
        let version = self.pool.version(row);
        let sort = self.pool.other(row).map_or(Sort::Network, Sort::of_change);
        self.counts[sort as usize] -= 1;
        self.fingerprint.remove(id, &version);
        self.sketch.remove(self.fingerprint.item(id, &version));
    }

    /// When an entry expires, a tombstone is dropped, or the first warning is due.
    fn end(&self, change: &Change) -> Option<UnixMillis> {
        if !change.is_live() {
            let is_brief = planted(Fault::RemovalForgotten);
            let kept = if is_brief { Duration::ZERO } else { self.bounds.tombstones };
            return Some(change.stamp().physical().plus(kept));
        }
        match certificate(change) {
            Some(certificate) => warning(certificate.not_after(), UnixMillis(0)).1,
            None => change.expires(),
        }
    }
}

fn number(end: Option<UnixMillis>) -> u64 {
    end.map_or(NEVER, |end| end.0)
}

fn certificate(change: &Change) -> Option<&Certificate> {
    match change {
        Change::Certificate(change) => change.certificate.as_deref(),
        _ => None,
    }
}
