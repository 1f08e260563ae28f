//! A minimal DER parser (ITU-T X.690), enough to recognise the kind of binary data.

/// SEQUENCE, INTEGER, OCTET STRING, BIT STRING and OBJECT IDENTIFIER.
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTETS: u8 = 0x04;
pub(super) const BITS: u8 = 0x03;
pub(super) const OID: u8 = 0x06;

/// Splits off the first element: its tag, its content, and what follows it.
pub(super) fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (len, rest) = if *first < 0x80 {
        (usize::from(*first), rest)
    } else {
        let count = usize::from(*first & 0x7f);
        if count == 0 || count > 4 {
            return None;
        }
        let (digits, rest) = rest.split_at_checked(count)?;
        let len = digits.iter().fold(0_u64, |len, digit| len << 8 | u64::from(*digit));
        (usize::try_from(len).ok()?, rest)
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some((*tag, content, rest))
}

/// The content of the first element, if it has this tag, and what follows it.
pub(super) fn expect(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    element(bytes).filter(|(found, ..)| *found == tag).map(|(_, content, rest)| (content, rest))
}

/// The bits of an INTEGER that is not negative.
pub(super) fn bits(integer: &[u8]) -> usize {
    let zeros = integer.iter().take_while(|byte| **byte == 0).count();
    match &integer[zeros..] {
        [] => 0,
        digits => digits.len() * 8 - digits[0].leading_zeros() as usize,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_split_off_and_never_past_the_end() {
        assert_eq!(element(&[2, 1, 7, 9]), Some((2, &[7][..], &[9][..])));
        assert_eq!(element(&[4, 0x81, 2, 1, 2]), Some((4, &[1, 2][..], &[][..])));
        for bad in [&[][..], &[2], &[2, 1], &[2, 0x80, 0], &[2, 0x85, 1, 1, 1, 1, 1], &[2, 0x82, 1]]
        {
            assert_eq!(element(bad), None, "{bad:?}");
        }
        assert_eq!((bits(&[]), bits(&[0]), bits(&[0, 0x80]), bits(&[1, 0])), (0, 0, 8, 9));
    }
}
