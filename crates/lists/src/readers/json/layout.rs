//! Whether a text has one JSON object a line, or one value over all lines.

use super::spans::{members, structure, text_of};
use crate::MAX_LINE;

/// Whether the begin of a text has an apostrophe outside of strings: JSON has none there, and
/// Python quotes with apostrophes.
pub(crate) fn has_apostrophe_outside_of_strings(text: &str) -> bool {
    let mut examined = structure(text).take_while(|(at, _)| *at < MAX_LINE);
    examined.any(|(_, byte)| byte == b'\'')
}

/// Whether a text that begins with a brace has one object a line. If not, the text is one object
/// over several lines, or one object that holds lists.
pub(crate) fn has_object_a_line(text: &str) -> bool {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty()).map(str::trim);
    let first = lines.next().unwrap_or_default();
    let next = lines.find(|line| !line.starts_with('#'));
    if !is_closed(first) {
        let goes_on = first.ends_with(['{', '[', ',', ':'])
            || next.is_some_and(|next| next.starts_with([',', ']', '}', ':']));
        return !goes_on;
    }
    let keys = |names: &[&str]| {
        members(first)
            .next()
            .is_some_and(|(key, _)| text_of(key).is_ok_and(|key| names.contains(&&*key)))
    };
    let holders = ["decisions", "nftables", "data", "meta", "new", "deleted", "alerts", "results"];
    let holds = next.is_none() && members(first).any(|(_, inner)| inner.starts_with(['[', '{']));
    !keys(&holders) && !holds
}

/// Whether a line closes as many brackets as it opens, outside of strings.
fn is_closed(line: &str) -> bool {
    let (mut depth, mut is_string) = (0_i64, false);
    for (_, byte) in structure(line) {
        match byte {
            b'"' => is_string = !is_string,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            _ => {}
        }
    }
    depth <= 0 && !is_string
}
