//! Escapes untrusted text for terminals and logs.

use std::fmt::{self, Write};

/// Shows untrusted text (of another node, a list or a file) safely on a terminal or in a log.
///
/// The output is one line. Characters that control a terminal or change the direction of text are
/// shown as Rust escapes; all other characters stay. The escaping is not reversible, because
/// backslashes are not escaped; escaping a text twice therefore changes nothing.
///
/// ```
/// use mailmesh_events::Printable;
///
/// assert_eq!(Printable("spam\n\x1b[2J 100 % übel").to_string(), "spam\\n\\u{1b}[2J 100 % übel");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Printable<T>(pub T);

impl<T: fmt::Display> fmt::Display for Printable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaper(f), "{}", self.0)
    }
}

/// A writer that escapes like [`Printable`] and passes the text on to `W`.
#[derive(Debug)]
pub struct Escaper<W>(pub W);

impl<W: Write> Write for Escaper<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(is_unprintable) {
            let (before, after) = rest.split_at(at);
            self.0.write_str(before)?;
            let mut chars = after.chars();
            if let Some(c) = chars.next() {
                write!(self.0, "{}", c.escape_default())?;
            }
            rest = chars.as_str();
        }
        self.0.write_str(rest)
    }
}

/// Shows JSON safely on a terminal. Characters that [`Printable`] escapes become JSON escapes
/// (RFC 8259, section 7), so a parser of the output gets the same text. Line breaks and blanks
/// between values stay.
///
/// ```
/// use mailmesh_events::PrintableJson;
///
/// assert_eq!(PrintableJson("{\"a\": \"\u{9b}2J\"}").to_string(), r#"{"a": "\u009b2J"}"#);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct PrintableJson<T>(pub T);

impl<T: fmt::Display> fmt::Display for PrintableJson<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(JsonEscaper(f), "{}", self.0)
    }
}

struct JsonEscaper<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for JsonEscaper<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // The only control characters that JSON has outside of strings.
        let is_escaped = |c: char| is_unprintable(c) && !matches!(c, '\n' | '\r' | '\t');
        let mut rest = text;
        while let Some(at) = rest.find(is_escaped) {
            let (before, after) = rest.split_at(at);
            self.0.write_str(before)?;
            let mut chars = after.chars();
            if let Some(c) = chars.next() {
                // All unprintable characters are in the basic multilingual plane.
                write!(self.0, "\\u{:04x}", u32::from(c))?;
            }
            rest = chars.as_str();
        }
        self.0.write_str(rest)
    }
}

/// Whether a character affects a terminal or the text around it: control characters (C0, DEL, C1),
/// directional marks, embeddings, overrides and isolates (UAX #9), line and paragraph separators,
/// and deprecated format characters.
#[must_use]
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn controls_and_overrides_are_escaped_and_letters_of_all_scripts_stay() {
        for (text, shown) in [
            ("\u{1b}]0;x\u{7}", "\\u{1b}]0;x\\u{7}"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("\u{9b}2J\u{85}", "\\u{9b}2J\\u{85}"),
            ("a\r\nb\tc\0\u{7f}", "a\\r\\nb\\tc\\u{0}\\u{7f}"),
            ("\u{202a}\u{202e}x\u{2066}\u{2069}", "\\u{202a}\\u{202e}x\\u{2066}\\u{2069}"),
            ("\u{200e}\u{200f}\u{61c}", "\\u{200e}\\u{200f}\\u{61c}"),
            ("\u{2028}\u{2029}", "\\u{2028}\\u{2029}"),
        ] {
            assert_eq!(Printable(text).to_string(), shown);
        }
        // Joiners and combining marks are parts of words.
        for text in ["", "übel %{}'\"\\", "שלום", "می‌خواهم", "u\u{308}", "क्षि", "👩‍👧", "日本"]
        {
            assert_eq!(Printable(text).to_string(), text);
        }
    }

    #[test]
    fn every_unprintable_character_is_escaped_in_four_digits() {
        for c in (char::MIN..=char::MAX).filter(|c| is_unprintable(*c)) {
            assert!(u32::from(c) <= 0xffff, "{c:?}");
        }
    }

    proptest! {
        #[test]
        fn escaped_text_is_printable_and_escaping_it_again_changes_nothing(text: String) {
            let shown = Printable(&text).to_string();
            prop_assert!(!shown.contains(is_unprintable));
            prop_assert_eq!(Printable(&shown).to_string(), shown.clone());
            if !text.contains(is_unprintable) {
                prop_assert_eq!(shown, text);
            }
        }
    }
}
