//! A minimal DER parser (ITU-T X.690), enough to recognise the kind of binary data.

/// SEQUENCE, INTEGER, OCTET STRING, BIT STRING and OBJECT IDENTIFIER.
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTETS: u8 = 0x04;
pub(super) const BITS: u8 = 0x03;
pub(super) const OID: u8 = 0x06;
/// The curve, and the public key, of an `ECPrivateKey` (RFC 5915): `[0]` and `[1]`.
pub(super) const CURVE: u8 = 0xa0;
pub(super) const PUBLIC_KEY: u8 = 0xa1;

/// The first element of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    /// The bytes behind the element.
    pub(super) rest: &'a [u8],
}

/// Splits off the first element.
pub(super) fn element(bytes: &[u8]) -> Option<Element<'_>> {
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
    Some(Element { tag: *tag, content, rest })
}

/// The content of the first element, if it has this tag, and the bytes behind the element.
pub(super) fn expect(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    element(bytes).filter(|found| found.tag == tag).map(|found| (found.content, found.rest))
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
    fn a_der_element_is_split_off_or_refused_if_it_is_truncated() {
        let found = |tag, content, rest| Some(Element { tag, content, rest });
        assert_eq!(element(&[2, 1, 7, 9]), found(2, &[7], &[9]));
        assert_eq!(element(&[4, 0x81, 2, 1, 2]), found(4, &[1, 2], &[]));
        for bad in [&[][..], &[2], &[2, 1], &[2, 0x80, 0], &[2, 0x85, 1, 1, 1, 1, 1], &[2, 0x82, 1]]
        {
            assert_eq!(element(bad), None, "{bad:?}");
        }
        assert_eq!((bits(&[]), bits(&[0]), bits(&[0, 0x80]), bits(&[1, 0])), (0, 0, 8, 9));
    }
}
