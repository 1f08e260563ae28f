//! What of a configuration may stand in an error or a warning: no secret, nothing that moves a
//! terminal's cursor, and not more than a line.

use mailmesh_secrets::redact;

/// Longest piece of a configuration in a message, in characters.
const SHOWN: usize = 400;

/// Control characters as their escapes.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
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
    fn what_is_shown_is_one_line_of_printable_characters_and_not_long() {
        assert_eq!(shown("a\nb\u{1b}[2Jä"), "a\\nb\\u{1b}[2Jä");
        assert_eq!(shown("tls/a#x_base64=QUJD"), "tls/a#x_base64=****");
        assert_eq!(shown(&"ä ".repeat(201)), "ä ".repeat(200) + "…");
        assert_eq!(own("key: a\nb"), "key: a\\nb");
    }
}
