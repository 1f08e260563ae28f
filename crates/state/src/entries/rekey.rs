//! The same entries in the order of another key's hashes.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use mailmesh_events::{ChangeKey, UnixMillis};

use super::row::Row;
use super::{Entries, NEVER};

impl Entries {
    /// From now on what changes is noted, until all of it was taken.
    pub(crate) fn begin_journal(&mut self) {
        self.journal = Some(HashSet::new());
    }

    /// What has changed since the journal was begun or taken.
    pub(crate) fn take_journal(&mut self) -> HashSet<ChangeKey> {
        self.journal.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// How much the journal has.
    pub(crate) fn journal_len(&self) -> usize {
        self.journal.as_ref().map_or(0, HashSet::len)
    }

    /// Copies the entries whose ids, by the key of `other`, begin in this range of 64 bits.
    pub(crate) fn copy_range(&mut self, other: &Self, ids: RangeInclusive<u64>) {
        other.range(ids).for_each(|row| self.copy(other, row));
    }

    /// Makes these keys what they are in `other`.
    pub(crate) fn copy_keys<'a>(
        &mut self,
        other: &Self,
        keys: impl IntoIterator<Item = &'a ChangeKey>,
    ) {
        for key in keys {
            match other.row(key) {
                Some(row) => self.copy(other, row),
                None => {
                    if let Ok(place) = self.locate(key).place {
                        self.take_out(place);
                    }
                }
            }
        }
    }

    fn copy(&mut self, other: &Self, row: &Row) {
        let change = other.pool.change(row);
        let located = self.locate(&change.key());
        let end = if row.is_over() { row.revived(other.bounds.tombstones).end } else { row.end };
        let end = (end != NEVER).then_some(UnixMillis(end));
        self.set(located, &change, Some(row.has_replaced()), (end, row.is_over()));
    }
}
