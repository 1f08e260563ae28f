//! Rateless invertible Bloom lookup tables (Yang, Gilad, Alizadeh, "Practical Rateless Set
//! Reconciliation", SIGCOMM 2024): the difference of two sets of items, at a cost that depends on
//! the difference only.
//!
//! Each item is in symbol 0 and in ever sparser later symbols, which follow from its hash. The
//! first 1.35 d symbols decode about d differences; few differences need some more. A [`Sketch`]
//! maintains the first symbols of a set. Subtracting the symbols of another set leaves those of the
//! difference, which [`decode`] peels.

use mailmesh_events::CodedSymbol;
use siphasher::sip::SipHasher13;
use std::fmt;
use std::hash::Hasher;

/// Hashes items with a key, so that an outsider cannot make two items that share all symbols.
#[derive(Clone)]
pub(crate) struct ItemHasher(SipHasher13);

/// Leaves out the hasher, whose state is the key.
impl fmt::Debug for ItemHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ItemHasher(..)")
    }
}

impl ItemHasher {
    pub(crate) fn new(key: [u8; 16]) -> Self {
        Self(SipHasher13::new_with_key(&key))
    }

    fn check(&self, item: u64) -> u64 {
        let mut hasher = self.0;
        hasher.write(&item.to_le_bytes());
        hasher.finish()
    }
}

/// The indices of the symbols that contain an item, in ascending order.
struct SymbolIndices {
    random: u64,
    next: u64,
}

impl SymbolIndices {
    fn of(check: u64) -> Self {
        Self { random: check, next: 0 }
    }
}

impl Iterator for SymbolIndices {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let index = self.next;
        // SplitMix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut r = self.random;
        r = (r ^ r >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        r = (r ^ r >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        r ^= r >> 31;
        // Symbol i contains each item with probability 1 / (1 + i/2). All operations are IEEE 754
        // with correct rounding, so the result is the same on every platform.
        let gap = (index as f64 + 1.5) * (4_294_967_296.0 / (r as f64 + 1.0).sqrt() - 1.0);
        // A gap is at least 1. The cast saturates, which is beyond every table.
        self.next = index.saturating_add(gap.ceil().max(1.0) as u64);
        Some(index)
    }
}

/// The first coded symbols of a set.
#[derive(Debug, Clone)]
pub(crate) struct Sketch {
    item_hasher: ItemHasher,
    symbols: Vec<CodedSymbol>,
}

impl Sketch {
    /// The first `len` symbols of an empty set.
    pub(crate) fn new(item_hasher: ItemHasher, len: usize) -> Self {
        Self { item_hasher, symbols: vec![CodedSymbol::default(); len] }
    }

    pub(crate) fn add(&mut self, item: u64) {
        self.apply(item, 1);
    }

    pub(crate) fn remove(&mut self, item: u64) {
        self.apply(item, -1);
    }

    fn apply(&mut self, item: u64, count: i64) {
        apply(&mut self.symbols, item, self.item_hasher.check(item), count);
    }

    pub(crate) fn symbols(&self) -> &[CodedSymbol] {
        &self.symbols
    }

    pub(crate) fn item_hasher(&self) -> &ItemHasher {
        &self.item_hasher
    }
}

fn apply(symbols: &mut [CodedSymbol], item: u64, check: u64, count: i64) {
    for index in SymbolIndices::of(check) {
        let Some(symbol) = usize::try_from(index).ok().and_then(|at| symbols.get_mut(at)) else {
            return;
        };
        symbol.sum ^= item;
        symbol.check ^= check as u32;
        symbol.count = symbol.count.wrapping_add(count);
    }
}

/// The difference of two sets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Difference {
    /// Items that only the peer has.
    pub(crate) theirs: Vec<u64>,
    /// Items that only this node has.
    pub(crate) ours: Vec<u64>,
}

/// Decodes the difference of two sets from their symbols; `None` if there are too few. Both lists
/// begin at symbol 0; the longer one is truncated.
pub(crate) fn decode(
    item_hasher: &ItemHasher,
    theirs: &[CodedSymbol],
    ours: &[CodedSymbol],
) -> Option<Difference> {
    let minus = |(a, b): (&CodedSymbol, &CodedSymbol)| CodedSymbol {
        sum: a.sum ^ b.sum,
        check: a.check ^ b.check,
        count: a.count.wrapping_sub(b.count),
    };
    let mut left: Vec<CodedSymbol> = theirs.iter().zip(ours).map(minus).collect();
    let mut difference = Difference::default();
    let mut to_check: Vec<usize> = (0..left.len()).collect();
    // Each true item empties a symbol, so more items than symbols mean forged symbols.
    let mut items_left = left.len();
    while let Some(at) = to_check.pop() {
        let symbol = left[at];
        if symbol.count.unsigned_abs() != 1 {
            continue;
        }
        let check = item_hasher.check(symbol.sum);
        if check as u32 != symbol.check {
            continue;
        }
        items_left = items_left.checked_sub(1)?;
        let found = if symbol.count == 1 { &mut difference.theirs } else { &mut difference.ours };
        found.push(symbol.sum);
        apply(&mut left, symbol.sum, check, -symbol.count);
        let indices = SymbolIndices::of(check).map_while(|at| usize::try_from(at).ok());
        to_check.extend(indices.take_while(|at| *at < left.len()));
    }
    left.iter().all(|symbol| *symbol == CodedSymbol::default()).then_some(difference)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::entries::SKETCH_SYMBOLS;

    fn item_hasher() -> ItemHasher {
        ItemHasher::new([5; 16])
    }

    fn sketch(items: impl IntoIterator<Item = u64>, len: usize) -> Sketch {
        let mut sketch = Sketch::new(item_hasher(), len);
        items.into_iter().for_each(|item| sketch.add(item));
        sketch
    }

    /// Items distributed like hashes.
    fn items(from: u64, count: u64) -> impl Iterator<Item = u64> {
        (from..from + count).map(|n| ItemHasher::new([1; 16]).check(n))
    }

    proptest! {
        #[test]
        fn a_decoded_difference_is_the_real_one(
            a in prop::collection::btree_set(any::<u64>(), 0..60),
            b in prop::collection::btree_set(any::<u64>(), 0..60),
            both in prop::collection::btree_set(any::<u64>(), 0..60),
            len in 1usize..200,
        ) {
            let (a, b): (BTreeSet<u64>, BTreeSet<u64>) = (&a | &both, &b | &both);
            let (theirs, ours) = (sketch(a.clone(), len), sketch(b.clone(), len));
            if let Some(difference) = decode(&item_hasher(), theirs.symbols(), ours.symbols()) {
                prop_assert_eq!(difference.theirs.len() + difference.ours.len(), (&a ^ &b).len());
                prop_assert_eq!(difference.theirs.into_iter().collect::<BTreeSet<_>>(), &a - &b);
                prop_assert_eq!(difference.ours.into_iter().collect::<BTreeSet<_>>(), &b - &a);
            } else {
                // That all of these symbols fail has a probability below 1e-6.
                prop_assert!(len < 8 * (&a ^ &b).len() + 100, "{} of {}", len, (&a ^ &b).len());
            }
        }

        /// Symbols of a peer are untrusted: decoding terminates whatever they are.
        #[test]
        fn forged_symbols_decode_in_bounded_time(
            forged in prop::collection::vec((any::<u64>(), any::<u32>(), -2i64..3), 0..64),
            item: u64,
        ) {
            let symbol = |(sum, check, count)| CodedSymbol { sum, check, count };
            let mut theirs: Vec<CodedSymbol> = forged.into_iter().map(symbol).collect();
            // Each looks like a symbol with a single item, also at indices that the item is not in.
            let check = item_hasher().check(item) as u32;
            theirs.extend([CodedSymbol { sum: item, check, count: 1 }; 8]);
            let ours = sketch(items(0, 10), theirs.len());
            decode(&item_hasher(), &theirs, ours.symbols());
        }
    }

    #[test]
    fn a_removed_item_leaves_no_trace() {
        let mut sketch = sketch(items(0, 100), 64);
        items(0, 100).for_each(|item| sketch.remove(item));
        assert!(sketch.symbols().iter().all(|symbol| *symbol == CodedSymbol::default()));
    }

    #[test]
    fn few_symbols_decode_a_small_difference() {
        for (half, max) in [(5, 64), (50, 200), (350, 1_024)] {
            let theirs = sketch(items(0, 10_000), SKETCH_SYMBOLS);
            let ours = sketch(items(half, 10_000), SKETCH_SYMBOLS);
            let decodes = |len: &usize| {
                decode(&item_hasher(), &theirs.symbols()[..*len], &ours.symbols()[..*len]).is_some()
            };
            let needed = (1..=SKETCH_SYMBOLS).find(decodes);
            assert!(needed.is_some_and(|needed| needed <= max), "{half}: {needed:?}");
        }
    }

    #[test]
    fn the_symbols_of_an_item_never_change() {
        // Nodes of all versions must agree on the indices of an item.
        let indices: Vec<u64> = SymbolIndices::of(item_hasher().check(7)).take(8).collect();
        assert_eq!(indices, [0, 2, 3, 10, 14, 48, 57, 63]);
    }
}
