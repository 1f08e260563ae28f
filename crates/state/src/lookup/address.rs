//! IPv4 and IPv6 addresses as integers.

use std::fmt::Debug;
use std::hash::{BuildHasher, RandomState};

/// An address as an integer.
pub(super) trait Address: Copy + Eq + Debug {
    /// Length of an address in bits.
    const BITS: u8;
    /// Number of 64-bit words of an address.
    const WORDS: usize;
    /// Prefixes of at least this length are marked in the filter by their first `NARROW_LEN` bits.
    const NARROW_LEN: u8;
    /// Shorter prefixes are not marked; the filter then answers "perhaps" for every address.
    const MIN_MARKED_LEN: u8;
    /// The filter has 2 to the power of this many words.
    const FILTER_INDEX_BITS: u32;

    fn words(self) -> [u64; 2];

    fn from_words(words: [u64; 2]) -> Self;

    /// The prefix of length `len`, encoded with its length in one integer: the first `len` bits,
    /// then a one, then zeros. `len` must be less than the length of an address.
    fn prefix(self, len: u8) -> Self;

    /// The length of an encoded [`prefix`](Self::prefix).
    fn prefix_len(self) -> u8;

    /// The first 16 bits.
    fn top(self) -> u16;

    /// A keyed hash of the first [`NARROW_LEN`](Self::NARROW_LEN) bits.
    fn narrow_hash(self, seed: Seed) -> u64;

    /// A keyed hash of the first 16 bits, by which prefixes shorter than
    /// [`NARROW_LEN`](Self::NARROW_LEN) are marked. `None` if they are marked by each of their
    /// [`narrow_within`](Self::narrow_within) instead.
    fn wide_hash(self, seed: Seed) -> Option<u64>;

    /// One address in each prefix of [`NARROW_LEN`](Self::NARROW_LEN) bits within the first `len`
    /// bits. `len` must be at least [`MIN_MARKED_LEN`](Self::MIN_MARKED_LEN).
    fn narrow_within(self, len: u8) -> impl Iterator<Item = Self>;

    /// A keyed hash, so that an outsider cannot choose addresses that collide.
    fn hash(self, seed: Seed) -> u64 {
        let [high, low] = self.words();
        fold_product(high ^ seed.0[0], low ^ seed.0[1]) ^ fold_product(low ^ seed.0[2], seed.0[3])
    }
}

/// A hash key, random for each process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seed([u64; 4]);

impl Seed {
    pub(super) fn random() -> Self {
        let state = RandomState::new();
        Self([0, 1, 2, 3].map(|index: u8| state.hash_one(index) | 1))
    }

    #[cfg(test)]
    pub(super) fn fixed() -> Self {
        Self([
            0x9E37_79B9_7F4A_7C15,
            0xBF58_476D_1CE4_E5B9,
            0x94D0_49BB_1331_11EB,
            0xD6E8_FEB8_6659_FD93,
        ])
    }
}

/// The high half of the 128-bit product, xor the low half.
fn fold_product(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

impl Address for u32 {
    const BITS: u8 = 32;
    const WORDS: usize = 1;
    const NARROW_LEN: u8 = 24;
    const MIN_MARKED_LEN: u8 = 8;
    const FILTER_INDEX_BITS: u32 = 19;

    fn words(self) -> [u64; 2] {
        [self.into(), 0]
    }

    fn from_words([word, _]: [u64; 2]) -> Self {
        word as u32
    }

    fn prefix(self, len: u8) -> Self {
        let marker = 1 << (31 - len);
        self & !(marker | (marker - 1)) | marker
    }

    fn prefix_len(self) -> u8 {
        31 - self.trailing_zeros() as u8
    }

    fn top(self) -> u16 {
        (self >> 16) as u16
    }

    #[inline]
    fn narrow_hash(self, seed: Seed) -> u64 {
        fold_product(u64::from(self >> 8) ^ seed.0[2], seed.0[1])
    }

    #[inline]
    fn wide_hash(self, _: Seed) -> Option<u64> {
        None
    }

    fn narrow_within(self, len: u8) -> impl Iterator<Item = Self> {
        let count = 1 << 24_u8.saturating_sub(len);
        let first = (self >> 8) & !(count - 1);
        (first..first + count).map(|narrow| narrow << 8)
    }
}

impl Address for u128 {
    const BITS: u8 = 128;
    const WORDS: usize = 2;
    const NARROW_LEN: u8 = 48;
    const MIN_MARKED_LEN: u8 = 16;
    const FILTER_INDEX_BITS: u32 = 18;

    fn words(self) -> [u64; 2] {
        [(self >> 64) as u64, self as u64]
    }

    fn from_words([high, low]: [u64; 2]) -> Self {
        u128::from(high) << 64 | u128::from(low)
    }

    fn prefix(self, len: u8) -> Self {
        let marker = 1 << (127 - len);
        self & !(marker | (marker - 1)) | marker
    }

    fn prefix_len(self) -> u8 {
        127 - self.trailing_zeros() as u8
    }

    fn top(self) -> u16 {
        (self >> 112) as u16
    }

    #[inline]
    fn narrow_hash(self, seed: Seed) -> u64 {
        fold_product((self >> 80) as u64 ^ seed.0[0], seed.0[3])
    }

    #[inline]
    fn wide_hash(self, seed: Seed) -> Option<u64> {
        // Keyed differently from `narrow_hash`, so that the two do not coincide.
        Some(fold_product(u64::from(self.top()) ^ seed.0[2], seed.0[1]))
    }

    fn narrow_within(self, _: u8) -> impl Iterator<Item = Self> {
        std::iter::once(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_prefix_keeps_its_bits_and_length(v4: u32, v6: u128, len in 0u8..32, long in 0u8..128) {
            prop_assert_eq!(v4.prefix(len).prefix_len(), len);
            prop_assert_eq!(v6.prefix(long).prefix_len(), long);
            prop_assert_eq!((v4 ^ v4.prefix(len)).leading_zeros().min(len.into()), u32::from(len));
            let common = (v6 ^ v6.prefix(long)).leading_zeros().min(long.into());
            prop_assert_eq!(common, u32::from(long));
            // Bits after the prefix do not matter.
            let tail = !0_u32 >> len;
            prop_assert_eq!((v4 ^ tail).prefix(len), v4.prefix(len));
        }
    }
}
