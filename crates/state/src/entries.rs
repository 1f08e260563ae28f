//! Every entry by key, with its stamp: what merging, expiry and reconciliation
//! work on. Lookups have indexes of their own.
//!
//! Entries stand in the order of their [`EntryId`], a keyed hash of the key: so a range
//! of ids is a fair share of them, whatever the keys, and the item of an entry tells where
//! it stands.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, RangeInclusive};
use std::time::Duration;

use mailmesh_events::{Certificate, Change, ChangeKey, NetworkChange, Stamp, UnixMillis};

use crate::Saved;
use crate::fingerprint::{EntryId, Fingerprint, ITEM_VERSION};
use crate::sketch::{Checker, Sketch};

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
    /// How long a removal is remembered. 24 h: a node that was away longer would
    /// bring back what was removed meanwhile.
    pub tombstones: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            networks: 4_000_000,
            certificates: 10_000,
            tombstones: Duration::from_secs(24 * 3600),
        }
    }
}

/// Whether a change is the newest of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Merge {
    Newer,
    Stale,
    Full,
}

#[derive(Debug)]
struct Entry {
    change: Change,
    /// It took the place of another. When it expires it must leave a tombstone, or
    /// a node that missed it would bring the other back.
    replaced_another: bool,
    /// When it expires, a tombstone is dropped, or who has a certificate is warned; as in
    /// `ends`.
    end: Option<UnixMillis>,
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
    /// Changes that were held back and are merged now.
    pub merged: Vec<Change>,
}

impl Swept {
    /// Whether nothing was over.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { expired, forgotten, ending, merged } = self;
        expired.is_empty() && forgotten.is_empty() && ending.is_empty() && merged.is_empty()
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
    map: BTreeMap<EntryId, Entry>,
    networks: usize,
    /// When entries expire and tombstones are dropped.
    ends: BTreeSet<(UnixMillis, EntryId)>,
    fingerprint: Fingerprint,
    sketch: Sketch,
}

impl Entries {
    pub(crate) fn new(bounds: Bounds, fingerprint_key: [u8; 16]) -> Self {
        Self {
            bounds,
            map: BTreeMap::new(),
            networks: 0,
            ends: BTreeSet::new(),
            fingerprint: Fingerprint::new(fingerprint_key),
            sketch: Sketch::new(Checker::new(fingerprint_key), SYMBOLS),
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
        self.networks
    }

    pub(crate) fn get(&self, key: &ChangeKey) -> Option<&Change> {
        self.map.get(&self.fingerprint.id(key)).map(|entry| &entry.change)
    }

    /// Live entries and tombstones in order, from the first after `after` on.
    pub(crate) fn page(&self, after: Option<&ChangeKey>) -> impl Iterator<Item = &Change> {
        let from = after.map_or(Bound::Unbounded, |key| Bound::Excluded(self.fingerprint.id(key)));
        self.map.range((from, Bound::Unbounded)).map(|(_, entry)| &entry.change)
    }

    pub(crate) fn live(&self) -> impl Iterator<Item = &Change> {
        self.map.values().map(|entry| &entry.change).filter(|change| is_live(change))
    }

    /// The items of the entries whose ids begin in this range of 64 bits.
    pub(crate) fn items(&self, ids: RangeInclusive<u64>) -> impl Iterator<Item = u64> {
        self.range(ids).map(|(id, change)| self.fingerprint.item(*id, change.stamp()))
    }

    /// The entry of an item.
    pub(crate) fn of_item(&self, item: u64) -> Option<&Change> {
        let mut near = self.range(item & !ITEM_VERSION..=item | ITEM_VERSION);
        let found = near.find(|(id, change)| self.fingerprint.item(**id, change.stamp()) == item);
        found.map(|(_, change)| change)
    }

    fn range(&self, ids: RangeInclusive<u64>) -> impl Iterator<Item = (&EntryId, &Change)> {
        let (first, last) = (EntryId::first_of(*ids.start()), EntryId::last_of(*ids.end()));
        self.map.range(first..=last).map(|(id, entry)| (id, &entry.change))
    }

    /// Whether `change` would be taken.
    pub(crate) fn judge(&self, key: &ChangeKey, stamp: Stamp) -> Merge {
        match self.map.get(&self.fingerprint.id(key)) {
            Some(current) if current.change.stamp() >= stamp => Merge::Stale,
            Some(_) => Merge::Newer,
            None => {
                let (held, limit) = match key {
                    ChangeKey::Network(..) => (self.networks, self.bounds.networks),
                    _ => (self.map.len() - self.networks, self.bounds.certificates),
                };
                if held < limit { Merge::Newer } else { Merge::Full }
            }
        }
    }

    /// Puts a change in the place of the one before. Call after [`judge`](Self::judge).
    pub(crate) fn put(&mut self, change: Change) {
        let id = self.fingerprint.id(&change.key());
        let replaced_another = self.take_out(id).is_some();
        let end = self.end(&change);
        self.insert(id, Entry { change, replaced_another, end });
    }

    /// Takes out what has ended at `now`.
    pub(crate) fn sweep(&mut self, now: UnixMillis) -> Swept {
        let mut swept = Swept::default();
        while let Some((end, id)) = self.ends.first().copied()
            && end <= now
        {
            let Some(entry) = self.take_out(id) else {
                self.ends.remove(&(end, id));
                continue;
            };
            if let Some(certificate) = certificate(&entry.change) {
                let (days, end) = warning(certificate.not_after(), now);
                swept.ending.extend(days.map(|days| (entry.change.clone(), days)));
                self.insert(id, Entry { end, ..entry });
                continue;
            }
            if !is_live(&entry.change) {
                swept.forgotten.push(entry.change);
                continue;
            }
            if entry.replaced_another
                && let Change::Network(change) = &entry.change
            {
                let change = Change::Network(NetworkChange { block: None, ..change.clone() });
                // Remembered from its end on, not from the stamp: that may be long ago. The
                // same on every node, as the stamp is: to reconciliation it is the entry.
                let end = Some(end.plus(self.bounds.tombstones));
                self.insert(id, Entry { change, replaced_another: true, end });
            }
            swept.expired.push(entry.change);
        }
        swept
    }

    /// An entry as a store keeps it.
    pub(crate) fn saved(&self, key: &ChangeKey) -> Option<Saved> {
        let entry = self.map.get(&self.fingerprint.id(key))?;
        let Entry { change, replaced_another, end } = entry;
        Some(Saved { change: change.clone(), replaced_another: *replaced_another, end: *end })
    }

    /// Puts back what a store kept. Call after [`judge`](Self::judge).
    pub(crate) fn restore(&mut self, saved: Saved) {
        let id = self.fingerprint.id(&saved.change.key());
        self.take_out(id);
        let Saved { change, replaced_another, end } = saved;
        self.insert(id, Entry { change, replaced_another, end });
    }

    fn insert(&mut self, id: EntryId, entry: Entry) {
        if matches!(entry.change, Change::Network(_)) {
            self.networks += 1;
        }
        let stamp = entry.change.stamp();
        self.fingerprint.add(id, stamp);
        self.sketch.add(self.fingerprint.item(id, stamp));
        if let Some(end) = entry.end {
            self.ends.insert((end, id));
        }
        self.map.insert(id, entry);
    }

    fn take_out(&mut self, id: EntryId) -> Option<Entry> {
        let entry = self.map.remove(&id)?;
        if matches!(entry.change, Change::Network(_)) {
            self.networks -= 1;
        }
        let stamp = entry.change.stamp();
        self.fingerprint.remove(id, stamp);
        self.sketch.remove(self.fingerprint.item(id, stamp));
        if let Some(end) = entry.end {
            self.ends.remove(&(end, id));
        }
        Some(entry)
    }

    /// When an entry expires, a tombstone is dropped, or the first warning is due.
    fn end(&self, change: &Change) -> Option<UnixMillis> {
        match change {
            Change::Network(network) if network.block.is_some() => {
                network.block.as_ref().and_then(|block| block.expires)
            }
            change if is_live(change) => certificate(change)
                .and_then(|certificate| warning(certificate.not_after(), UnixMillis(0)).1),
            tombstone => Some(tombstone.stamp().physical().plus(self.bounds.tombstones)),
        }
    }
}

fn certificate(change: &Change) -> Option<&Certificate> {
    match change {
        Change::Certificate(change) => change.certificate.as_deref(),
        _ => None,
    }
}

/// Whether a change is an entry, not a tombstone.
pub(crate) fn is_live(change: &Change) -> bool {
    match change {
        Change::Network(change) => change.block.is_some(),
        Change::Certificate(change) => change.certificate.is_some(),
        _ => false,
    }
}
