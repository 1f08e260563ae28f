//! The encoding of coded symbols and items. A symbol is 8 bytes of sum, 4 of checksum, and the
//! count as zigzag LEB128, which mostly takes one or two bytes.

use mailmesh_events::{CodedSymbol, limits};

use crate::CodecError;

/// Shortest symbol in bytes.
const MIN_SYMBOL_LEN: usize = 13;
/// Longest count in bytes.
const MAX_COUNT_LEN: u32 = 10;

const WHAT: &str = "coded symbols";

pub(crate) fn encode_symbols(symbols: &[CodedSymbol]) -> Vec<u8> {
    let mut out = Vec::with_capacity(symbols.len() * (MIN_SYMBOL_LEN + 2));
    for symbol in symbols {
        out.extend(symbol.sum.to_be_bytes());
        out.extend(symbol.check.to_be_bytes());
        let mut count = (symbol.count << 1 ^ symbol.count >> 63) as u64;
        while count >= 0x80 {
            out.push(count as u8 | 0x80);
            count >>= 7;
        }
        out.push(count as u8);
    }
    out
}

pub(crate) fn decode_symbols(mut bytes: &[u8]) -> Result<Vec<CodedSymbol>, CodecError> {
    let truncated = || CodecError::Truncated { what: WHAT };
    let mut symbols = Vec::with_capacity((bytes.len() / MIN_SYMBOL_LEN).min(limits::SYNC_SYMBOLS));
    while !bytes.is_empty() {
        if symbols.len() == limits::SYNC_SYMBOLS {
            let (actual, limit) = (symbols.len() as u64 + 1, limits::SYNC_SYMBOLS as u64);
            return Err(CodecError::TooLong { what: WHAT, actual, limit });
        }
        let (sum, rest) = bytes.split_first_chunk().ok_or_else(truncated)?;
        let (check, mut rest) = rest.split_first_chunk().ok_or_else(truncated)?;
        let mut count = 0_u64;
        for index in 0.. {
            let (byte, after) = rest.split_first().ok_or_else(truncated)?;
            if index >= MAX_COUNT_LEN {
                return Err(CodecError::Type { what: WHAT });
            }
            rest = after;
            count |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                break;
            }
        }
        bytes = rest;
        symbols.push(CodedSymbol {
            sum: u64::from_be_bytes(*sum),
            check: u32::from_be_bytes(*check),
            count: (count >> 1) as i64 ^ -((count & 1) as i64),
        });
    }
    Ok(symbols)
}

pub(crate) fn encode_items(items: &[u64]) -> Vec<u8> {
    items.iter().flat_map(|item| item.to_be_bytes()).collect()
}

pub(crate) fn decode_items(bytes: &[u8]) -> Result<Vec<u64>, CodecError> {
    let (items, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(CodecError::Truncated { what: "items" });
    }
    Ok(items.iter().map(|item| u64::from_be_bytes(*item)).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn symbols_round_trip(
            symbols in prop::collection::vec((any::<u64>(), any::<u32>(), any::<i64>()), 0..50),
        ) {
            let symbol = |(sum, check, count)| CodedSymbol { sum, check, count };
            let symbols: Vec<_> = symbols.into_iter().map(symbol).collect();
            let bytes = encode_symbols(&symbols);
            prop_assert_eq!(decode_symbols(&bytes).unwrap(), symbols);
            for cut in 0..bytes.len() {
                // A cut between two symbols leaves a shorter valid list.
                prop_assert!(
                    decode_symbols(&bytes[..cut])
                        .is_ok_and(|read| encode_symbols(&read) == bytes[..cut])
                        || decode_symbols(&bytes[..cut]).is_err()
                );
            }
        }
    }

    #[test]
    fn small_counts_are_short_and_endless_ones_are_refused() {
        let symbol = |count| CodedSymbol { sum: 1, check: 2, count };
        for (count, len) in [(0, 13), (1, 13), (-1, 13), (63, 13), (64, 14), (1_000_000, 15)] {
            assert_eq!(encode_symbols(&[symbol(count)]).len(), len, "{count}");
        }
        let mut endless = vec![0; 12];
        endless.extend([0xff; 11]);
        assert!(decode_symbols(&endless).is_err());
        let many = encode_symbols(&vec![symbol(0); limits::SYNC_SYMBOLS + 1]);
        assert!(matches!(decode_symbols(&many), Err(CodecError::TooLong { .. })));
    }
}
