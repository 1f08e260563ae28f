//! Names of columns, keys and words in the normal form in which tables of this crate hold them.

use std::ops::Deref;

/// Upper bound on the letters and digits of a name that count.
const MAX_LETTERS: usize = 40;
/// The bytes of the longest name: a letter has at most four.
const MAX_BYTES: usize = 4 * MAX_LETTERS;

/// A name in lower case, without spaces, punctuation and the usual accents. It is held without an
/// allocation, because tables look up a name for each field.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NormalName {
    bytes: [u8; MAX_BYTES],
    len: usize,
}

/// The normal form of the first 40 letters and digits of a name.
pub(crate) fn normal_name(name: &str) -> NormalName {
    let mut normal = NormalName { bytes: [0; MAX_BYTES], len: 0 };
    let letters = name.chars().filter(|c| c.is_alphanumeric()).take(MAX_LETTERS);
    for c in letters.flat_map(char::to_lowercase).map(without_accent) {
        let end = normal.len + c.len_utf8();
        let Some(rest) = normal.bytes.get_mut(normal.len..end) else { break };
        normal.len += c.encode_utf8(rest).len();
    }
    normal
}

impl NormalName {
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

impl Deref for NormalName {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq<&str> for NormalName {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

fn without_accent(c: char) -> char {
    match c {
        'à'..='å' | 'ą' => 'a',
        'ç' | 'ć' => 'c',
        'è'..='ë' | 'ę' => 'e',
        'ì'..='ï' => 'i',
        'ł' => 'l',
        'ñ' | 'ń' => 'n',
        'ò'..='ö' => 'o',
        'ś' => 's',
        'ù'..='ü' => 'u',
        'ź' | 'ż' | 'ž' => 'z',
        c => c,
    }
}
