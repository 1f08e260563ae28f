//! An open-addressing hash table that is read without waiting while one writer changes
//! it, made of atomic words alone.
//!
//! A slot is the words of its key, then a word of state: [`EMPTY`], [`DEAD`], or until
//! when the entry is live. **Invariant**: a key is written once, before its state leaves
//! `EMPTY`, and never changes in a table: a reader that has seen the state may read the
//! key. Who is taken out leaves a dead slot; [`Table::is_crowded`] says when to build
//! the next table.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::address::{Address, Seed};

const EMPTY: u64 = 0;
const DEAD: u64 = 1;
/// The least state of a live entry.
const FIRST_LIVE: u64 = 2;
/// Slots in the smallest table.
const SMALLEST: usize = 16;

#[derive(Debug)]
pub(super) struct Table<A> {
    slots: Box<[AtomicU64]>,
    capacity: usize,
    seed: Seed,
    /// Slots that are not empty.
    used: AtomicUsize,
    live: AtomicUsize,
    keys: std::marker::PhantomData<A>,
}

impl<A: Address> Table<A> {
    const WORDS: usize = A::WORDS + 1;

    /// A table half full with `entries`.
    pub(super) fn with_room(entries: usize, seed: Seed) -> Self {
        let capacity = (entries * 2).max(SMALLEST);
        Self {
            slots: words(capacity * Self::WORDS),
            capacity,
            seed,
            used: AtomicUsize::new(0),
            live: AtomicUsize::new(0),
            keys: std::marker::PhantomData,
        }
    }

    /// Until when, in milliseconds, the entry of a key is live.
    pub(super) fn until(&self, key: A) -> Option<u64> {
        self.find(key).ok().map(|(_, state)| state).filter(|state| *state >= FIRST_LIVE)
    }

    /// Puts a key in, or gives it another end. Not when the table is crowded.
    pub(super) fn set(&self, key: A, until: u64) {
        let until = until.max(FIRST_LIVE);
        match self.find(key) {
            Ok((slot, state)) => {
                self.state(slot).store(until, Ordering::Release);
                if state == DEAD {
                    self.live.fetch_add(1, Ordering::Relaxed);
                }
            }
            Err(Some(slot)) => {
                for (index, word) in key.words().into_iter().take(A::WORDS).enumerate() {
                    self.slots[slot * Self::WORDS + index].store(word, Ordering::Relaxed);
                }
                self.state(slot).store(until, Ordering::Release);
                self.used.fetch_add(1, Ordering::Relaxed);
                self.live.fetch_add(1, Ordering::Relaxed);
            }
            Err(None) => debug_assert!(false, "the table is full"),
        }
    }

    pub(super) fn remove(&self, key: A) {
        if let Ok((slot, state)) = self.find(key)
            && state != DEAD
        {
            self.state(slot).store(DEAD, Ordering::Release);
            self.live.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The live entries, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (A, u64)> {
        (0..self.capacity).filter_map(|slot| {
            let state = self.state(slot).load(Ordering::Acquire);
            (state >= FIRST_LIVE).then(|| (self.key(slot), state))
        })
    }

    /// Number of live entries.
    pub(super) fn len(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    /// Whether the next entry belongs into a larger table, or into a new one without the
    /// dead.
    pub(super) fn is_crowded(&self) -> bool {
        self.used.load(Ordering::Relaxed) + 1 > self.capacity / 4 * 3
    }

    /// Bytes.
    pub(super) fn size(&self) -> usize {
        self.slots.len() * 8
    }

    /// The slot of a key and its state, or the empty slot where it would be.
    fn find(&self, key: A) -> Result<(usize, u64), Option<usize>> {
        // Lemire, "Fast Random Integer Generation in an Interval", 2019: no division.
        let hash = u128::from(key.hash(self.seed));
        let mut slot = ((hash * self.capacity as u128) >> 64) as usize;
        for _ in 0..self.capacity {
            match self.state(slot).load(Ordering::Acquire) {
                EMPTY => return Err(Some(slot)),
                state if self.key(slot) == key => return Ok((slot, state)),
                _ => {}
            }
            slot += 1;
            if slot == self.capacity {
                slot = 0;
            }
        }
        Err(None)
    }

    fn state(&self, slot: usize) -> &AtomicU64 {
        &self.slots[slot * Self::WORDS + A::WORDS]
    }

    fn key(&self, slot: usize) -> A {
        let word = |index: usize| self.slots[slot * Self::WORDS + index].load(Ordering::Relaxed);
        A::from_words([word(0), if A::WORDS > 1 { word(1) } else { 0 }])
    }
}

/// Words that are zero.
pub(super) fn words(count: usize) -> Box<[AtomicU64]> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_a_map_holds(steps in prop::collection::vec((0u32..40, 0u64..6), 0..400)) {
            let mut table = Table::<u32>::with_room(0, Seed::fixed());
            let mut map = HashMap::new();
            for (key, until) in steps {
                if table.is_crowded() {
                    let next = Table::with_room(table.len(), Seed::fixed());
                    table.iter().for_each(|(key, until)| next.set(key, until));
                    table = next;
                }
                if until == 0 {
                    table.remove(key);
                    map.remove(&key);
                } else {
                    table.set(key, until + 10);
                    map.insert(key, until + 10);
                }
                prop_assert_eq!(table.len(), map.len());
            }
            for key in 0..40 {
                prop_assert_eq!(table.until(key), map.get(&key).copied());
            }
            prop_assert_eq!(table.iter().collect::<HashMap<_, _>>(), map);
        }
    }

    #[test]
    fn an_end_in_the_distant_past_is_an_end_all_the_same() {
        let table = Table::<u128>::with_room(1, Seed::fixed());
        table.set(1 << 100, 0);
        assert_eq!(table.until(1 << 100), Some(FIRST_LIVE));
        table.set(1 << 100, u64::MAX);
        assert_eq!((table.until(1 << 100), table.len()), (Some(u64::MAX), 1));
        table.remove(1 << 100);
        table.remove(1 << 100);
        assert_eq!((table.until(1 << 100), table.len()), (None, 0));
    }
}
