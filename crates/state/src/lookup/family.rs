//! The networks of one address family.

use std::sync::atomic::{AtomicU64, Ordering};

use super::address::{Address, Seed};
use super::table::{Table, words};

/// Bits of the coarse filter.
const COARSE_BITS: usize = 1 << 24;

/// What a lookup asks, in this order:
/// 1. the coarse filter, one bit per IPv4 /24, and per hash of an IPv6 /48 or of the first
///    16 bits of what is wider: most addresses are done here;
/// 2. the table of addresses;
/// 3. the table of prefixes, once per length that is there, of wider ones near the first
///    16 bits.
///
/// Bits and lengths stay when entries go: they only cost a look too many, until the next
/// [`rebuilt`](Self::rebuilt).
#[derive(Debug)]
pub(super) struct Family<A> {
    seed: Seed,
    addresses: Table<A>,
    prefixes: Table<A>,
    /// Empty while there is nothing.
    filter: Box<[AtomicU64]>,
    /// Per first 16 bits, the lengths below `COARSE` of prefixes that begin like that or
    /// are wider.
    wide: Box<[AtomicU64]>,
    /// Lengths from `COARSE` on of prefixes.
    narrow: [AtomicU64; 2],
}

impl<A: Address> Family<A> {
    pub(super) fn empty() -> Self {
        let seed = Seed::random();
        Self {
            seed,
            addresses: Table::with_room(0, seed),
            prefixes: Table::with_room(0, seed),
            filter: words(0),
            wide: words(0),
            narrow: Default::default(),
        }
    }

    /// The same entries with room for so many more, and none of what went.
    pub(super) fn rebuilt(&self, more: usize) -> Self {
        let seed = Seed::random();
        let next = Self {
            seed,
            addresses: Table::with_room(self.addresses.len() + more, seed),
            prefixes: Table::with_room(self.prefixes.len() + more, seed),
            filter: words(COARSE_BITS / 64),
            wide: words(1 << 16),
            narrow: Default::default(),
        };
        self.addresses.iter().for_each(|(address, until)| next.set(address, A::BITS, until));
        for (prefix, until) in self.prefixes.iter() {
            next.set(prefix, prefix.prefix_len(), until);
        }
        next
    }

    /// Whether the next entry needs a [`rebuilt`](Self::rebuilt) one.
    pub(super) fn is_crowded(&self) -> bool {
        self.filter.is_empty() || self.addresses.is_crowded() || self.prefixes.is_crowded()
    }

    /// Bytes.
    pub(super) fn size(&self) -> usize {
        (self.filter.len() + self.wide.len()) * 8 + self.addresses.size() + self.prefixes.size()
    }

    pub(super) fn set(&self, address: A, len: u8, until: u64) {
        if len == A::BITS {
            self.addresses.set(address, until);
        } else {
            self.prefixes.set(address.prefix(len), until);
        }
        if len >= A::COARSE {
            if len < A::BITS {
                self.narrow[usize::from(len / 64)].fetch_or(1 << (len % 64), Ordering::Release);
            }
            self.mark(address.coarse(self.seed));
        } else {
            let first = usize::from(address.top());
            let count = 1_usize << 16_u8.saturating_sub(len);
            let first = first & !(count - 1);
            for lengths in &self.wide[first..first + count] {
                lengths.fetch_or(1 << len, Ordering::Release);
            }
            // Last, so that who sees the bit sees the length.
            address.coarse_of_wide(len, self.seed).for_each(|bit| self.mark(bit));
        }
    }

    fn mark(&self, bit: u32) {
        self.filter[bit as usize / 64].fetch_or(1 << (bit % 64), Ordering::Release);
    }

    fn is_marked(&self, bit: u32) -> bool {
        self.filter[bit as usize / 64].load(Ordering::Acquire) >> (bit % 64) & 1 != 0
    }

    pub(super) fn remove(&self, address: A, len: u8) {
        if len == A::BITS {
            self.addresses.remove(address);
        } else {
            self.prefixes.remove(address.prefix(len));
        }
    }

    /// Length of the longest prefix with the address that is live at `now`.
    #[inline]
    pub(super) fn longest(&self, address: A, now: u64) -> Option<u8> {
        if self.filter.is_empty() {
            return None;
        }
        let is_near = self.is_marked(address.coarse(self.seed))
            || address.coarse_of_top(self.seed).is_some_and(|bit| self.is_marked(bit));
        if is_near { self.search(address, now) } else { None }
    }

    fn search(&self, address: A, now: u64) -> Option<u8> {
        let is_live = |until: Option<u64>| until.is_some_and(|until| until > now);
        if is_live(self.addresses.until(address)) {
            return Some(A::BITS);
        }
        let has = |len: &u8| is_live(self.prefixes.until(address.prefix(*len)));
        for (word, from) in [(1, 64), (0, 0)] {
            let lengths = self.narrow[word].load(Ordering::Acquire);
            if let Some(len) = descending(lengths).map(|len| len + from).find(has) {
                return Some(len);
            }
        }
        let wide = self.wide[usize::from(address.top())].load(Ordering::Acquire);
        descending(wide).find(has)
    }
}

/// Numbers of the bits that are one, highest first.
fn descending(mut bits: u64) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let top = 63_u8.checked_sub(bits.leading_zeros() as u8)?;
        bits &= !(1 << top);
        Some(top)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_highest_first() {
        assert_eq!(descending(1 << 63 | 1 << 8 | 1).collect::<Vec<_>>(), [63, 8, 0]);
        assert_eq!(descending(0).next(), None);
    }
}
