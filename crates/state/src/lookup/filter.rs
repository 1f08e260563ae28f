//! The first stage of a lookup, and for most addresses the last: a block-local Bloom filter, in
//! which a query reads one or two words (Putze, Sanders, Singler, "Cache-, Hash- and
//! Space-Efficient Bloom Filters", 2007). It answers two questions at once: whether the address
//! itself may be listed, and whether a prefix that contains it may be.
//!
//! The filter is read independently of the tables. At any moment it has no false negatives for the
//! networks in the tables; it has false positives.

use std::marker::PhantomData;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use super::address::{Address, Seed};
use super::table::words;

/// The answer of a filter for an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidates {
    /// The address itself may be listed.
    pub(super) address: bool,
    /// A prefix that contains the address may be listed.
    pub(super) prefix: bool,
}

#[derive(Debug)]
pub(super) struct Filter<A> {
    seed: Seed,
    /// Allocated with the first mark.
    words: OnceLock<Box<[AtomicU64]>>,
    /// Number of marked networks removed since the filter was last rebuilt.
    removed: AtomicUsize,
    /// A prefix too short to be marked is listed, so every address may be in it.
    has_unmarked_prefix: AtomicBool,
    addresses: PhantomData<A>,
}

/// The content of a filter.
#[derive(Debug)]
pub(super) struct Marks {
    words: Vec<u64>,
    has_unmarked_prefix: bool,
}

/// Three bits of a word.
fn mask(hash: u64) -> u64 {
    1 << (hash & 63) | 1 << (hash >> 6 & 63) | 1 << (hash >> 12 & 63)
}

fn word_index<A: Address>(hash: u64) -> usize {
    (hash >> (64 - A::FILTER_INDEX_BITS)) as usize
}

impl<A: Address> Filter<A> {
    pub(super) fn empty() -> Self {
        Self {
            seed: Seed::random(),
            words: OnceLock::new(),
            removed: AtomicUsize::new(0),
            has_unmarked_prefix: AtomicBool::new(false),
            addresses: PhantomData,
        }
    }

    #[inline]
    pub(super) fn candidates(&self, address: A) -> Candidates {
        let Some(words) = self.words.get() else {
            return Candidates { address: false, prefix: false };
        };
        let narrow = address.narrow_hash(self.seed);
        let word = words[word_index::<A>(narrow)].load(Ordering::Acquire);
        let has = |word: u64, mask: u64| word & mask == mask;
        let wide = |hash| has(words[word_index::<A>(hash)].load(Ordering::Acquire), mask(hash));
        Candidates {
            address: has(word, mask(address.hash(self.seed))),
            prefix: has(word, mask(narrow))
                || address.wide_hash(self.seed).is_some_and(wide)
                || self.has_unmarked_prefix.load(Ordering::Acquire),
        }
    }

    /// Marks a network.
    pub(super) fn mark(&self, address: A, len: u8) {
        let words = self.words.get_or_init(|| words(1 << A::FILTER_INDEX_BITS));
        let has_unmarked_prefix = each_mark(self.seed, address, len, |at, mask| {
            // A wide prefix that is set again has most of its marks already; reading is cheaper
            // than writing.
            if words[at].load(Ordering::Relaxed) & mask != mask {
                words[at].fetch_or(mask, Ordering::Release);
            }
        });
        if has_unmarked_prefix {
            self.has_unmarked_prefix.store(true, Ordering::Release);
        }
    }

    /// The marks of these networks.
    pub(super) fn marks_of(&self, networks: impl Iterator<Item = (A, u8)>) -> Marks {
        let mut marks =
            Marks { words: vec![0; 1 << A::FILTER_INDEX_BITS], has_unmarked_prefix: false };
        for (address, len) in networks {
            let mark = |at: usize, mask| marks.words[at] |= mask;
            marks.has_unmarked_prefix |= each_mark(self.seed, address, len, mark);
        }
        marks
    }

    /// Replaces the content. No other thread may mark networks meanwhile.
    pub(super) fn replace_marks(&self, marks: Marks) {
        for (word, mask) in self.words.get().into_iter().flatten().zip(marks.words) {
            word.store(mask, Ordering::Release);
        }
        self.has_unmarked_prefix.store(marks.has_unmarked_prefix, Ordering::Release);
        self.removed.store(0, Ordering::Relaxed);
    }

    /// Counts a removed network. Its marks stay until the filter is rebuilt.
    pub(super) fn note_removal(&self) {
        self.removed.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether enough networks were removed to be worth a rebuild.
    pub(super) fn is_stale(&self) -> bool {
        self.removed.load(Ordering::Relaxed) >= (1 << A::FILTER_INDEX_BITS) / 16
    }

    /// Size of the filter, in bytes.
    pub(super) fn size(&self) -> usize {
        self.words.get().map_or(0, |words| words.len() * 8)
    }
}

/// Passes the word index and the bits of each mark of a network to `mark`. `true` if the network is
/// too wide to be marked.
fn each_mark<A: Address>(
    seed: Seed,
    address: A,
    len: u8,
    mut mark: impl FnMut(usize, u64),
) -> bool {
    let narrow = |mark: &mut dyn FnMut(usize, u64), address: A| {
        let hash = address.narrow_hash(seed);
        mark(word_index::<A>(hash), mask(hash));
    };
    if len == A::BITS {
        mark(word_index::<A>(address.narrow_hash(seed)), mask(address.hash(seed)));
    } else if len >= A::NARROW_LEN {
        narrow(&mut mark, address);
    } else if len < A::MIN_MARKED_LEN {
        return true;
    } else if let Some(hash) = address.wide_hash(seed) {
        mark(word_index::<A>(hash), mask(hash));
    } else {
        address.narrow_within(len).for_each(|address| narrow(&mut mark, address));
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_listed_network_is_always_a_candidate(
            networks in prop::collection::vec((any::<u32>(), 0u8..=32), 0..20),
            v6 in prop::collection::vec((any::<u128>(), 0u8..=128), 0..20),
            tail: u128,
            rewrite: bool,
        ) {
            let filter = Filter::<u32>::empty();
            networks.iter().for_each(|(address, len)| filter.mark(*address, *len));
            if rewrite {
                filter.replace_marks(filter.marks_of(networks.iter().copied()));
            }
            for (address, len) in networks {
                let within = address ^ (tail as u32).checked_shr(len.into()).unwrap_or(0);
                let candidates = filter.candidates(within);
                let is_candidate = if len == 32 { candidates.address } else { candidates.prefix };
                prop_assert!(is_candidate);
            }
            let filter = Filter::<u128>::empty();
            v6.iter().for_each(|(address, len)| filter.mark(*address, *len));
            if rewrite {
                let marks = filter.marks_of(v6.iter().copied());
                filter.replace_marks(marks);
            }
            for (address, len) in v6 {
                let within = address ^ tail.checked_shr(len.into()).unwrap_or(0);
                let candidates = filter.candidates(within);
                let is_candidate = if len == 128 { candidates.address } else { candidates.prefix };
                prop_assert!(is_candidate);
            }
        }
    }

    #[test]
    fn the_filter_has_few_false_positives_and_can_be_emptied() {
        let filter = Filter::<u32>::empty();
        let scattered = |n: u32| n.wrapping_mul(0x9E37_79B1);
        (0..1_000_000).for_each(|n| filter.mark(scattered(n), 32));
        let candidates = (2_000_000..2_100_000).map(|n| filter.candidates(scattered(n)));
        let (addresses, prefixes) = candidates.fold((0, 0), |(addresses, prefixes), candidates| {
            (addresses + u32::from(candidates.address), prefixes + u32::from(candidates.prefix))
        });
        assert!(addresses < 1_000 && prefixes < 1_000, "{addresses} {prefixes}");
        filter.replace_marks(filter.marks_of(std::iter::empty()));
        assert_eq!(filter.candidates(scattered(1)), Candidates { address: false, prefix: false });
    }
}
