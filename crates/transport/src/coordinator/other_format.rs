//! Recognises the format of a text that is not JSON5, for its error.

use super::error::ConfigErrorKind;
use super::source::Source;
use super::tokens::{Token, TokenKind};

/// The most likely format of a text that does not begin with `{`.
pub(super) fn other_format(source: &Source<'_>, tokens: &[Token]) -> ConfigErrorKind {
    let text = source.text();
    let (first, _) = first_line(text);
    let is_key = |key: &str| {
        let bare = |c: char| c.is_ascii_alphanumeric() || ".-_\"' ".contains(c);
        !key.trim().is_empty() && key.chars().all(bare)
    };
    let is_toml = first.starts_with('[') && first.ends_with(']') && !first.contains(',')
        || first.split_once('=').is_some_and(|(key, _)| is_key(key));
    // Sections and dotted keys of the older mail server.
    let of_server = ["cluster", "store", "storage", "server"];
    let is_of_server = |line: &str| {
        let line = line.trim().trim_start_matches('[');
        of_server.iter().any(|name| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['.', ']']))
        })
    };
    let second_is_colon = tokens.get(1).is_some_and(|t| t.kind == TokenKind::Punctuation(b':'));
    if first.starts_with("---") || (second_is_colon && !first.starts_with('[')) {
        ConfigErrorKind::OtherFormat { format: "YAML, or an object without its braces" }
    } else if first.starts_with('<') {
        ConfigErrorKind::OtherFormat { format: "XML" }
    } else if is_toml && text.lines().any(is_of_server) {
        ConfigErrorKind::OlderServer
    } else if is_toml {
        ConfigErrorKind::OtherFormat { format: "TOML" }
    } else {
        ConfigErrorKind::NotAnObject
    }
}

/// The first line that is neither blank nor a comment, trimmed, with the offset of its start.
pub(super) fn first_line(text: &str) -> (&str, usize) {
    let mut begin = 0;
    for line in text.split_inclusive('\n') {
        let shown = line.trim();
        if !shown.is_empty() && !shown.starts_with('#') && !shown.starts_with("//") {
            return (shown, begin + (line.len() - line.trim_start().len()));
        }
        begin += line.len();
    }
    ("", 0)
}
