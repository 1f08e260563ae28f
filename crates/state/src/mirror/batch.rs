//! Setting many networks in one step.

use std::collections::HashSet;
use std::sync::Arc;

use mailmesh_events::{Change, ChangeKey, EventError, Network, NetworkChange, Rule, UnixMillis};

use super::{MAX_CLOCK_AHEAD, Mirror, STAMP_TIME_LIMIT, WRITES_PER_LOCK, Writer};
use crate::lookup::LookupEntry;
use crate::observe::Observed;
use crate::{NetworkEntry, StateError};

/// Networks looked up under one read lock.
const PAGE_NETWORKS: usize = 4_096;

/// The result of [`Mirror::set_all`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Batch {
    /// One change per live network of the batch, in order, to send to the other nodes.
    pub changes: Vec<Change>,
    /// How many of the batch's networks already had a live entry.
    pub replaced: usize,
}

impl Mirror {
    /// Blocks or allows many networks in one step: a lookup sees all of them or none. If one
    /// network is refused, none is set. Of a network given twice, the last counts. Entries that
    /// have expired at `now` are skipped. The caller sends the changes to the other nodes.
    ///
    /// The write lock is released between small groups of entries, so other writers are not blocked
    /// for the whole batch. Observers are notified of each entry as it is inserted; lookups see the
    /// networks at the end. A batch also copies the lookup tables once (16 MB for a million IPv4
    /// addresses), so pass as many networks as there are.
    ///
    /// # Errors
    /// [`StateError::Full`]; [`StateError::InvalidStamp`] if `now` is in the year 10,000 or later;
    /// [`StateError::Event`] for a network that [`Network::ensure_blockable`] refuses, or
    /// [`Network::ensure_allowable`] if it is to be allowed.
    pub fn set_all(
        &self,
        rule: Rule,
        networks: Vec<impl Into<NetworkEntry>>,
        now: UnixMillis,
    ) -> Result<Batch, StateError> {
        let ensure_settable = match rule {
            Rule::Block => Network::ensure_blockable,
            Rule::Allow => Network::ensure_allowable,
        };
        self.set_entries(rule, to_entries(networks), ensure_settable, now)
    }

    /// As [`set_all`](Self::set_all), for networks of any width.
    ///
    /// # Errors
    /// [`StateError::Full`]; [`StateError::InvalidStamp`]; [`StateError::Event`] if the
    /// loopback is to be blocked.
    pub fn set_all_of_any_width(
        &self,
        rule: Rule,
        networks: Vec<impl Into<NetworkEntry>>,
        now: UnixMillis,
    ) -> Result<Batch, StateError> {
        let ensure_settable = match rule {
            Rule::Block => Network::ensure_blockable_of_any_width,
            Rule::Allow => Ok,
        };
        self.set_entries(rule, to_entries(networks), ensure_settable, now)
    }

    fn set_entries(
        &self,
        rule: Rule,
        networks: Vec<NetworkEntry>,
        ensure_settable: fn(Network) -> Result<Network, EventError>,
        now: UnixMillis,
    ) -> Result<Batch, StateError> {
        networks.iter().try_for_each(|entry| ensure_settable(entry.network).map(drop))?;
        if now >= STAMP_TIME_LIMIT {
            return Err(StateError::InvalidStamp { stamped: now });
        }
        let _batch_guard = self.batch.lock();
        let is_live = |entry: &NetworkEntry| !entry.details.is_expired(now);
        let live: Vec<NetworkEntry> = networks.into_iter().filter(is_live).collect();
        // A network that has a tombstone now needs room too: the tombstone may be dropped before
        // the batch reaches it, and other writers must not take the place.
        let (mut absent, mut reserved) = (HashSet::new(), HashSet::new());
        for page in live.chunks(PAGE_NETWORKS) {
            let writer = self.writer.read();
            for NetworkEntry { network, .. } in page {
                let slot = writer.entries.locate(&ChangeKey::Network { rule, network: *network });
                if !writer.entries.is_live_at(&slot) {
                    reserved.insert(*network);
                }
                if slot.stamp.is_none() {
                    absent.insert(*network);
                }
            }
        }
        {
            let limit = self.bounds.networks;
            let mut writer = self.writer.write();
            if writer.entries.networks() + absent.len() > limit {
                return Err(StateError::Full { kind: "networks", limit });
            }
            writer.reserved = reserved.len();
        }
        let mut batch = Batch { changes: Vec::with_capacity(live.len()), replaced: 0 };
        self.put_batch(live.into_iter(), now, |writer, entry| {
            let NetworkEntry { network, details } = entry;
            let key = ChangeKey::Network { rule, network };
            let slot = writer.entries.locate(&key);
            if !writer.entries.is_live_at(&slot) {
                writer.reserved = writer.reserved.saturating_sub(1);
            }
            // A network that occurs twice in the batch does not count as replaced.
            batch.replaced += usize::from(!reserved.contains(&network));
            let stamp = writer.clock.stamp_after(slot.stamp, now, MAX_CLOCK_AHEAD);
            let change = NetworkChange::new(rule, network, stamp, Some(Arc::new(details)));
            let lookup_entry = LookupEntry::of(&change);
            let change = Change::Network(change);
            writer.entries.put(slot, &change, now);
            self.observers.notify(Observed::Changed(&change));
            batch.changes.push(change);
            Some(lookup_entry)
        });
        Ok(batch)
    }

    /// Inserts entries in small groups, then makes their networks visible to lookups in one step.
    /// The caller holds the `batch` lock.
    pub(super) fn put_batch<T>(
        &self,
        mut entries: impl Iterator<Item = T>,
        now: UnixMillis,
        mut put: impl FnMut(&mut Writer, T) -> Option<LookupEntry>,
    ) {
        {
            let mut writer = self.writer.write();
            writer.journal = Some(HashSet::new());
            self.networks.begin_batch();
        }
        let mut lookup_entries = Vec::new();
        loop {
            // The iterator runs outside the lock: it may be slow.
            let chunk: Vec<T> = entries.by_ref().take(WRITES_PER_LOCK).collect();
            if chunk.is_empty() {
                break;
            }
            let mut writer = self.writer.write();
            lookup_entries.extend(chunk.into_iter().filter_map(|entry| put(&mut writer, entry)));
        }
        let mut next = self.networks.build_batch(&lookup_entries, now);
        let mut writer = self.writer.write();
        writer.reserved = 0;
        // Networks that other writers changed since the batch began: their current state goes into
        // the new tables.
        for (rule, network) in writer.journal.take().into_iter().flatten() {
            let details = writer.entries.details(rule, network);
            next.set(LookupEntry::new(rule, network, details.as_ref()), now);
        }
        self.networks.publish_batch(next);
    }

    /// Size of the lookup tables, in bytes.
    #[must_use]
    pub fn lookup_bytes(&self) -> usize {
        self.networks.bytes()
    }
}

fn to_entries(networks: Vec<impl Into<NetworkEntry>>) -> Vec<NetworkEntry> {
    networks.into_iter().map(Into::into).collect()
}
