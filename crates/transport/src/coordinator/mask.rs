//! What of a configuration may stand in an error or a warning: no secret, nothing that moves a
//! terminal's cursor, and not more than a line.

use mailmesh_secrets::redact;

/// Longest piece of a configuration in a message, in characters.
const SHOWN: usize = 400;

/// Unprintable characters as their escapes.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if is_unprintable(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// Whether a character moves a terminal's cursor, ends a line or reorders text. The same set as
/// that of `mailmesh-events`, which is no layer below this one; a test of the facade compares
/// them.
pub(super) fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
        )
}

/// A piece of a configuration as it may stand in a line.
pub(super) fn printable(text: &str) -> String {
    escaped(&redact(text))
}

/// The same, cut where it is long.
pub(super) fn shown(text: &str) -> String {
    cut(&printable(text))
}

/// Words of our own, with pieces in them that were redacted: escaped, and cut where they are
/// long.
pub(super) fn own(text: &str) -> String {
    cut(&escaped(text))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_of_direction_and_controls_of_eight_bits_are_escaped_too() {
        assert_eq!(escaped("a\u{9b}2Jb\u{202e}c\u{2028}"), "a\\u{9b}2Jb\\u{202e}c\\u{2028}");
    }

    #[test]
    fn what_is_shown_is_one_line_of_printable_characters_and_not_long() {
        assert_eq!(shown("a\nb\u{1b}[2Jä"), "a\\nb\\u{1b}[2Jä");
        assert_eq!(shown("tls/a#x_base64=QUJD"), "tls/a#x_base64=****");
        assert_eq!(shown(&"ä ".repeat(201)), "ä ".repeat(200) + "…");
        assert_eq!(own("key: a\nb"), "key: a\\nb");
    }
}
