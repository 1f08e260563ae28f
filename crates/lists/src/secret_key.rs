//! Secret keys in files taken for lists: the file is refused, and no message shows the key.

use std::borrow::Cow;

use crate::ListError;
use crate::words::clean;

/// The shortest run of characters that may be a key: 24 bytes in base64.
const MIN_KEY: usize = 32;
/// The length of 32 bytes in base64 without padding.
const KEY_IN_BASE64: usize = 43;
/// The length of 32 bytes in hexadecimal.
const KEY_IN_HEX: usize = 64;

/// Refuses a text that contains PEM, or a line that is a key of 32 bytes in base64. Gives the first
/// line that is 64 hexadecimal digits alone: a key, or the hash of a file.
pub(crate) fn refuse_keys(text: &str) -> Result<Option<usize>, ListError> {
    let mut in_hex = None;
    for (number, line) in (1..).zip(text.lines()) {
        // Any PEM label counts: the label may be wrong.
        if line.contains("-----BEGIN ") || line.contains("PRIVATE KEY-----") {
            return Err(ListError::Key { line: number, what: "a text in PEM" });
        }
        let text = value_of_line(line);
        if is_hex(text) {
            in_hex.get_or_insert(number);
        } else if is_base64(text) {
            return Err(cluster_key_error(number));
        }
    }
    Ok(in_hex)
}

/// The error for a line that looks like the key of a cluster.
pub(crate) fn cluster_key_error(line: usize) -> ListError {
    ListError::Key { line, what: "that of a cluster" }
}

/// The value of a line like `KEY="value"`, or the line itself.
fn value_of_line(line: &str) -> &str {
    let is_around = |c: char| c.is_whitespace() || "\"'`,;{}[]\u{feff}".contains(c);
    let line = clean(line).trim_matches(is_around);
    let name_len = line.find(|c: char| !(c.is_alphanumeric() || "_.-\"' ".contains(c)));
    let Some((at, sign)) = name_len.and_then(|at| Some((at, line[at..].chars().next()?))) else {
        return line;
    };
    // The padding of base64 does not separate a name from a value.
    let value = line[at + sign.len_utf8()..].trim_matches(is_around);
    if matches!(sign, ':' | '=') && value.len() >= KEY_IN_BASE64 { value } else { line }
}

fn is_hex(text: &str) -> bool {
    text.len() == KEY_IN_HEX && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_base64(text: &str) -> bool {
    let digits = text.strip_suffix('=').unwrap_or(text);
    digits.len() == KEY_IN_BASE64
        && digits.bytes().all(|b| may_be_in_key(b.into()) && b != b'=')
        && {
            let is_padded = digits.len() < text.len();
            is_padded || is_mixed(digits)
        }
}

/// Whether a run has upper-case letters, lower-case letters and digits, as random base64 does.
fn is_mixed(run: &str) -> bool {
    let has = |is_it: fn(&u8) -> bool| run.bytes().any(|byte| is_it(&byte));
    has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit)
}

/// Whether a run has at least [`MIN_KEY`] hexadecimal digits in a row.
fn has_hex_run(run: &str) -> bool {
    run.split(|c: char| !c.is_ascii_hexdigit()).any(|digits| digits.len() >= MIN_KEY)
}

fn may_be_in_key(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '-' | '_')
}

/// Replaces each run of characters that may be a key, or a line of PEM, by asterisks.
pub(crate) fn mask_keys(text: &str) -> Cow<'_, str> {
    if text.len() < MIN_KEY {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    let mut rest = text;
    // `rest` is the text that is not yet in `out`.
    while let Some(at) = rest.find(may_be_in_key) {
        let run = &rest[at..];
        let run = &run[..run.find(|c| !may_be_in_key(c)).unwrap_or(run.len())];
        let is_key = run.len() >= MIN_KEY && (is_mixed(run) || has_hex_run(run));
        out.push_str(&rest[..at]);
        out.push_str(if is_key { "***" } else { run });
        rest = &rest[at + run.len()..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The first 80 characters of a text for a message; parts that may be a secret key are masked.
pub(crate) fn excerpt(text: &str) -> String {
    mask_keys(text).chars().take(80).collect()
}
