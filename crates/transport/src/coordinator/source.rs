//! A configuration text, and the line and column of its parts.

use std::cell::OnceCell;
use std::ops::Range;

use mailmesh_secrets::redact_source;

use super::MAX_CONFIG_LEN;
use super::display_text::is_unprintable;
use super::error::{ConfigError, ConfigErrorKind, Place};

/// A configuration text and its origin.
#[derive(Debug)]
pub(super) struct Source<'a> {
    name: String,
    text: &'a str,
    /// Offsets of the line starts, kept because many positions may be looked up.
    lines: Vec<usize>,
    /// The redacted lines, made together because a secret may span several lines.
    shown: OnceCell<Vec<Box<[char]>>>,
}

/// Longest piece of a line shown in an error, in characters.
const MAX_EXCERPT_CHARS: usize = 120;

impl<'a> Source<'a> {
    pub(super) fn new(name: &str, bytes: &'a [u8]) -> Result<Self, ConfigError> {
        if bytes.len() > MAX_CONFIG_LEN {
            return Err(ConfigError::new(ConfigErrorKind::TooLong { len: bytes.len() as u64 }));
        }
        if is_utf16(bytes) {
            return Err(ConfigError::new(ConfigErrorKind::Utf16 { name: name.into() }));
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let text = std::str::from_utf8(bytes).map_err(|error| {
            ConfigError::new(ConfigErrorKind::NotText {
                name: name.into(),
                at: error.valid_up_to(),
            })
        })?;
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(ends).collect();
        let shown = OnceCell::new();
        let source = Self { name: name.into(), text, lines, shown };
        if text.contains('\0') {
            let at = text.find('\0').unwrap_or(0);
            return Err(ConfigError::new(ConfigErrorKind::NotText { name: name.into(), at }));
        }
        if text.trim().is_empty() {
            return Err(ConfigError::new(ConfigErrorKind::Empty { name: name.into() }));
        }
        Ok(source)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    pub(super) fn error_at(&self, span: Range<usize>, kind: ConfigErrorKind) -> ConfigError {
        ConfigError::new(kind).at(self.place(span))
    }

    /// The line and column of a span (in characters, from 1), and the line itself.
    pub(super) fn place(&self, span: Range<usize>) -> Place {
        let start = self.floor(span.start.min(self.text.len()));
        let line = self.lines.partition_point(|begin| *begin <= start);
        let bounds = self.line(start);
        let column = self.text[bounds.start..start].chars().count() + 1;
        let end = self.floor(span.end.clamp(start, bounds.end));
        let width = self.text[start..end].chars().count().max(1);
        // Of a very long line, show the piece around the position.
        let skipped = column.saturating_sub(MAX_EXCERPT_CHARS / 2);
        let shown = self.redacted_line(line - 1).iter().skip(skipped).take(MAX_EXCERPT_CHARS);
        let excerpt = shown.map(|c| if is_unprintable(*c) { ' ' } else { *c }).collect();
        let caret = column - 1 - skipped;
        let width = width.min(MAX_EXCERPT_CHARS - caret.min(MAX_EXCERPT_CHARS - 1));
        Place { source: self.name.clone(), line, column, excerpt, caret, width }
    }

    /// The line that contains an offset, without its line break.
    pub(super) fn line(&self, at: usize) -> Range<usize> {
        let next = self.lines.partition_point(|begin| *begin <= at);
        let end = self.lines.get(next).map_or(self.text.len(), |begin| begin - 1);
        self.lines[next - 1]..end
    }

    /// The redacted line of this number, from 0; as many characters as the line has.
    pub(super) fn redacted_line(&self, line: usize) -> &[char] {
        let lines = self.shown.get_or_init(|| {
            redact_source(self.text).split('\n').map(|line| line.chars().collect()).collect()
        });
        lines.get(line).map_or(&[], |line| line)
    }

    /// The offset of a line and column as the json5 crate counts them.
    pub(super) fn offset_of(&self, line: usize, column: usize) -> usize {
        let mut at = 0;
        for (number, text) in self.text.split_inclusive('\n').enumerate() {
            if number + 1 == line {
                let within = text.char_indices().nth(column - 1).map_or(text.len(), |(i, _)| i);
                return at + within;
            }
            at += text.len();
        }
        self.text.len()
    }

    fn floor(&self, mut at: usize) -> usize {
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }
}

/// Whether a text is UTF-16: it begins with a byte order mark, or with an ASCII character of 16
/// bits.
fn is_utf16(bytes: &[u8]) -> bool {
    match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => true,
        [0, byte, ..] | [byte, 0, ..] => byte.is_ascii_graphic() || byte.is_ascii_whitespace(),
        _ => false,
    }
}
