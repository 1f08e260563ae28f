//! Ends in free text: in comments, in reasons, and in columns whose names say nothing.

use std::net::IpAddr;
use std::sync::LazyLock;

use crate::column::{END_PARTS, Hint, Role, hint_of_name, names_of_ends, role_of_name};
use crate::ends::date::is_date;
use crate::ends::duration::is_duration;
use crate::ends::number::moment_of_number;
use crate::normal_name::normal_name;
use crate::secret_key::excerpt;
use crate::words::{clean, is_number};

/// A word of a text, with its byte offsets.
#[derive(Debug, Clone, Copy)]
struct Word<'a> {
    text: &'a str,
    begin: usize,
    end: usize,
}

/// The words of a text, without the punctuation around them.
fn words(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let is_between = |c: char| c.is_whitespace() || ",;()[]{}<>\"=|".contains(c);
    let mut begin = 0;
    for part in text.split(is_between) {
        let from = begin;
        begin += part.len();
        begin += text[begin..].chars().next().map_or(0, char::len_utf8);
        let trimmed = part.trim_matches(['.', ':', '\'', '!', '?', '’', '`']);
        if trimmed.is_empty() {
            continue;
        }
        let at = from + part.find(trimmed).unwrap_or(0);
        let is_label = |label: &str| label.len() > 1 && label.chars().all(char::is_alphabetic);
        match trimmed.split_once(':').filter(|(label, _)| is_label(label)) {
            Some((label, value)) => {
                let second = at + label.len() + 1;
                words.push(Word { text: label, begin: at, end: second - 1 });
                words.push(Word { text: value, begin: second, end: second + value.len() });
            }
            None => words.push(Word { text: trimmed, begin: at, end: at + trimmed.len() }),
        }
    }
    words
}

/// The part of a text that states an end, or may state one, past or future. This is a date, moment
/// or duration behind a word for an end, a duration beside a word for a block, or a duration that
/// stands alone.
pub(crate) fn end_in(text: &str) -> Option<String> {
    let text = clean(text);
    if !text.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if text.split([',', ';', '|', '\t', '(', ')', '[', ']']).any(is_duration) {
        return Some(excerpt(text));
    }
    let words = words(text);
    let begins_with_digit = |word: &Word<'_>| {
        word.text.starts_with(|c: char| c.is_ascii_digit()) && word.text.parse::<IpAddr>().is_err()
    };
    if !words.iter().any(begins_with_digit) {
        return None;
    }
    let found = (0..words.len()).find_map(|at| end_at(text, &words, at))?;
    Some(excerpt(found))
}

/// Whether a text may be read as an end, now or later: it contains a date, a duration or a word
/// with at least four digits.
pub(crate) fn may_state_end(text: &str) -> bool {
    let is_long = |word: &str| word.bytes().filter(u8::is_ascii_digit).count() >= 4;
    is_date(text) || end_in(text).is_some() || text.split_whitespace().any(is_long)
}

/// The end that begins with the word at index `at`.
fn end_at<'a>(text: &'a str, words: &[Word<'a>], at: usize) -> Option<&'a str> {
    let word = words.get(at).filter(|w| w.text.starts_with(char::is_alphabetic))?;
    let name = normal_name(word.text);
    let is_weak = ["to", "do", "end", "thru", "through", "for"].contains(&&*name);
    let is_block = is_block(&name);
    let begins = begins_name_of_end(&name);
    // Most words need no further checks.
    if !(is_weak || is_block || begins) {
        return None;
    }
    let next = |n: usize| words.get(at + n).map_or("", |word| word.text);
    let until = |n: usize| words.get(at + n).map_or("", |last| &text[word.begin..last.end]);
    // Names of several words: `valid to`, `remove after`, `gesperrt bis`.
    let count = (0..3).rev().filter(|_| begins).find(|n| {
        let name = until(*n);
        !name.is_empty()
            && !name.contains(|c: char| c.is_ascii_digit())
            && role_of_name(name).is_some_and(|known| known.role.is_end())
    });
    let is_strong = count.is_some() || (begins && hint_of_name(word.text) == Hint::End && !is_weak);
    let lasts =
        count.and_then(|n| role_of_name(until(n))).is_some_and(|known| known.role != Role::Until);
    if is_strong || is_weak {
        const FILLERS: [&str; 16] = [
            "in", "on", "at", "after", "am", "um", "zum", "el", "le", "il", "em", "op", "the",
            "date", "w", "im",
        ];
        let mut n = count.unwrap_or(0) + 1;
        while n < 6 && FILLERS.iter().any(|filler| next(n).eq_ignore_ascii_case(filler)) {
            n += 1;
        }
        let is_next = n == count.unwrap_or(0) + 1;
        let first = words.get(at + n)?;
        let value = |count: usize| words.get(at + n + count - 1).map(|w| &text[first.begin..w.end]);
        if (1..=6).filter_map(value).any(is_date) {
            return value(1).map(|_| &text[word.begin..]);
        }
        let is_moment = first.text.parse().is_ok_and(|number| moment_of_number(number).is_some());
        let is_lasting = (1..=2).filter_map(value).any(is_duration);
        let is_value = first.text.starts_with(|c: char| c.is_ascii_digit())
            && first.text.parse::<IpAddr>().is_err();
        // `until Dec 31`, `bis Ende 2026`.
        let is_number_in = |n: usize| {
            let word = next(n);
            word.bytes().any(|b| b.is_ascii_digit()) && word.parse::<IpAddr>().is_err()
        };
        let has_number = (n..n + 3).any(is_number_in);
        let is_end = (is_strong && (is_moment || is_lasting))
            || (count.is_some() && !lasts && (is_value || has_number))
            || (is_weak && name == "for" && is_lasting)
            || (lasts && is_number(first.text) && is_next);
        if is_end {
            return Some(&text[word.begin..]);
        }
    }
    if is_block {
        let values = (1..=2).flat_map(|n| (n..n + 2).map(move |last| (n, last)));
        let mut values = values.filter_map(|(first, last)| {
            Some(&text[words.get(at + first)?.begin..words.get(at + last)?.end])
        });
        let before = (1..=2).filter_map(|n| Some(&text[words.get(at.checked_sub(n)?)?.begin..]));
        let mut before = before.map(|rest| &rest[..rest.len() - (text.len() - word.begin)]);
        if values.any(is_duration) || before.any(is_duration) {
            return Some(text);
        }
    }
    None
}

/// Whether a name may begin a name of an end.
fn begins_name_of_end(name: &str) -> bool {
    let at = NAMES_OF_ENDS.partition_point(|known| *known < name);
    let begins_one = NAMES_OF_ENDS.get(at).is_some_and(|known| known.starts_with(name));
    begins_one || END_PARTS.iter().any(|part| name.starts_with(part))
}

static NAMES_OF_ENDS: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let mut names: Vec<&str> = names_of_ends().collect();
    names.sort_unstable();
    names
});

/// Whether a name means that an address is blocked, or blocked for a time.
fn is_block(name: &str) -> bool {
    const BEGINS: [&str; 13] = [
        "ban",
        "block",
        "temp",
        "sperr",
        "gesperrt",
        "blockiert",
        "bloqu",
        "blocc",
        "bann",
        "blok",
        "jail",
        "deny",
        "drop",
    ];
    BEGINS.iter().any(|begin| name.starts_with(begin))
}
