//! Ends in free text: in comments, in reasons, and in columns whose names say nothing.

use std::net::IpAddr;
use std::sync::LazyLock;

use crate::column::{END_PARTS, Hint, Role, hint_of_name, names_of_ends, role_of_name};
use crate::ends::date::{is_date, is_month};
use crate::ends::duration::{is_duration, unit_millis};
use crate::ends::likely::is_temporary;
use crate::ends::number::moment_of_number;
use crate::normal_name::normal_name;
use crate::secret_key::excerpt;
use crate::words::{clean, is_number};

/// A word of a text, with its byte offsets.
#[derive(Debug, Clone, Copy)]
struct LocatedWord<'a> {
    text: &'a str,
    begin: usize,
    end: usize,
}

/// The words of a text, without the punctuation around them.
fn located_words(text: &str) -> Vec<LocatedWord<'_>> {
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
                words.push(LocatedWord { text: label, begin: at, end: second - 1 });
                words.push(LocatedWord { text: value, begin: second, end: second + value.len() });
            }
            None => words.push(LocatedWord { text: trimmed, begin: at, end: at + trimmed.len() }),
        }
    }
    words
}

/// The part of a text that states an end, or may state one, past or future. This is a date, moment
/// or duration behind a word for an end, a duration beside a word for a block, or a duration that
/// stands alone.
pub(crate) fn end_in(text: &str) -> Option<String> {
    let text = clean(text);
    if is_end_in_words(text) {
        return Some(excerpt(text));
    }
    if !text.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if text.split([',', ';', '|', '\t', '(', ')', '[', ']']).any(is_duration) {
        return Some(excerpt(text));
    }
    let words = located_words(text);
    if words.iter().any(|word| word.text.starts_with('+') && is_duration(word.text)) {
        return Some(excerpt(text));
    }
    let begins_with_digit = |word: &LocatedWord<'_>| {
        word.text.starts_with(|c: char| c.is_ascii_digit()) && word.text.parse::<IpAddr>().is_err()
    };
    if !words.iter().any(begins_with_digit) {
        return None;
    }
    let found = (0..words.len()).find_map(|at| end_at(text, &words, at))?;
    Some(excerpt(found))
}

/// A word of a text with the words around it.
struct Place<'a, 'w> {
    text: &'a str,
    words: &'w [LocatedWord<'a>],
    at: usize,
}

/// The words that announce an end, such as `valid until`.
struct Announcement {
    /// The number of words.
    len: usize,
    /// The words are the name of a column that holds an end.
    is_name: bool,
    /// Such a column holds durations.
    is_of_durations: bool,
    /// A moment or duration behind the words is an end, even without a date.
    is_strong: bool,
    /// The word is `for`: a duration behind it is an end.
    is_for: bool,
}

/// The part of the text that begins with the end at the word at index `at`.
fn end_at<'a>(text: &'a str, words: &[LocatedWord<'a>], at: usize) -> Option<&'a str> {
    let word = words.get(at).filter(|w| w.text.starts_with(char::is_alphabetic))?;
    let place = Place { text, words, at };
    let name = normal_name(word.text);
    if let Some(announcement) = place.announcement(&name)
        && place.has_end_behind(&announcement)?
    {
        return Some(&text[word.begin..]);
    }
    (is_block(&name) && place.has_duration_beside()).then_some(text)
}

impl<'a> Place<'a, '_> {
    /// The word `n` words behind this one.
    fn behind(&self, n: usize) -> &'a str {
        self.words.get(self.at + n).map_or("", |word| word.text)
    }

    /// The text from the word `first` words behind this one to the word `last` words behind it.
    fn span(&self, first: usize, last: usize) -> Option<&'a str> {
        let (first, last) = (self.words.get(self.at + first)?, self.words.get(self.at + last)?);
        Some(&self.text[first.begin..last.end])
    }

    fn announcement(&self, name: &str) -> Option<Announcement> {
        let is_weak = ["to", "do", "end", "thru", "through", "for"].contains(&name);
        let begins = begins_name_of_end(name);
        // Names of several words: `valid to`, `remove after`, `gesperrt bis`.
        let role_of_words = |n: usize| {
            let name = self.span(0, n).filter(|name| !name.contains(|c: char| c.is_ascii_digit()));
            Some(role_of_name(name?)?.role)
        };
        let last = (0..3).rev().filter(|_| begins).find_map(|n| {
            let role = role_of_words(n).filter(|role| role.is_end())?;
            Some((n, role))
        });
        let is_name = last.is_some();
        let has_hint = || hint_of_name(self.behind(0)) == Hint::End;
        let is_strong = is_name || (begins && !is_weak && has_hint());
        (is_strong || is_weak).then(|| Announcement {
            len: last.map_or(0, |(n, _)| n) + 1,
            is_name,
            is_of_durations: last.is_some_and(|(_, role)| role != Role::Until),
            is_strong,
            is_for: name == "for",
        })
    }

    /// Whether an end stands behind an announcement; `None` if nothing stands there.
    fn has_end_behind(&self, announcement: &Announcement) -> Option<bool> {
        const FILLERS: [&str; 16] = [
            "in", "on", "at", "after", "am", "um", "zum", "el", "le", "il", "em", "op", "the",
            "date", "w", "im",
        ];
        let mut n = announcement.len;
        while n < 6 && FILLERS.iter().any(|filler| self.behind(n).eq_ignore_ascii_case(filler)) {
            n += 1;
        }
        let first = self.span(n, n)?;
        let values = |max: usize| (0..max).filter_map(move |more| self.span(n, n + more));
        if values(6).any(is_date) {
            return Some(true);
        }
        let is_moment = first.parse().is_ok_and(|number| moment_of_number(number).is_some());
        let is_lasting = values(2).any(is_duration);
        let is_no_address = |word: &str| word.parse::<IpAddr>().is_err();
        let is_value = first.starts_with(|c: char| c.is_ascii_digit()) && is_no_address(first);
        // `until Dec 31`, `bis Ende 2026`.
        let has_number = (n..n + 3)
            .map(|n| self.behind(n))
            .any(|word| word.bytes().any(|byte| byte.is_ascii_digit()) && is_no_address(word));
        let Announcement { is_name, is_of_durations, is_strong, is_for, len } = *announcement;
        Some(
            (is_moment && !is_for)
                || (is_strong && is_lasting)
                || (is_name && !is_of_durations && (is_value || has_number))
                || (is_for && is_lasting)
                || (is_of_durations && is_number(first) && n == len),
        )
    }

    /// Whether a duration stands up to two words before or behind this word.
    fn has_duration_beside(&self) -> bool {
        let mut behind = (1..=2).flat_map(|n| (n..n + 2).filter_map(move |m| self.span(n, m)));
        let own = &self.words[self.at];
        let begin_before = |n: usize| Some(self.words.get(self.at.checked_sub(n)?)?.begin);
        let mut before = (1..=2).filter_map(begin_before).map(|begin| &self.text[begin..own.begin]);
        behind.any(is_duration) || before.any(is_duration)
    }
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

/// Whether a text without digits says that its entry ends: `temporary ban`, `one week ban`,
/// `expires tomorrow`.
fn is_end_in_words(text: &str) -> bool {
    /// Upper bound on the words that are examined.
    const MAX_WORDS: usize = 64;
    let words: Vec<&str> = located_words(text).iter().map(|w| w.text).take(MAX_WORDS).collect();
    let is_block_at = |at: usize| words.get(at).is_some_and(|word| is_block(&normal_name(word)));
    let beside = |at: usize, is_it: &dyn Fn(usize) -> bool| {
        is_it(at + 1) || at.checked_sub(1).is_some_and(is_it)
    };
    let is_of_ban = |at: usize| {
        let is_strict = |at: usize| is_block_at(at) && !is_temporary(words[at]);
        is_temporary(words[at]) && (words.len() == 1 || beside(at, &is_strict))
    };
    let has_ban = (0..words.len()).any(is_block_at);
    // An article counts behind `for`: `10 tries a minute` is a rate.
    let is_duration_at = |at: usize| {
        let number = normal_name(words[at]);
        let is_number = NUMBERS.contains(&&*number) || {
            let before = at.checked_sub(1).map_or("", |before| words[before]);
            ARTICLES.contains(&&*number) && FOR.contains(&&*normal_name(before))
        };
        is_number && words.get(at + 1).is_some_and(|unit| unit_millis(unit).is_some())
    };
    let is_announced = |pair: &[&str]| {
        let role = role_of_name(pair[0]).map(|known| known.role);
        role == Some(Role::Until) && is_vague_moment(pair[1])
    };
    (0..words.len()).any(is_of_ban)
        || (has_ban && (0..words.len()).any(is_duration_at))
        || words.windows(2).any(is_announced)
}

/// Numbers in words, as they stand before a unit of time.
const NUMBERS: [&str; 18] = [
    "one", "two", "three", "four", "five", "six", "seven", "ten", "zwei", "drei", "vier", "funf",
    "sechs", "sieben", "deux", "trois", "dos", "tres",
];
/// Articles before a unit of time.
const ARTICLES: [&str; 9] = ["a", "an", "ein", "eine", "einen", "un", "une", "una", "uma"];
/// Words for `for` before a duration.
const FOR: [&str; 6] = ["for", "fur", "fuer", "pour", "por", "per"];

/// Whether a word names a moment to come without a date: a month, a day of the week, `tomorrow`.
fn is_vague_moment(word: &str) -> bool {
    const WORDS: [&str; 30] = [
        "tomorrow",
        "today",
        "tonight",
        "midnight",
        "next",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
        "morgen",
        "ubermorgen",
        "heute",
        "montag",
        "dienstag",
        "mittwoch",
        "donnerstag",
        "freitag",
        "samstag",
        "sonntag",
        "nachste",
        "demain",
        "manana",
        "domani",
        "amanha",
        "lundi",
        "lunes",
        "lunedi",
    ];
    is_month(word) || WORDS.contains(&&*normal_name(word))
}

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
