//! Texts that may appear in an error or a warning: without secrets and without characters that
//! control a terminal, and no longer than a line.

use mailmesh_secrets::redact;

/// Longest piece of a configuration in a message, in characters.
const MAX_CHARS: usize = 400;

/// Replaces unprintable characters by their escapes.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if is_unprintable(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// Whether a character moves a terminal's cursor, ends a line or reorders text. `mailmesh-events`,
/// which is no dependency of this crate, has the same set; a test of the facade compares the two.
pub(super) fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
        )
}

/// A piece of a configuration, redacted and escaped for one line.
pub(super) fn printable(text: &str) -> String {
    escaped(&redact(text))
}

/// The same, cut to at most [`MAX_CHARS`] characters.
pub(super) fn redacted(text: &str) -> String {
    cut(&printable(text))
}

/// Removes positions in Zenoh's source, ` at /.../manager.rs:386.`, from an error of Zenoh, since
/// they do not help an operator.
pub(super) fn without_source(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    let mut rest = words;
    while let Some((before, after)) = rest.split_once(" at ") {
        out += before;
        let end = after.find(char::is_whitespace).unwrap_or(after.len());
        let place = after[..end].trim_end_matches(|c: char| ".,;]})!".contains(c));
        let is_source = place
            .rsplit_once(".rs:")
            .is_some_and(|(_, line)| !line.is_empty() && line.bytes().all(|b| b.is_ascii_digit()));
        if is_source {
            rest = after[place.len()..].strip_prefix('.').unwrap_or(&after[place.len()..]);
        } else {
            out += " at ";
            rest = after;
        }
    }
    out + rest
}

/// A text of mailmesh whose quoted pieces are redacted already: escaped, and cut to at most
/// [`MAX_CHARS`] characters.
pub(super) fn bounded(text: &str) -> String {
    cut(&escaped(text))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bidi_overrides_and_c1_control_characters_are_escaped() {
        assert_eq!(escaped("a\u{9b}2Jb\u{202e}c\u{2028}"), "a\\u{9b}2Jb\\u{202e}c\\u{2028}");
    }

    #[test]
    fn source_locations_are_removed_from_errors_of_zenoh() {
        let text = "Can not listen: [x: in use (os error 98) at /a/tcp.rs:62.] at /b/c.rs:307.";
        assert_eq!(without_source(text), "Can not listen: [x: in use (os error 98)]");
        for kept in ["look at /etc/a.pem", "at 3 at 4", "a.rs:1", "at b.rs:c"] {
            assert_eq!(without_source(kept), kept);
        }
    }

    #[test]
    fn a_text_is_shown_as_one_line_of_printable_characters_of_limited_length() {
        assert_eq!(redacted("a\nb\u{1b}[2Jä"), "a\\nb\\u{1b}[2Jä");
        assert_eq!(redacted("tls/a#x_base64=QUJD"), "tls/a#x_base64=****");
        assert_eq!(redacted(&"ä ".repeat(201)), "ä ".repeat(200) + "…");
        assert_eq!(bounded("key: a\nb"), "key: a\\nb");
    }
}
