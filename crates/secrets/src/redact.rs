//! Replaces each part of a text that may be a secret with stars of the same width.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;

use crate::plain::{byte_lists, is_plain, is_separator, is_windows_path};

/// Spare capacity after the content of a file. Below 32 bytes the standard library reads into a
/// buffer of its own first.
const SPARE_CAPACITY: usize = 64;

/// Longest log line, in bytes, that is searched. A longer line is assumed to contain a secret.
const MAX_LINE_LEN: usize = 64 << 10;

/// Whether a setting of this name has a secret value.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(name.as_str(), "key" | "pwd" | "passwd" | "passphrase")
        || ["secret", "password"].iter().any(|part| name.contains(part))
        || name.ends_with("_base64")
        || name.ends_with("_raw")
        || name.ends_with("_pem")
}

/// Replaces everything in a message that may be a secret with stars; the length stays the same.
///
/// Replaced are the values of secret settings, PEM texts, passwords in URLs, lists of bytes, binary
/// lines, and every run of characters that is not a word, a name, a number or an address.
///
/// ```
/// let message = "bad endpoint tls/a:1#listen_private_key_base64=LS0tLS1CRUdJTg==";
/// let shown = mailmesh_secrets::redact(message);
/// assert!(shown.starts_with("bad endpoint tls/a:1#listen_private_key_base64=****"));
/// ```
#[must_use]
pub fn redact(text: &str) -> String {
    Redaction::new(text).finish(false)
}

/// Like [`redact`], for a whole configuration. A value is replaced even if the colon or quotes
/// after the name of a secret setting are missing.
#[must_use]
pub fn redact_source(text: &str) -> String {
    Redaction::new(text).finish(true)
}

/// Whether a log line of a library contains a secret in one of these forms: in an endpoint or a
/// setting, as a PEM text, as a list of bytes, or as a long run of base64.
#[must_use]
pub fn holds_secret(text: &str) -> bool {
    if text.len() > MAX_LINE_LEN {
        return true;
    }
    let mut redaction = Redaction::new(text);
    redaction.named(false);
    redaction.pem();
    redaction.urls();
    let chars = &redaction.chars;
    let dashes = ["45, 45, 45, 45, 45", "45,45,45,45,45", "2d2d2d2d2d", "LS0tLS1CRUdJTi"];
    redaction.out != *chars
        || dashes.iter().any(|dashes| text.contains(dashes))
        || text.split(|c: char| !c.is_ascii_alphanumeric() && !"+/=_".contains(c)).any(|run| {
            let has = |what: fn(&char) -> bool| run.chars().any(|c| what(&c));
            run.len() >= 40
                && has(char::is_ascii_uppercase)
                && has(char::is_ascii_lowercase)
                && has(char::is_ascii_digit)
        })
}

/// Formats a path if it or its parent directory exists. Otherwise redacts it, because it may be a
/// key that was given in place of a path. Blocks on file system access.
#[must_use]
pub fn display_path(path: &Path) -> String {
    let shown = path.display().to_string();
    let parent = path.parent().filter(|parent| parent.parent().is_some());
    let is_real_path = path.exists() || parent.is_some_and(Path::is_dir);
    let is_shown = is_real_path || is_windows_path(&shown);
    let shown = if is_shown { shown } else { redact(&shown) };
    shown.chars().flat_map(printable).collect()
}

fn printable(c: char) -> Vec<char> {
    if c.is_control() { c.escape_default().collect() } else { vec![c] }
}

/// An empty buffer with the capacity to read a file, up to `max + 1` bytes, without reallocation. A
/// reallocation would leave a copy of the content, which may be a secret, in freed memory.
#[must_use]
pub fn buffer_for(file: &File, max: u64) -> Vec<u8> {
    // A device or a pipe reports no length.
    let regular = file.metadata().ok().filter(Metadata::is_file);
    let len = regular.map_or(max, |metadata| metadata.len().min(max));
    Vec::with_capacity(usize::try_from(len).unwrap_or_default() + SPARE_CAPACITY)
}

/// The text of an I/O error. A message that a library attached is omitted, because it may contain
/// bytes of the file.
#[must_use]
pub fn io_error_text(error: &io::Error) -> String {
    match (error.kind(), error.raw_os_error()) {
        (_, Some(_)) => error.to_string(),
        (io::ErrorKind::InvalidData, None) => {
            "it is not UTF-8 text; if it is UTF-16, save it as UTF-8".to_owned()
        }
        (kind, None) => kind.to_string(),
    }
}

struct Redaction {
    chars: Vec<char>,
    out: Vec<char>,
}

impl Redaction {
    fn new(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        Self { out: chars.clone(), chars }
    }

    fn finish(mut self, is_source: bool) -> String {
        self.named(is_source);
        self.pem();
        self.urls();
        self.binary();
        for span in byte_lists(&self.chars) {
            self.star(span.start, span.end);
        }
        self.runs();
        self.out.into_iter().collect()
    }

    fn star(&mut self, start: usize, end: usize) {
        // Line breaks stay.
        self.out[start..end].iter_mut().filter(|c| !matches!(c, '\n' | '\r')).for_each(|c| {
            *c = '*';
        });
    }

    fn skip(&self, from: usize, is_it: impl Fn(char) -> bool) -> usize {
        from + self.chars[from..].iter().take_while(|c| is_it(**c)).count()
    }

    /// Stars the values of secret settings.
    fn named(&mut self, is_source: bool) {
        let mut at = 0;
        let mut path = PathReader::default();
        while at < self.chars.len() {
            if !is_name(self.chars[at]) {
                at += 1;
                continue;
            }
            let end = self.skip(at, is_name);
            let name: String = self.chars[at..end].iter().collect();
            path.read(&self.chars[..at]);
            let (start, is_extension) = (at, path.ends_with_dot());
            at = end;
            if is_secret_name(&name) && !is_extension {
                at = self.value(start, end, &name, is_source);
            }
        }
    }

    /// Stars the value that follows a name, and returns its end.
    fn value(&mut self, start: usize, end: usize, name: &str, is_source: bool) -> usize {
        // The closing quote of the name, blanks, and the sign between name and value.
        let mut sign = self.skip(end, |c| c == '\\');
        sign += usize::from(matches!(self.chars.get(sign), Some('"' | '\'')));
        sign = self.skip_blanks(sign, is_source);
        let has_sign = matches!(self.chars.get(sign), Some(':' | '='));
        if !has_sign && !is_source {
            return end;
        }
        let value = self.skip_blanks(sign + usize::from(has_sign), true);
        let slashes = self.skip(value, |c| c == '\\') - value;
        let first = self.chars.get(value + slashes).copied();
        // A setting of an endpoint: `tls/a:1#listen_private_key_base64=...;b=c`.
        let is_of_endpoint = start > 0
            && matches!(self.chars[start - 1], '#' | ';')
            && self.chars.get(end) == Some(&'=')
            && value == end + 1;
        let (from, stop) = match first {
            Some('{') if name == "key" && slashes == 0 => return value,
            Some(quote @ ('"' | '\'')) => {
                let from = value + slashes + 1;
                (from, self.closing(from, quote, slashes).unwrap_or(self.chars.len()))
            }
            Some(open @ ('{' | '[')) if slashes == 0 => {
                (value + 1, self.closing_bracket(value, open))
            }
            _ => {
                // In a configuration, a value without quotes may contain blanks.
                let is_blank = |c: char| if is_source { c == '\n' } else { c.is_whitespace() };
                let ends = if is_of_endpoint { ";,\"']" } else { ",{}[]" };
                (value, self.skip(value, |c| !is_blank(c) && !ends.contains(c)))
            }
        };
        // A comment may contain the previous value.
        let comments = if is_source { end } else { sign + 1 };
        self.star_comments(comments, value);
        self.star(from, stop);
        stop
    }

    /// The position after white space, plain or escaped, and after comments if they are allowed.
    fn skip_blanks(&self, from: usize, may_have_comments: bool) -> usize {
        let mut at = from;
        loop {
            at = self.skip(at, char::is_whitespace);
            let escaped = self.skip(at, |c| c == '\\');
            if escaped > at && matches!(self.chars.get(escaped), Some('n' | 'r' | 't')) {
                at = escaped + 1;
                continue;
            }
            if !may_have_comments {
                return at;
            }
            let Some(end) = self.comment(at) else { return at };
            at = end;
        }
    }

    /// The end of the comment that begins at `at`; `None` if there is none.
    fn comment(&self, at: usize) -> Option<usize> {
        match self.chars.get(at..at + 2)? {
            ['/', '/'] => Some(self.skip(at, |c| c != '\n')),
            ['/', '*'] => {
                Some(find(&self.chars, &['*', '/'], at + 2).map_or(self.chars.len(), |end| end + 2))
            }
            _ => None,
        }
    }

    fn star_comments(&mut self, from: usize, until: usize) {
        let mut at = from;
        while at < until {
            let end = self.comment(at).map_or(at, |end| end.min(until));
            self.star(at, end);
            at = end.max(at + 1);
        }
    }

    /// The position of the bracket that closes the one at `start`, ignoring brackets in strings and
    /// comments.
    fn closing_bracket(&self, start: usize, open: char) -> usize {
        let close = if open == '{' { '}' } else { ']' };
        let (mut at, mut depth) = (start, 0_usize);
        while at < self.chars.len() {
            if let Some(end) = self.comment(at) {
                at = end;
                continue;
            }
            let quoted = self.skip(at, |c| c == '\\');
            match self.chars.get(quoted).copied() {
                Some(quote @ ('"' | '\'')) => {
                    let Some(end) = self.closing(quoted + 1, quote, quoted - at) else { break };
                    at = self.skip(end, |c| c == '\\') + 1;
                    continue;
                }
                Some(c) if c == open => depth += 1,
                Some(c) if c == close => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return quoted;
            }
            at = quoted + 1;
        }
        self.chars.len()
    }

    /// The position of the closing quote, which has as many backslashes as the opening one.
    fn closing(&self, start: usize, quote: char, slashes: usize) -> Option<usize> {
        let mut before = 0;
        for at in start..self.chars.len() {
            match self.chars[at] {
                '\\' => before += 1,
                c if c == quote && before == slashes => return Some(at - slashes),
                // A quote of the enclosing text, where the value ends at the latest.
                c if c == quote && before < slashes => return Some(at - before),
                _ => before = 0,
            }
        }
        None
    }

    /// Stars each PEM text, up to its last line.
    fn pem(&mut self) {
        const MARK: &[char] = &['-', '-', '-', '-', '-', 'B', 'E', 'G', 'I', 'N'];
        const LAST: &[char] = &['-', '-', '-', '-', '-', 'E', 'N', 'D'];
        let mut at = 0;
        while let Some(start) = find(&self.chars, MARK, at) {
            let end = find(&self.chars, LAST, start).unwrap_or(self.chars.len());
            self.star(start, end);
            at = end.max(start + MARK.len());
        }
    }

    /// Stars lines with binary data, such as a key in DER.
    fn binary(&mut self) {
        let is_binary =
            |c: &char| *c == '\u{fffd}' || (c.is_control() && !c.is_whitespace() && *c != '\u{1b}');
        let mut start = 0;
        while start < self.chars.len() {
            let end = self.skip(start, |c| c != '\n');
            if self.chars[start..end].iter().any(is_binary) {
                self.star(start, end);
            }
            start = end + 1;
        }
    }

    /// Stars the password before the host of a URL or an endpoint.
    fn urls(&mut self) {
        // The start of the run, and the start of its password, after its first colon.
        let (mut start, mut secret) = (0, None);
        for at in 0..self.chars.len() {
            match self.chars[at] {
                c if c.is_whitespace() || "\"'`{}[](),<>|/".contains(c) => {
                    (start, secret) = (at + 1, None);
                }
                ':' => {
                    secret.get_or_insert(at + 1);
                }
                '@' if start > 0 && self.chars[start - 1] == '/' => {
                    if let Some(from) = secret.replace(at) {
                        self.star(from, at);
                    } else {
                        secret = None;
                    }
                }
                _ => {}
            }
        }
    }

    /// Stars every run that may be a key.
    fn runs(&mut self) {
        let mut at = 0;
        while at < self.out.len() {
            if self.is_end(at) {
                at += 1;
                continue;
            }
            let start = at;
            while at < self.out.len() && !self.is_end(at) {
                at += 1;
            }
            let run: String = self.out[start..at].iter().collect();
            if !is_plain(&run) {
                self.star(start, at);
            }
        }
    }

    /// Whether a run ends at `at`. A backslash belongs to a run unless it escapes a quote or a
    /// backslash.
    fn is_end(&self, at: usize) -> bool {
        let c = self.out[at];
        let escapes = c == '\\' && matches!(self.out.get(at + 1), Some('"' | '\'' | '\\'));
        is_separator(c) || escapes
    }
}

fn find(chars: &[char], what: &[char], from: usize) -> Option<usize> {
    chars[from..].windows(what.len()).position(|window| window == what).map(|at| at + from)
}

/// Recognises names that are file extensions, such as `key` in `/etc/cluster.key`.
#[derive(Default)]
struct PathReader {
    read: usize,
    has_slash: bool,
    last: Option<char>,
}

impl PathReader {
    /// Continues reading. `before` begins with the text of the previous call.
    fn read(&mut self, before: &[char]) {
        for c in &before[self.read..] {
            let is_end = c.is_whitespace() || "\"'{},#;".contains(*c);
            self.has_slash = !is_end && (self.has_slash || *c == '/');
        }
        (self.read, self.last) = (before.len(), before.last().copied());
    }

    fn ends_with_dot(&self) -> bool {
        self.has_slash && self.last == Some('.')
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests;
