//! Interning: values that many entries share are stored once, referenced by number and counted.
//! Each comes with a derived value (such as its hash) that is computed once.

use std::hash::{BuildHasher, Hash, RandomState};

use hashbrown::HashTable;
use slab::Slab;

#[derive(Debug)]
pub(super) struct Interned<T, D = ()> {
    values: Slab<(T, D, u32)>,
    index: HashTable<u32>,
    hasher: RandomState,
}

impl<T: Hash + Eq, D> Interned<T, D> {
    pub(super) fn new() -> Self {
        Self { values: Slab::new(), index: HashTable::new(), hasher: RandomState::new() }
    }

    /// The number of a value, with its reference count raised by one. `derived` runs if the value
    /// is new.
    pub(super) fn acquire_with(&mut self, value: T, derived: impl FnOnce(&T) -> D) -> u32 {
        let Self { values, index, hasher } = self;
        let hash = hasher.hash_one(&value);
        if let Some(number) = index.find(hash, |number| values[*number as usize].0 == value) {
            values[*number as usize].2 += 1;
            return *number;
        }
        let derived = derived(&value);
        let number = values.insert((value, derived, 1)) as u32;
        index.insert_unique(hash, number, |number| hasher.hash_one(&values[*number as usize].0));
        number
    }

    /// Lowers the reference count of a value; the last release removes the value.
    pub(super) fn release(&mut self, number: u32) {
        let Self { values, index, hasher } = self;
        let Some((value, _, uses)) = values.get_mut(number as usize) else { return };
        *uses -= 1;
        if *uses == 0 {
            if let Ok(entry) =
                index.find_entry(hasher.hash_one(&*value), |indexed| *indexed == number)
            {
                entry.remove();
            }
            values.remove(number as usize);
        }
    }

    pub(super) fn get(&self, number: u32) -> &T {
        &self.values[number as usize].0
    }

    pub(super) fn derived(&self, number: u32) -> &D {
        &self.values[number as usize].1
    }
}

impl<T: Hash + Eq> Interned<T> {
    /// The number of a value, with its reference count raised by one.
    pub(super) fn acquire(&mut self, value: T) -> u32 {
        self.acquire_with(value, |_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_stored_once_while_it_is_referenced() {
        let mut interned = Interned::new();
        let (a, b) = (interned.acquire("a"), interned.acquire("b"));
        assert_eq!(interned.acquire("a"), a);
        assert_eq!((interned.get(a), interned.get(b)), (&"a", &"b"));
        interned.release(a);
        interned.release(b);
        assert_eq!(interned.get(a), &"a");
        interned.release(a);
        assert!(interned.values.is_empty() && interned.index.is_empty());
    }
}
