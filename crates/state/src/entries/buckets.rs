//! Rows ordered by id, in extendible hashing (Fagin, Nievergelt, Pippenger, Strong, "Extendible
//! Hashing", 1979) on the first bits of the id. A range of ids is a sequence of buckets, a row
//! costs no pointer, and growing never moves more than one bucket.
//!
//! Each bucket knows a lower bound of the earliest end among its rows. A sweep visits only the
//! buckets that are due, and no row pays for an index by end.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::row::{NO_END, Row};

/// A bucket with this many rows is split before the next insertion.
const MAX_ROWS: usize = 128;
/// A bucket this deep is not split any more and grows instead. Four million rows need a depth of
/// 16.
const MAX_DEPTH: u8 = 18;

#[derive(Debug)]
struct Bucket {
    /// Number of first bits that the ids of its rows share.
    depth: u8,
    /// Lower bound of the end of its rows, in milliseconds of Unix time.
    earliest: u64,
    rows: Vec<Row>,
}

#[derive(Debug)]
pub(super) struct Buckets {
    /// Number of first bits of an id that index the directory.
    depth: u8,
    directory: Vec<u32>,
    buckets: Vec<Bucket>,
    /// Buckets with rows that end, ordered by their `earliest`.
    due: BTreeSet<(u64, u32)>,
    len: usize,
}

/// The position of a row, or the position at which to insert it. Valid until the next insertion,
/// removal or split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowPosition {
    bucket: u32,
    at: usize,
}

impl Buckets {
    pub(super) fn new() -> Self {
        let first = Bucket { depth: 0, earliest: NO_END, rows: Vec::new() };
        let (directory, buckets) = (vec![0], vec![first]);
        Self { depth: 0, directory, buckets, due: BTreeSet::new(), len: 0 }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.len
    }

    /// Finds the row of this id for which `order` returns `Equal`; otherwise the position at which
    /// to insert it.
    pub(super) fn find(
        &self,
        id: u64,
        order: impl Fn(&Row) -> Ordering,
    ) -> Result<RowPosition, RowPosition> {
        let bucket = self.directory[self.index(id)];
        let Bucket { depth, rows, .. } = &self.buckets[bucket as usize];
        let mut at = lower_bound(rows, *depth, id);
        while let Some(row) = rows.get(at).filter(|row| row.id == id) {
            match order(row) {
                Ordering::Less => at += 1,
                Ordering::Equal => return Ok(RowPosition { bucket, at }),
                Ordering::Greater => break,
            }
        }
        Err(RowPosition { bucket, at })
    }

    pub(super) fn row(&self, position: RowPosition) -> &Row {
        &self.buckets[position.bucket as usize].rows[position.at]
    }

    /// Rows in the order of their ids, from the first one with at least this id.
    pub(super) fn from(&self, first: u64) -> impl Iterator<Item = &Row> {
        let next = |index: &usize| {
            let span = self.span(&self.buckets[self.directory[*index] as usize]);
            Some((index & !(span - 1)) + span).filter(|next| *next < self.directory.len())
        };
        std::iter::successors(Some(self.index(first)), next).flat_map(move |index| {
            let Bucket { depth, rows, .. } = &self.buckets[self.directory[index] as usize];
            let is_first = rows.first().is_some_and(|row| row.id < first);
            &rows[if is_first { lower_bound(rows, *depth, first) } else { 0 }..]
        })
    }

    /// Splits the bucket of this id until a row fits in. `true` if positions have changed.
    pub(super) fn split_for(&mut self, id: u64) -> bool {
        let mut is_split = false;
        loop {
            let bucket = self.directory[self.index(id)];
            let Bucket { depth, rows, .. } = &self.buckets[bucket as usize];
            if rows.len() < MAX_ROWS || *depth == MAX_DEPTH {
                return is_split;
            }
            self.split(id);
            is_split = true;
        }
    }

    /// Inserts a row at the position that [`find`](Self::find) returned.
    pub(super) fn insert(&mut self, RowPosition { bucket, at }: RowPosition, row: Row) {
        let rows = &mut self.buckets[bucket as usize].rows;
        if rows.len() == rows.capacity() {
            rows.reserve_exact((rows.len() / 8).max(4));
        }
        rows.insert(at, row);
        self.len += 1;
        self.lower_earliest(bucket, row.end);
    }

    /// Replaces the row at a position by one of the same key.
    pub(super) fn replace(&mut self, RowPosition { bucket, at }: RowPosition, row: Row) {
        self.buckets[bucket as usize].rows[at] = row;
        self.lower_earliest(bucket, row.end);
    }

    pub(super) fn remove(&mut self, RowPosition { bucket, at }: RowPosition) {
        let rows = &mut self.buckets[bucket as usize].rows;
        rows.remove(at);
        if rows.capacity() > 2 * rows.len() + 16 {
            rows.shrink_to(rows.len() + 8);
        }
        self.len -= 1;
    }

    /// The next bucket that may have rows that have ended at `now`, with the positions of those
    /// rows. The last position comes first, so that removing a row keeps the others valid. The
    /// caller handles the rows, then calls [`update_earliest`](Self::update_earliest).
    pub(super) fn next_due_bucket(&self, now: u64) -> Option<(u32, Vec<RowPosition>)> {
        let (earliest, bucket) = *self.due.first()?;
        // A row without an end does not end at the last representable time either.
        let now = now.min(NO_END - 1);
        if earliest > now {
            return None;
        }
        let rows = self.buckets[bucket as usize].rows.iter().enumerate().rev();
        let ended =
            rows.filter(|(_, row)| row.end <= now).map(|(at, _)| RowPosition { bucket, at });
        Some((bucket, ended.collect()))
    }

    /// Recomputes the earliest end of a bucket.
    pub(super) fn update_earliest(&mut self, bucket: u32) {
        let earliest = self.buckets[bucket as usize].rows.iter().map(|row| row.end).min();
        self.set_earliest(bucket, earliest.unwrap_or(NO_END));
    }

    fn lower_earliest(&mut self, bucket: u32, end: u64) {
        if end < self.buckets[bucket as usize].earliest {
            self.set_earliest(bucket, end);
        }
    }

    fn set_earliest(&mut self, bucket: u32, earliest: u64) {
        let before = std::mem::replace(&mut self.buckets[bucket as usize].earliest, earliest);
        self.due.remove(&(before, bucket));
        if earliest != NO_END {
            self.due.insert((earliest, bucket));
        }
    }

    /// Index of an id in the directory.
    fn index(&self, id: u64) -> usize {
        // Two shifts: at depth 0 one shift by 64 would overflow.
        (id >> 1 >> (63 - self.depth)) as usize
    }

    /// Number of directory slots that refer to a bucket.
    fn span(&self, bucket: &Bucket) -> usize {
        1 << (self.depth - bucket.depth)
    }

    /// Splits the bucket of an id in two.
    fn split(&mut self, id: u64) {
        let old = self.directory[self.index(id)];
        if self.buckets[old as usize].depth == self.depth {
            self.directory = self.directory.iter().flat_map(|bucket| [*bucket; 2]).collect();
            self.depth += 1;
        }
        let span = self.span(&self.buckets[old as usize]);
        let first = self.index(id) & !(span - 1);
        let new = self.buckets.len() as u32;
        self.directory[first + span / 2..first + span].fill(new);
        let Bucket { depth, rows, .. } = &mut self.buckets[old as usize];
        let bit = 1 << (63 - *depth);
        *depth += 1;
        let upper = rows.split_off(rows.partition_point(|row| row.id & bit == 0));
        rows.shrink_to(rows.len() + rows.len() / 8);
        let depth = *depth;
        self.buckets.push(Bucket { depth, earliest: NO_END, rows: upper });
        self.update_earliest(old);
        self.update_earliest(new);
    }
}

/// Index of the first row with at least this id, among rows whose first `depth` bits equal the
/// id's. Ids are hashes, so interpolation gives a close guess; a galloping search from there finds
/// the row (Bentley, Yao, "An Almost Optimal Algorithm for Unbounded Searching", 1976).
fn lower_bound(rows: &[Row], depth: u8, id: u64) -> usize {
    let fraction = u128::from(id << depth) * rows.len() as u128;
    let guess = (fraction >> 64) as usize;
    let is_before = |row: &Row| row.id < id;
    let (mut low, mut high) = (guess, guess);
    let mut step = 1;
    if rows.get(guess).is_some_and(is_before) {
        while rows.get(high).is_some_and(is_before) {
            low = high + 1;
            high += step;
            step *= 2;
        }
    } else {
        while low > 0 && !is_before(&rows[low - 1]) {
            high = low - 1;
            low = low.saturating_sub(step);
            step *= 2;
        }
    }
    let high = high.min(rows.len());
    low + rows[low..high].partition_point(is_before)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn row(id: u64, end: u64) -> Row {
        let mut row = Row::default().with_end(end);
        row.id = id;
        row
    }

    fn put(buckets: &mut Buckets, id: u64, end: u64) {
        let find = |buckets: &Buckets| buckets.find(id, |_| Ordering::Equal);
        match find(buckets) {
            Ok(position) => buckets.replace(position, row(id, end)),
            Err(position) => {
                let position =
                    if buckets.split_for(id) { find(buckets).unwrap_err() } else { position };
                buckets.insert(position, row(id, end));
            }
        }
    }

    /// Some ids share their first bits, others do not.
    fn id() -> impl Strategy<Value = u64> {
        prop_oneof![
            any::<u64>(),
            (0u64..600).prop_map(|n| 7 << 40 | n),
            (0u64..600).prop_map(|n| n << 54)
        ]
    }

    proptest! {
        #[test]
        fn buckets_equal_an_ordered_map(
            steps in prop::collection::vec((id(), prop::option::of(1u64..100)), 0..3_000),
            first in id(),
            now in 1u64..100,
        ) {
            let (mut buckets, mut map) = (Buckets::new(), BTreeMap::new());
            for (id, end) in steps {
                if let Some(end) = end {
                    put(&mut buckets, id, end);
                    map.insert(id, end);
                } else if let Ok(position) = buckets.find(id, |_| Ordering::Equal) {
                    buckets.remove(position);
                    prop_assert!(map.remove(&id).is_some());
                }
            }
            prop_assert_eq!(buckets.len(), map.len());
            let found: Vec<_> = buckets.from(first).map(|row| (row.id, row.end)).collect();
            let expected: Vec<_> = map.range(first..).map(|(id, end)| (*id, *end)).collect();
            prop_assert_eq!(found, expected);
            let mut ended = 0;
            while let Some((bucket, positions)) = buckets.next_due_bucket(now) {
                ended += positions.len();
                positions.into_iter().for_each(|position| buckets.remove(position));
                buckets.update_earliest(bucket);
            }
            prop_assert_eq!(ended, map.values().filter(|end| **end <= now).count());
            prop_assert_eq!(buckets.len(), map.values().filter(|end| **end > now).count());
        }
    }

    #[test]
    fn nearly_equal_ids_do_not_split_forever() {
        let mut buckets = Buckets::new();
        (0..1_000).for_each(|id| put(&mut buckets, id, NO_END));
        assert!(buckets.directory.len() <= 1 << MAX_DEPTH);
        assert_eq!(buckets.from(0).count(), 1_000);
    }
}
