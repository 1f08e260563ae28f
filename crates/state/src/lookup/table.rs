//! An open-addressing hash table of atomic words. Readers do not wait while one writer changes it.
//!
//! A slot holds a key and a state: [`EMPTY`], [`DELETED`], or the end of the entry in milliseconds
//! since the table's epoch. A short key shares one word with its state; a longer one has its own
//! words.
//!
//! **Invariant**: a key is written before its state leaves `EMPTY`, or together with it, and never
//! changes in a table. A reader that has seen the state may therefore read the key. A removed entry
//! leaves a deleted slot; [`Table::needs_rebuild`] says when to build the next table.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::address::{Address, Seed};

const EMPTY: u32 = 0;
const DELETED: u32 = 1;
/// The smallest state of a live entry.
const MIN_LIVE: u32 = 2;
/// Minimum number of slots of a table.
const MIN_SLOTS: usize = 512;

/// The state of an entry that never ends, or whose end is too late to represent: more than 49 days
/// after the epoch.
const FAR_END: u32 = u32::MAX;

/// The end of an entry that never ends, or ends too late for a table to represent. Such an entry is
/// live until it is removed. Other ends are milliseconds of Unix time.
pub(super) const NO_EXPIRY: u64 = u64::MAX;

#[derive(Debug)]
pub(super) struct Table<A> {
    slots: Box<[AtomicU64]>,
    capacity: usize,
    seed: Seed,
    /// Ends are stored relative to this time, in milliseconds of Unix time. Earlier ends are stored
    /// as this time.
    epoch: u64,
    /// Slots that are not empty, deleted ones included.
    used: AtomicUsize,
    live: AtomicUsize,
    keys: std::marker::PhantomData<A>,
}

impl<A: Address> Table<A> {
    /// A 32-bit key shares a word with its state.
    const WORDS: usize = if A::BITS == 32 { 1 } else { A::WORDS + 1 };

    /// A table that is at most half full with `entries`, with ends relative to `epoch`.
    pub(super) fn with_capacity(entries: usize, epoch: u64, seed: Seed) -> Self {
        let capacity = (entries * 2).max(MIN_SLOTS);
        Self {
            slots: words(capacity * Self::WORDS),
            capacity,
            seed,
            epoch,
            used: AtomicUsize::new(0),
            live: AtomicUsize::new(0),
            keys: std::marker::PhantomData,
        }
    }

    /// The end of a key's entry; `None` if there is none.
    #[inline]
    pub(super) fn end(&self, key: A) -> Option<u64> {
        self.find(key).ok().and_then(|(_, state)| self.end_of(state))
    }

    fn end_of(&self, state: u32) -> Option<u64> {
        match state {
            EMPTY | DELETED => None,
            FAR_END => Some(NO_EXPIRY),
            state => Some(self.epoch + u64::from(state - MIN_LIVE)),
        }
    }

    fn state_of(&self, end: u64) -> u32 {
        let state = end.saturating_sub(self.epoch).saturating_add(MIN_LIVE.into());
        u32::try_from(state).unwrap_or(FAR_END)
    }

    /// Inserts a key or replaces its end. The table must not need a rebuild.
    pub(super) fn set(&self, key: A, end: u64) {
        let end = self.state_of(end);
        match self.find(key) {
            Ok((slot, state)) => {
                self.store(slot, key, end);
                if state == DELETED {
                    self.live.fetch_add(1, Ordering::Relaxed);
                }
            }
            Err(Some(slot)) => {
                if Self::WORDS > 1 {
                    for (index, word) in key.words().into_iter().take(A::WORDS).enumerate() {
                        self.slots[slot * Self::WORDS + index].store(word, Ordering::Relaxed);
                    }
                }
                self.store(slot, key, end);
                self.used.fetch_add(1, Ordering::Relaxed);
                self.live.fetch_add(1, Ordering::Relaxed);
            }
            Err(None) => debug_assert!(false, "the table is full"),
        }
    }

    pub(super) fn remove(&self, key: A) {
        if let Ok((slot, state)) = self.find(key)
            && state != DELETED
        {
            self.store(slot, key, DELETED);
            self.live.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The live entries, in no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (A, u64)> {
        (0..self.capacity).filter_map(|slot| {
            let (state, key) = self.load(slot);
            self.end_of(state).map(|end| (key(), end))
        })
    }

    /// Number of live entries.
    pub(super) fn len(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    /// Whether the next insertion needs a new table: the table is three quarters full, deleted
    /// slots included, or `now` is too far from its epoch.
    pub(super) fn needs_rebuild(&self, now: u64) -> bool {
        // `now` is before the epoch if the clock was set back by much.
        now < self.epoch
            || now - self.epoch > u64::from(u32::MAX / 2)
            || self.used.load(Ordering::Relaxed) + 1 > self.capacity / 4 * 3
    }

    /// Size of the table, in bytes.
    pub(super) fn size(&self) -> usize {
        self.slots.len() * 8
    }

    /// The slot of a key and its state, or the empty slot at which to insert it.
    #[inline]
    fn find(&self, key: A) -> Result<(usize, u32), Option<usize>> {
        // Multiplication in place of division (Lemire, "Fast Random Integer Generation in an
        // Interval", 2019).
        let hash = u128::from(key.hash(self.seed));
        let mut slot = ((hash * self.capacity as u128) >> 64) as usize;
        for _ in 0..self.capacity {
            match self.load(slot) {
                (EMPTY, _) => return Err(Some(slot)),
                (state, held) if held() == key => return Ok((slot, state)),
                _ => {}
            }
            slot += 1;
            if slot == self.capacity {
                slot = 0;
            }
        }
        Err(None)
    }

    /// The state of a slot, and a function that reads its key.
    #[inline]
    fn load(&self, slot: usize) -> (u32, impl Fn() -> A) {
        let first = slot * Self::WORDS;
        let last = self.slots[first + Self::WORDS - 1].load(Ordering::Acquire);
        let key = move || {
            if Self::WORDS == 1 {
                return A::from_words([last >> 32, 0]);
            }
            A::from_words([0, 1].map(|index| self.slots[first + index].load(Ordering::Relaxed)))
        };
        (last as u32, key)
    }

    fn store(&self, slot: usize, key: A, state: u32) {
        let high = if Self::WORDS == 1 { key.words()[0] << 32 } else { 0 };
        let last = slot * Self::WORDS + Self::WORDS - 1;
        self.slots[last].store(high | u64::from(state), Ordering::Release);
    }
}

/// Words that are all zero.
pub(super) fn words(count: usize) -> Box<[AtomicU64]> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    const EPOCH: u64 = 1_800_000_000_000;

    fn assert_table_equals_map<A: Address + std::hash::Hash>(
        steps: Vec<(u32, u64)>,
        key: impl Fn(u32) -> A,
    ) {
        let mut table = Table::with_capacity(0, EPOCH, Seed::fixed());
        let mut map = HashMap::new();
        for (n, end) in steps {
            let (key, end) = (key(n), (end > 0).then(|| EPOCH + end));
            if table.needs_rebuild(EPOCH) {
                let next = Table::with_capacity(table.len(), EPOCH, Seed::fixed());
                table.iter().for_each(|(key, end)| next.set(key, end));
                table = next;
            }
            if let Some(end) = end {
                table.set(key, end);
                map.insert(key, end);
            } else {
                table.remove(key);
                map.remove(&key);
            }
            assert_eq!(table.len(), map.len());
        }
        for key in (0..40).map(key) {
            assert_eq!(table.end(key), map.get(&key).copied());
        }
        assert_eq!(table.iter().collect::<HashMap<_, _>>(), map);
    }

    proptest! {
        #[test]
        fn a_table_equals_a_map(steps in prop::collection::vec((0u32..40, 0u64..6), 0..400)) {
            assert_table_equals_map(steps.clone(), |n| n);
            assert_table_equals_map(steps, |n| u128::from(n % 7) << 64 | u128::from(n));
        }
    }

    #[test]
    fn early_and_late_ends_are_clamped() {
        let table = Table::<u128>::with_capacity(1, EPOCH, Seed::fixed());
        let days = |days: u64| EPOCH + days * 86_400_000;
        for (end, expected) in [
            (0, EPOCH),
            (EPOCH + 1, EPOCH + 1),
            (days(49), days(49)),
            (days(50), NO_EXPIRY),
            (NO_EXPIRY, NO_EXPIRY),
        ] {
            table.set(1 << 100, end);
            assert_eq!((table.end(1 << 100), table.len()), (Some(expected), 1));
        }
        table.remove(1 << 100);
        table.remove(1 << 100);
        assert_eq!((table.end(1 << 100), table.len()), (None, 0));
        assert!(!table.needs_rebuild(days(24)) && table.needs_rebuild(days(25)));
    }
}
