//! Every entry by key, with its stamp: what merging, expiry and reconciliation
//! work on. Lookups have indexes of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::Duration;

use mailmesh_events::{Change, ChangeKey, NetworkChange, Stamp, UnixMillis};

use crate::fingerprint::Fingerprint;

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
    /// When it expires, or a tombstone is dropped; as in `ends`.
    end: Option<UnixMillis>,
}

#[derive(Debug)]
pub(crate) struct Entries {
    bounds: Bounds,
    map: BTreeMap<ChangeKey, Entry>,
    networks: usize,
    /// When entries expire and tombstones are dropped.
    ends: BTreeSet<(UnixMillis, ChangeKey)>,
    fingerprint: Fingerprint,
}

impl Entries {
    pub(crate) fn new(bounds: Bounds, fingerprint_key: [u8; 16]) -> Self {
        Self {
            bounds,
            map: BTreeMap::new(),
            networks: 0,
            ends: BTreeSet::new(),
            fingerprint: Fingerprint::new(fingerprint_key),
        }
    }

    pub(crate) fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    pub(crate) fn get(&self, key: &ChangeKey) -> Option<&Change> {
        self.map.get(key).map(|entry| &entry.change)
    }

    /// Live entries and tombstones in key order, from the first after `after` on.
    pub(crate) fn page(&self, after: Option<&ChangeKey>) -> impl Iterator<Item = &Change> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.map.range((from, Bound::Unbounded)).map(|(_, entry)| &entry.change)
    }

    pub(crate) fn live(&self) -> impl Iterator<Item = &Change> {
        self.map.values().map(|entry| &entry.change).filter(|change| is_live(change))
    }

    /// Whether `change` would be taken.
    pub(crate) fn judge(&self, key: &ChangeKey, stamp: Stamp) -> Merge {
        match self.map.get(key) {
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
        let replaced_another = self.take_out(&change.key()).is_some();
        let end = self.end(&change);
        self.insert(Entry { change, replaced_another, end });
    }

    /// Takes out what has ended at `now`; gives the live entries among it.
    pub(crate) fn sweep(&mut self, now: UnixMillis) -> Vec<Change> {
        let mut expired = Vec::new();
        while let Some((end, key)) = self.ends.first().cloned()
            && end <= now
        {
            let Some(entry) = self.take_out(&key) else {
                self.ends.remove(&(end, key));
                continue;
            };
            if !is_live(&entry.change) {
                continue;
            }
            if entry.replaced_another
                && let Change::Network(change) = &entry.change
            {
                let change = Change::Network(NetworkChange { block: None, ..change.clone() });
                // Remembered from now on, not from the stamp: that may be long ago.
                let end = Some(now.plus(self.bounds.tombstones));
                self.insert(Entry { change, replaced_another: true, end });
            }
            expired.push(entry.change);
        }
        expired
    }

    fn insert(&mut self, entry: Entry) {
        let key = entry.change.key();
        if matches!(key, ChangeKey::Network(..)) {
            self.networks += 1;
        }
        if is_live(&entry.change) {
            self.fingerprint.add(&key, entry.change.stamp());
        }
        if let Some(end) = entry.end {
            self.ends.insert((end, key.clone()));
        }
        self.map.insert(key, entry);
    }

    fn take_out(&mut self, key: &ChangeKey) -> Option<Entry> {
        let entry = self.map.remove(key)?;
        if matches!(key, ChangeKey::Network(..)) {
            self.networks -= 1;
        }
        if is_live(&entry.change) {
            self.fingerprint.remove(key, entry.change.stamp());
        }
        if let Some(end) = entry.end {
            self.ends.remove(&(end, key.clone()));
        }
        Some(entry)
    }

    /// When an entry expires, or a tombstone is dropped.
    fn end(&self, change: &Change) -> Option<UnixMillis> {
        match change {
            Change::Network(network) if network.block.is_some() => {
                network.block.as_ref().and_then(|block| block.expires)
            }
            change if is_live(change) => None,
            tombstone => Some(tombstone.stamp().physical().plus(self.bounds.tombstones)),
        }
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
