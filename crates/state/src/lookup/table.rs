//! An open-addressing hash table that is read without waiting while one writer changes
//! it, made of atomic words alone.
//!
//! A slot is a key and a state: [`EMPTY`], [`DEAD`], or until which second the entry is
//! live; in one word where the key is short, else in the words of the key and one of state.
//! **Invariant**: a key is written before its state leaves `EMPTY`, or with it, and never
//! changes in a table: a reader that has seen the state may read the key. Who is taken out
//! leaves a dead slot; [`Table::is_crowded`] says when to build the next table.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::address::{Address, Seed};

const EMPTY: u32 = 0;
const DEAD: u32 = 1;
/// The least state of a live entry.
const FIRST_LIVE: u32 = 2;
/// Slots in the smallest table.
const SMALLEST: usize = 16;

/// The second in which an entry ends, from 2020 on; at its end at the latest it is over.
/// What ends after 2156 is live until it is taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct End(u32);

/// 2020-01-01, in milliseconds of Unix time.
const EPOCH: u64 = 1_577_836_800_000;

impl End {
    pub(super) const NEVER: Self = Self(u32::MAX);

    /// Of what ends at this time, in milliseconds of Unix time.
    pub(super) fn at(millis: u64) -> Self {
        let seconds = millis.saturating_sub(EPOCH).div_ceil(1_000);
        // Room for the states, which are of 2020 anyway.
        Self(u32::try_from(seconds).unwrap_or(u32::MAX).max(FIRST_LIVE))
    }

    /// Whether it is after this time.
    pub(super) fn is_after(self, millis: u64) -> bool {
        self == Self::NEVER || u64::from(self.0) * 1_000 + EPOCH > millis
    }
}

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
    /// A key of 32 bits shares a word with its state.
    const WORDS: usize = if A::BITS == 32 { 1 } else { A::WORDS + 1 };

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

    /// The end of the entry of a key.
    #[inline]
    pub(super) fn end(&self, key: A) -> Option<End> {
        self.find(key).ok().map(|(_, state)| state).filter(|state| *state >= FIRST_LIVE).map(End)
    }

    /// Puts a key in, or gives it another end. Not when the table is crowded.
    pub(super) fn set(&self, key: A, End(end): End) {
        match self.find(key) {
            Ok((slot, state)) => {
                self.store(slot, key, end);
                if state == DEAD {
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
            && state != DEAD
        {
            self.store(slot, key, DEAD);
            self.live.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The live entries, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (A, End)> {
        (0..self.capacity).filter_map(|slot| {
            let (state, key) = self.load(slot);
            (state >= FIRST_LIVE).then(|| (key(), End(state)))
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
    #[inline]
    fn find(&self, key: A) -> Result<(usize, u32), Option<usize>> {
        // Lemire, "Fast Random Integer Generation in an Interval", 2019: no division.
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

    /// The state of a slot, and its key.
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

/// Words that are zero.
pub(super) fn words(count: usize) -> Box<[AtomicU64]> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn holds_what_a_map_holds<A: Address + std::hash::Hash>(
        steps: Vec<(u32, u64)>,
        key: impl Fn(u32) -> A,
    ) {
        let mut table = Table::with_room(0, Seed::fixed());
        let mut map = HashMap::new();
        for (n, end) in steps {
            let (key, end) = (key(n), (end > 0).then(|| End::at(EPOCH + end * 10_000)));
            if table.is_crowded() {
                let next = Table::with_room(table.len(), Seed::fixed());
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
        fn it_holds_what_a_map_holds(steps in prop::collection::vec((0u32..40, 0u64..6), 0..400)) {
            holds_what_a_map_holds(steps.clone(), |n| n);
            holds_what_a_map_holds(steps, |n| u128::from(n % 7) << 64 | u128::from(n));
        }

        #[test]
        fn an_end_is_kept_to_the_second(millis: u64, ahead in 0u64..5_000) {
            let end = End::at(millis);
            let until = millis.max(EPOCH);
            prop_assert!(end.is_after(until.saturating_sub(1)) || millis <= EPOCH);
            if end != End::NEVER {
                prop_assert!(!end.is_after(until + 2_000));
            }
            prop_assert!(End::at(millis.saturating_add(ahead)) >= end);
        }
    }

    #[test]
    fn an_end_in_the_distant_past_is_an_end_all_the_same() {
        let table = Table::<u128>::with_room(1, Seed::fixed());
        table.set(1 << 100, End::at(0));
        assert!(table.end(1 << 100).is_some_and(|end| !end.is_after(EPOCH + 10_000)));
        table.set(1 << 100, End::NEVER);
        assert_eq!((table.end(1 << 100), table.len()), (Some(End::NEVER), 1));
        table.remove(1 << 100);
        table.remove(1 << 100);
        assert_eq!((table.end(1 << 100), table.len()), (None, 0));
    }
}
