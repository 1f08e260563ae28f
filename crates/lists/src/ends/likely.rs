//! Whether a text that stands alone may be an end in a notation that is not read.

use super::date::{is_date, is_month};
use super::duration::is_duration;
use super::number::FIRST_MOMENT;
use super::number::moment_of_number;
use crate::normal_name::normal_name;
use crate::words::clean;

/// 2040-01-01 in milliseconds since 1970: a number of a later moment is most likely no moment.
const LAST_LIKELY: u64 = 2_208_988_800_000;
/// Texts that say that an entry ends, but not when.
const TEMPORARY: [&str; 11] = [
    "temporary",
    "temporarily",
    "temp",
    "temporar",
    "befristet",
    "vorubergehend",
    "temporaire",
    "temporal",
    "temporaneo",
    "temporario",
    "tijdelijk",
];
/// Words before a duration.
const BEFORE: [&str; 10] =
    ["in ", "for ", "fur ", "für ", "nach ", "after ", "en ", "dans ", "por ", "pour "];

/// Whether a text may be an end: a date, a month, a day without its year, a moment as a number, or
/// a duration.
pub(crate) fn may_be_any_end(text: &str) -> bool {
    let small = with_plain_hyphens(clean(text)).to_lowercase();
    let rest = BEFORE.iter().find_map(|word| small.strip_prefix(word));
    is_date(&small)
        || is_duration(rest.unwrap_or(&small))
        || is_likely_moment(&small)
        || is_part_of_date(&small)
        || is_temporary(&small)
}

/// Whether a text says that an entry ends, but not when.
pub(crate) fn is_temporary(text: &str) -> bool {
    TEMPORARY.contains(&normal_name(text).as_str())
}

/// Whether a number is most likely a moment: a day as `20261231`, or the time since 1970.
pub(crate) fn is_likely_moment(text: &str) -> bool {
    let is_number = text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_digit());
    let moment = text.parse::<u64>().ok().filter(|number| *number >= FIRST_MOMENT);
    let moment = moment.and_then(moment_of_number);
    is_number && (is_date(text) || moment.is_some_and(|moment| moment.0 < LAST_LIKELY))
}

fn with_plain_hyphens(text: &str) -> String {
    let plain = |c: char| if matches!(c, '\u{2010}'..='\u{2015}' | '\u{2212}') { '-' } else { c };
    text.chars().map(plain).collect()
}

/// Whether a text is a month with its year (`12/2026`, `Dec 2026`), a day with its month (`1.12.`,
/// `5 Dec`), or a date with the name of its month and a year of two digits.
fn is_part_of_date(text: &str) -> bool {
    let parts: Vec<&str> =
        text.split([' ', '.', '/', '-', ',']).filter(|part| !part.is_empty()).take(4).collect();
    let number = |text: &str| text.parse::<u16>().ok();
    let is_year = |text: &str| text.len() == 4 && number(text).is_some_and(|n| n / 100 == 20);
    let is_in = |text: &str, max: u16| {
        text.len() <= 2 && number(text).is_some_and(|number| (1..=max).contains(&number))
    };
    let is_named = |text: &str| text.len() >= 3 && is_month(text);
    match parts[..] {
        [a, b] if is_named(a) || is_named(b) => {
            let other = if is_named(a) { b } else { a };
            is_in(other, 31) || is_year(other)
        }
        [a, b] if is_year(a) || is_year(b) => is_in(a, 12) || is_in(b, 12),
        [a, b] => text.matches('.').count() == 2 && is_in(a, 31) && is_in(b, 12),
        [a, b, c] => is_in(a, 31) && is_named(b) && c.len() == 2 && number(c).is_some(),
        _ => false,
    }
}
