//! Copying entries into a table with another fingerprint key, which orders them differently.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use mailmesh_events::{ChangeKey, UnixMillis};

use super::row::Row;
use super::{Entries, NO_END};

impl Entries {
    /// Starts to record the keys of changed entries, until [`take_journal`](Self::take_journal).
    pub(crate) fn begin_journal(&mut self) {
        self.journal = Some(HashSet::new());
    }

    /// Takes the keys that changed since the journal was started or last taken.
    pub(crate) fn take_journal(&mut self) -> HashSet<ChangeKey> {
        self.journal.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Number of keys in the journal.
    pub(crate) fn journal_len(&self) -> usize {
        self.journal.as_ref().map_or(0, HashSet::len)
    }

    /// Copies the entries whose ids, by the key of `other`, begin in this range of 64 bits.
    pub(crate) fn copy_range(&mut self, other: &Self, ids: RangeInclusive<u64>) {
        other.rows_in(ids).for_each(|row| self.copy(other, row));
    }

    /// Makes the entries of these keys equal to those in `other`; removes keys that `other` lacks.
    pub(crate) fn copy_keys<'a>(
        &mut self,
        other: &Self,
        keys: impl IntoIterator<Item = &'a ChangeKey>,
    ) {
        for key in keys {
            match other.row(key) {
                Some(row) => self.copy(other, row),
                None => {
                    if let Ok(position) = self.locate(key).position {
                        self.remove(position);
                    }
                }
            }
        }
    }

    fn copy(&mut self, other: &Self, row: &Row) {
        let change = other.pool.change(row);
        let slot = self.locate(&change.key());
        let end = if row.is_expired() {
            row.unexpired(other.bounds.tombstone_retention).end
        } else {
            row.end
        };
        let end = (end != NO_END).then_some(UnixMillis(end));
        self.set(slot, &change, Some(row.has_replaced()), (end, row.is_expired()));
    }
}
