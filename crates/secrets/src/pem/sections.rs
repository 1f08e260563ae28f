//! Finds the sections of a text (RFC 7468), wherever their markers stand.
//!
//! Programs that write PEM use lines. People and other programs then join, indent, quote and
//! concatenate these lines. So only the markers delimit a section, and white space is ignored.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::data_kind::{self, Label};
use super::error::PemError;
use super::text::ESCAPED_BREAK;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";
/// Longest label in bytes.
const MAX_LABEL_LEN: usize = 64;
/// Most sections in a text.
const MAX_SECTIONS: usize = 8192;

/// Base64 with or without its padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A section of a text.
pub(super) struct Section {
    /// The line of the begin marker, from 1.
    pub(super) line: usize,
    pub(super) label: Label,
    /// The decoded content; `None` if it is not base64.
    pub(super) der: Option<Zeroizing<Vec<u8>>>,
    /// Whether the content is encrypted in the legacy format (RFC 1421).
    pub(super) is_encrypted: bool,
    /// Whether the newlines of the content are missing or written as escapes.
    pub(super) is_joined: bool,
}

impl Section {
    pub(super) fn der(&self) -> Result<&[u8], PemError> {
        self.der.as_deref().map(Vec::as_slice).ok_or(PemError::NotBase64 { line: self.line })
    }
}

/// All sections of a text, in their order.
pub(super) fn sections(text: &[u8]) -> Result<Vec<Section>, PemError> {
    let mut found = Vec::new();
    let mut lines = Lines { text, at: 0, line: 1 };
    // Where the search goes on, and where the last section ended.
    let (mut at, mut last) = (0, 0);
    while let Some(begin) = find(text, BEGIN, at) {
        if is_comment(text, begin) {
            at = begin + BEGIN.len();
            continue;
        }
        check_no_damaged_markers(text, last, begin, &mut lines)?;
        let line = lines.of(begin);
        let (label, body) = label_at(text, begin).ok_or(PemError::BadBegin { line })?;
        let no_end = || PemError::NoEnd { line };
        let end = find(text, DASHES, body).ok_or_else(no_end)?;
        let after = text[end..].strip_prefix(END).ok_or_else(no_end)?.trim_ascii_start();
        let after = after.strip_prefix(label).ok_or_else(no_end)?.trim_ascii_start();
        let dashes = after.iter().take(DASHES.len()).take_while(|byte| **byte == b'-').count();
        // Without any hyphen the label may be a prefix of a longer one.
        if dashes == 0 {
            return Err(no_end());
        }
        at = text.len() - after.len() + dashes;
        last = at;
        found.push(section(line, data_kind::label(label), &text[body..end]));
        if found.len() > MAX_SECTIONS {
            return Err(PemError::TooManySections { limit: MAX_SECTIONS });
        }
    }
    check_no_damaged_markers(text, last, text.len(), &mut lines)?;
    Ok(found)
}

fn section(line: usize, label: Label, body: &[u8]) -> Section {
    let mut packed = Zeroizing::new(Vec::with_capacity(body.len()));
    let mut is_encrypted = false;
    for line in body.split(|byte| is_break(*byte)) {
        if line.contains(&b':') {
            // `Proc-Type: 4,ENCRYPTED`
            is_encrypted |= find(line, b"ENCRYPTED", 0).is_some();
        } else {
            // Quotes and commas come from program text around the PEM.
            packed.extend(line.iter().filter(|byte| !is_white(**byte) && !b"\"',".contains(byte)));
        }
    }
    let len = packed.len() / 4 * 3 + 3;
    let mut der = Zeroizing::new(vec![0; len]);
    let decoded = BASE64.decode_slice(&packed, &mut der);
    let der = decoded.ok().filter(|len| *len > 0).map(|len| {
        der.truncate(len);
        der
    });
    let has_lines = body.iter().any(|byte| matches!(byte, b'\n' | b'\r'));
    Section { line, label, der, is_encrypted, is_joined: !has_lines }
}

/// The label of the marker at `begin`, and the offset after the marker.
fn label_at(text: &[u8], begin: usize) -> Option<(&[u8], usize)> {
    let rest = &text[begin + BEGIN.len()..];
    let rest = &rest[..rest.len().min(MAX_LABEL_LEN + DASHES.len())];
    let len = find(rest, DASHES, 0)?;
    let label = rest[..len].trim_ascii();
    let is_label = label.iter().all(|byte| byte.is_ascii_alphanumeric() || b" .#".contains(byte));
    let dashes = text[begin + BEGIN.len() + len..].iter().take_while(|byte| **byte == b'-');
    let body = begin + BEGIN.len() + len + dashes.count();
    is_label.then_some((label, body))
}

/// Refuses damaged markers between two sections. Without this check the content that they enclose
/// would be skipped silently.
fn check_no_damaged_markers(
    text: &[u8],
    from: usize,
    to: usize,
    lines: &mut Lines<'_>,
) -> Result<(), PemError> {
    let between = &text[from..to];
    let mut at = 0;
    while let Some(found) = between[at..].iter().position(|byte| matches!(byte, b'-' | 0xe2)) {
        let start = at + found;
        let dash = if between[start] == b'-' { 1 } else { 3 };
        at = (start + dash).min(between.len());
        let word = between[at..].trim_ascii_start();
        let word = &word[..word.len().min(MAX_LABEL_LEN)];
        let is_marker = |begin: &[u8]| {
            let line = word.split(|byte| is_break(*byte)).next().unwrap_or_default();
            let has = |part| find(line, part, 0).is_some();
            word.starts_with(begin) && (has(b"CERTIFICATE") || has(b"KEY"))
        };
        let (begins, ends) = (is_marker(b"BEGIN "), is_marker(b"END "));
        if !begins && !ends || is_comment(text, from + start) {
            continue;
        }
        let line = lines.of(from + start);
        return Err(match begins {
            true => PemError::BadBegin { line },
            false => PemError::StrayEnd { line },
        });
    }
    Ok(())
}

/// Whether the offset `at` is inside a comment.
fn is_comment(text: &[u8], at: usize) -> bool {
    let start = text[..at].iter().rposition(|byte| is_break(*byte)).map_or(0, |at| at + 1);
    let line = text[start..at].trim_ascii_start();
    [&b"#"[..], b";", b"//"].iter().any(|mark| line.starts_with(mark))
}

fn is_break(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r' | ESCAPED_BREAK)
}

fn is_white(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == ESCAPED_BREAK
}

pub(super) fn find(text: &[u8], what: &[u8], from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    rest.windows(what.len()).position(|window| window == what).map(|at| from + at)
}

/// Counts lines that end with LF, CR LF, or CR alone.
#[derive(Clone)]
struct Lines<'a> {
    text: &'a [u8],
    at: usize,
    line: usize,
}

impl Lines<'_> {
    /// The line of the offset `at`, which must not decrease from call to call.
    fn of(&mut self, at: usize) -> usize {
        while self.at < at {
            let next = self.text.get(self.at + 1);
            let ends = match self.text[self.at] {
                b'\n' => true,
                b'\r' => next != Some(&b'\n'),
                _ => false,
            };
            self.line += usize::from(ends);
            self.at += 1;
        }
        self.line
    }
}
