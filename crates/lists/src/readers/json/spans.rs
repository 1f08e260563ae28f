//! Slices of the text of a valid JSON value for its parts: nothing is copied.

use crate::words::clean;

/// The items of a list; none if the value is not a list.
pub(super) fn items(value: &str) -> impl Iterator<Item = &str> {
    let value = clean(value);
    let inner = value.strip_prefix('[').and_then(|v| v.strip_suffix(']')).unwrap_or_default();
    Parts { rest: clean(inner) }.map(clean)
}

/// The keys and values of an object; none if the value is not an object.
pub(super) fn members(value: &str) -> impl Iterator<Item = (&str, &str)> {
    let value = clean(value);
    let inner = value.strip_prefix('{').and_then(|v| v.strip_suffix('}')).unwrap_or_default();
    Parts { rest: clean(inner) }.filter_map(|member| {
        let at = find(member, b':')?;
        Some((clean(&member[..at]), clean(&member[at + 1..])))
    })
}

/// The decoded text of a string.
pub(super) fn text_of(string: &str) -> Result<String, serde_json::Error> {
    serde_json::from_str(string)
}

/// Iterates over the texts between the commas of the outermost level.
struct Parts<'a> {
    /// The unread text. The caller trims white space at its end once, not for each part.
    rest: &'a str,
}

impl<'a> Iterator for Parts<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let end = find(self.rest, b',').unwrap_or(self.rest.len());
        let part = &self.rest[..end];
        self.rest = self.rest.get(end + 1..).unwrap_or_default();
        Some(part)
    }
}

/// The bytes of a text that are not within a string, with their offsets. The quotes around the
/// strings are among them.
pub(super) fn structure(text: &str) -> impl Iterator<Item = (usize, u8)> {
    let (mut is_string, mut is_escaped) = (false, false);
    text.bytes().enumerate().filter(move |(_, byte)| {
        let is_quote = *byte == b'"' && !is_escaped;
        let is_inside = is_string && !is_quote;
        is_escaped = is_string && *byte == b'\\' && !is_escaped;
        is_string ^= is_quote;
        !is_inside
    })
}

/// The offset of the first `sign` outside of strings and inner lists and objects.
fn find(text: &str, sign: u8) -> Option<usize> {
    let mut depth = 0_usize;
    let mut found = structure(text).filter(|(_, byte)| {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => return *byte == sign && depth == 0,
        }
        false
    });
    found.next().map(|(at, _)| at)
}
