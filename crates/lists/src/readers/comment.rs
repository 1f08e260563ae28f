//! Comments in lists of lines.

use crate::words::clean;

/// The signs that begin a comment.
pub(crate) const COMMENTS: [&str; 5] = ["#", ";", "//", "!#", "<!--"];

pub(crate) fn is_comment(line: &str) -> bool {
    COMMENTS.iter().any(|sign| line.starts_with(sign))
}

/// Splits a line into its text and its comment.
pub(crate) fn split_comment(line: &str) -> (&str, &str) {
    let at = line.find([';', '#']);
    let slashes = line.find("//").filter(|slashes| at.is_none_or(|at| *slashes < at));
    match slashes.or(at) {
        Some(at) => (clean(&line[..at]), line[at + 1..].trim_matches([';', '#', '/', ' ', '\t'])),
        None => (line, ""),
    }
}
