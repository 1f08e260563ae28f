//! Trims and compares the texts of a list, and cuts them into words.

use mailmesh_events::limits;

/// The text without white space, byte-order marks and zero-width spaces at both ends. Files that
/// were concatenated have byte-order marks in the middle.
pub(crate) fn clean(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}'))
}

/// The words of a text, separated by white space and commas.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> + Clone {
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, ',' | '\u{feff}'));
    words.filter(|word| !word.is_empty())
}

/// Whether a text is a number and nothing else, such as a score.
pub(crate) fn is_number(text: &str) -> bool {
    text.len() <= 20
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && text.parse::<f64>().is_ok()
}

/// A text of a list on one line, cut to `limits::TEXT_LEN` bytes.
pub(crate) fn bounded_line(text: &str) -> Box<str> {
    let text = clean(text);
    let mut end = text.len().min(limits::TEXT_LEN);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().into()
}

/// A field without the quotes around all of it.
pub(crate) fn without_quotes(field: &str) -> &str {
    let field = clean(field);
    let inner = ['"', '\''].into_iter().find_map(|quote| {
        field.strip_prefix(quote)?.strip_suffix(quote).filter(|inner| !inner.contains(quote))
    });
    inner.map_or(field, clean)
}

/// Whether a text is one of these words, whatever its case.
pub(crate) fn is_one_of(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| text.eq_ignore_ascii_case(word))
}
