//! Normalises the encodings and notations in which PEM occurs.

use zeroize::Zeroizing;

use super::data_kind;
use super::error::PemError;

/// Stands for an escaped line break, which ends a line of the PEM but not a line of the file.
pub(super) const ESCAPED_BREAK: u8 = 0x0b;

/// A normalised text, ready for the search for sections.
pub(super) struct Text {
    /// The bytes of the text. Escapes are replaced at their width, so that line numbers match the
    /// file.
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// Whether the file was UTF-16.
    pub(super) is_utf16: bool,
    /// Whether lines began with `>`, as programs for mail quote a text.
    pub(super) is_quoted: bool,
}

impl Text {
    pub(super) fn of(given: &[u8]) -> Result<Self, PemError> {
        if given.iter().all(|byte| byte.is_ascii_whitespace() || *byte == 0) {
            return Err(PemError::Empty);
        }
        if let Some(found) = data_kind::of_binary(given) {
            return Err(PemError::Binary { found });
        }
        let (mut bytes, is_utf16) = match from_utf16(given) {
            Some(bytes) => (bytes, true),
            None => (Zeroizing::new(given.to_vec()), false),
        };
        let is_quoted = remove_quote_marks(&mut bytes);
        unescape(&mut bytes);
        Ok(Self { bytes, is_utf16, is_quoted })
    }
}

/// Converts UTF-16 to UTF-8; `None` for other texts. UTF-16 is recognised by a byte order mark, or
/// by the zeros within a marker.
fn from_utf16(given: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let has = |wide: fn(u8) -> [u8; 2]| {
        let marker: Vec<u8> = b"BEGIN ".iter().copied().flat_map(wide).collect();
        given.windows(marker.len()).any(|window| window == marker)
    };
    let (rest, to_unit): (_, fn([u8; 2]) -> u16) = match given {
        [0xff, 0xfe, rest @ ..] => (rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => (rest, u16::from_be_bytes),
        _ if has(|byte| [byte, 0]) => (given, u16::from_le_bytes),
        _ if has(|byte| [0, byte]) => (given, u16::from_be_bytes),
        _ => return None,
    };
    // PEM is ASCII; other characters occur in comments only.
    let mut bytes = Zeroizing::new(Vec::with_capacity(rest.len() / 2));
    bytes.extend(rest.chunks_exact(2).map(|pair| {
        let unit = to_unit([pair[0], pair[1]]);
        u8::try_from(unit).ok().filter(u8::is_ascii).unwrap_or(b'?')
    }));
    Some(bytes)
}

/// Replaces each `>` at the begin of a line by a blank; base64 has none. Returns whether there was
/// one.
fn remove_quote_marks(bytes: &mut [u8]) -> bool {
    let mut has_marks = false;
    for line in bytes.split_mut(|byte| matches!(byte, b'\n' | b'\r')) {
        for mark in line.iter_mut().take_while(|byte| matches!(byte, b'>' | b' ')) {
            has_marks |= *mark == b'>';
            *mark = b' ';
        }
    }
    has_marks
}

/// Replaces escapes of JSON, YAML and shells, and non-ASCII white space, at their width.
fn unescape(bytes: &mut [u8]) {
    const WHITE: [&[u8]; 5] =
        [b"\xef\xbb\xbf", b"\xe2\x80\x8b", b"\xe2\x80\xa8", b"\xe2\x81\xa0", b"\xc2\xa0"];
    let mut at = 0;
    while at < bytes.len() {
        let rest = &mut bytes[at..];
        if let Some(white) = WHITE.iter().find(|white| rest.starts_with(white)) {
            let len = white.len();
            rest[..len].fill(b' ');
            at += len;
            continue;
        }
        if rest[0] != b'\\' {
            at += 1;
            continue;
        }
        // Several backslashes mean several levels of escaping.
        let slashes = rest.iter().take_while(|byte| **byte == b'\\').count();
        let (width, plain) = match rest.get(slashes) {
            Some(b'n') => (1, ESCAPED_BREAK),
            Some(b'r' | b't') => (1, b' '),
            Some(escaped @ (b'/' | b'"' | b'\'' | b'+' | b'=' | b'-' | b' ')) => (1, *escaped),
            Some(b'u') => match unit(rest.get(slashes + 1..slashes + 5)) {
                Some(b'\n') => (5, ESCAPED_BREAK),
                Some(plain) => (5, plain),
                None => (0, b' '),
            },
            // A line continuation of a shell or YAML.
            _ => (0, b' '),
        };
        let len = slashes + width;
        rest[..len].fill(b' ');
        rest[len - 1] = plain;
        at += len;
    }
}

/// The character of four hexadecimal digits, if it is ASCII.
fn unit(digits: Option<&[u8]>) -> Option<u8> {
    let digits = std::str::from_utf8(digits?).ok()?;
    u8::from_str_radix(digits, 16).ok().filter(u8::is_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_replaced_at_their_width() {
        for (given, plain) in [
            (&b"a\\nb"[..], &b"a \x0bb"[..]),
            (b"a\\\\nb", b"a  \x0bb"),
            (b"a\\r\\nb", b"a   \x0bb"),
            (b"a\\u002Bb", b"a     +b"),
            (b"a\\u002", b"a u002"),
            (b"a\\/b\\", b"a /b "),
            (b"\xef\xbb\xbfa\xc2\xa0b", b"   a  b"),
        ] {
            let mut bytes = given.to_vec();
            unescape(&mut bytes);
            assert_eq!(bytes, plain, "{given:?}");
        }
    }
}
