//! The networks of one address family.

use std::sync::atomic::{AtomicU64, Ordering};

use super::address::{Address, Seed};
use super::filter::Candidates;
use super::table::{NO_EXPIRY, Table, words};

/// The epoch of a new table lies this long before the change that caused the rebuild, so that
/// slightly earlier times can be represented.
const PAST_MS: u64 = 3_600_000;

/// After the filter, a lookup searches
/// 1. the table of addresses;
/// 2. the table of prefixes, once for each length that may match; for lengths below `NARROW_LEN`,
///    only those of prefixes that share the address's first 16 bits.
///
/// The sets of lengths do not shrink when entries are removed. A stale length costs one extra table
/// access, until the family is [`rebuilt`](Self::rebuilt).
#[derive(Debug)]
pub(super) struct Family<A> {
    addresses: Table<A>,
    prefixes: Table<A>,
    /// For each value of the first 16 bits: the lengths below `NARROW_LEN` of prefixes that match
    /// it, as a bit set. Empty until the first entry.
    wide: Box<[AtomicU64]>,
    /// The lengths of prefixes from `NARROW_LEN` on, as a bit set.
    narrow: [AtomicU64; 2],
}

impl<A: Address> Family<A> {
    pub(super) fn empty() -> Self {
        let seed = Seed::random();
        Self {
            addresses: Table::with_capacity(0, 0, seed),
            prefixes: Table::with_capacity(0, 0, seed),
            wide: words(0),
            narrow: Default::default(),
        }
    }

    /// A copy with room for this many more addresses and prefixes, without the slots and lengths of
    /// removed entries.
    pub(super) fn rebuilt(&self, addresses: usize, prefixes: usize, now: u64) -> Self {
        let (seed, epoch) = (Seed::random(), now.saturating_sub(PAST_MS));
        let next = Self {
            addresses: Table::with_capacity(self.addresses.len() + addresses, epoch, seed),
            prefixes: Table::with_capacity(self.prefixes.len() + prefixes, epoch, seed),
            wide: words(1 << 16),
            narrow: Default::default(),
        };
        self.addresses.iter().for_each(|(address, end)| next.set(address, A::BITS, end));
        for (prefix, end) in self.prefixes.iter() {
            next.set(prefix, prefix.prefix_len(), end);
        }
        next
    }

    /// Every network, as an address and a length.
    pub(super) fn iter(&self) -> impl Iterator<Item = (A, u8)> {
        let prefixes = self.prefixes.iter().map(|(prefix, _)| (prefix, prefix.prefix_len()));
        self.addresses.iter().map(|(address, _)| (address, A::BITS)).chain(prefixes)
    }

    /// Whether the next insertion needs a [`rebuilt`](Self::rebuilt) copy.
    pub(super) fn needs_rebuild(&self, now: u64) -> bool {
        self.wide.is_empty()
            || self.addresses.needs_rebuild(now)
            || self.prefixes.needs_rebuild(now)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.wide.is_empty()
    }

    /// Size of the tables, in bytes.
    pub(super) fn size(&self) -> usize {
        self.wide.len() * 8 + self.addresses.size() + self.prefixes.size()
    }

    pub(super) fn set(&self, address: A, len: u8, end: u64) {
        if len == A::BITS {
            return self.addresses.set(address, end);
        }
        self.prefixes.set(address.prefix(len), end);
        if len >= A::NARROW_LEN {
            self.narrow[usize::from(len / 64)].fetch_or(1 << (len % 64), Ordering::Release);
        } else {
            let first = usize::from(address.top());
            let count = 1_usize << 16_u8.saturating_sub(len);
            let first = first & !(count - 1);
            for lengths in &self.wide[first..first + count] {
                lengths.fetch_or(1 << len, Ordering::Release);
            }
        }
    }

    pub(super) fn remove(&self, address: A, len: u8) {
        if len == A::BITS {
            self.addresses.remove(address);
        } else {
            self.prefixes.remove(address.prefix(len));
        }
    }

    /// The length of the longest prefix that contains the address, is live at `now` as far as the
    /// tables can represent its end, and satisfies `is_live`.
    #[inline]
    pub(super) fn longest_match(
        &self,
        address: A,
        candidates: Candidates,
        now: u64,
        is_live: impl Fn(u8) -> bool,
    ) -> Option<u8> {
        // An entry without an expiry does not end at the last representable time either.
        let now = now.min(NO_EXPIRY - 1);
        let is_after = |end: Option<u64>| end.is_some_and(|end| end > now);
        if candidates.address && is_after(self.addresses.end(address)) && is_live(A::BITS) {
            return Some(A::BITS);
        }
        if !candidates.prefix || self.is_empty() {
            return None;
        }
        let has = |len: &u8| is_after(self.prefixes.end(address.prefix(*len))) && is_live(*len);
        for (word, from) in [(1, 64), (0, 0)] {
            let lengths = self.narrow[word].load(Ordering::Acquire);
            if let Some(len) = descending(lengths).map(|len| len + from).find(&has) {
                return Some(len);
            }
        }
        let wide = self.wide[usize::from(address.top())].load(Ordering::Acquire);
        descending(wide).find(&has)
    }
}

/// The indices of the bits that are set, highest first.
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
    fn bits_are_listed_highest_first() {
        assert_eq!(descending(1 << 63 | 1 << 8 | 1).collect::<Vec<_>>(), [63, 8, 0]);
        assert_eq!(descending(0).next(), None);
    }
}
