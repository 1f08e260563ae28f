//! The public id of a cluster key.

use std::fmt;
use std::str::FromStr;

use crate::EventError;

/// The public id of a cluster key, by which operators and nodes name the key. It is derived from
/// the key and reveals nothing about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 8]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for KeyId {
    type Err = EventError;

    /// Parses 16 hexadecimal digits, as `Display` writes them; upper case is accepted too.
    fn from_str(text: &str) -> Result<Self, EventError> {
        // `from_str_radix` accepts a sign too.
        let is_valid = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = is_valid.then(|| u64::from_str_radix(text, 16).ok()).flatten();
        number.map(|number| Self(number.to_be_bytes())).ok_or(EventError::BadKeyId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_id_round_trips_through_text() {
        let id = KeyId([0, 1, 0x2a, 0xff, 4, 5, 6, 0x80]);
        assert_eq!(id.to_string(), "00012aff04050680");
        for text in ["00012aff04050680", "00012AFF04050680"] {
            assert_eq!(text.parse::<KeyId>().unwrap(), id);
        }
        let bad = ["", "00", "gggggggggggggggg", "00112233445566778", "\u{e9}2345678901234"];
        for text in bad.into_iter().chain(["+012345678901234"]) {
            assert_eq!(text.parse::<KeyId>().unwrap_err(), EventError::BadKeyId, "{text}");
        }
    }
}
