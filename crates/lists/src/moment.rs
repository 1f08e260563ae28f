//! Moments, as lists write them.

use std::time::Duration;

use mailmesh_events::UnixMillis;

use crate::field::{clean, shown};

const DAY: Duration = Duration::from_secs(86_400);

/// A moment in RFC 3339, with `Z`, an offset, or no zone, which is UTC; a day alone ends with it.
/// A day may be written as in `31.12.2026`, and as in `31/12/2026` where it can be no month.
pub(crate) fn read(text: &str) -> Option<UnixMillis> {
    read_zoned(text).map(|(moment, _)| moment)
}

/// As [`read`], and whether the text says the zone.
pub(crate) fn read_zoned(text: &str) -> Option<(UnixMillis, bool)> {
    let text = clean(text);
    let (day, time) = split_day(text);
    let day = iso_day(day)?;
    if time.is_empty() {
        return Some((at(&day, "00:00:00")?.plus(DAY), false));
    }
    let in_utc = ["Z", "z", "UTC", "GMT"].iter().find_map(|zone| time.strip_suffix(zone));
    let time = clean(in_utc.unwrap_or(time));
    let (clock, offset) = match time.rfind(['+', '-']) {
        Some(sign) => (clean(&time[..sign]), Some(&time[sign..])),
        None => (time, None),
    };
    let seconds = if clock.len() == 5 { ":00" } else { "" };
    let moment = at(&day, &format!("{clock}{seconds}"))?;
    let Some(offset) = offset else { return Some((moment, in_utc.is_some())) };
    let digits: String = offset[1..].chars().filter(|c| *c != ':').collect();
    let (hours, minutes) = match digits.len() {
        2 => (digits.as_str(), "0"),
        4 => digits.split_at(2),
        _ => return None,
    };
    let (hours, minutes) = (hours.parse::<u64>().ok()?, minutes.parse::<u64>().ok()?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let ahead = (hours * 60 + minutes) * 60_000;
    let moment = if offset.starts_with('+') {
        moment.0.saturating_sub(ahead)
    } else {
        moment.0.saturating_add(ahead)
    };
    Some((UnixMillis(moment), true))
}

/// A day as `2026-12-31`.
fn iso_day(text: &str) -> Option<String> {
    match day(text)? {
        Day::Iso(day) => Some(day),
        Day::Ambiguous { .. } | Day::ShortYear { .. } => None,
    }
}

/// The day that a text names.
enum Day {
    /// As `2026-12-31`.
    Iso(String),
    /// The day may be the month.
    Ambiguous { year: u16, a: u16, b: u16 },
    /// The year has two digits, and is one of these numbers; with points, the last.
    ShortYear { numbers: [u16; 3], is_day_first: bool },
}

impl Day {
    /// The days that it may be, at midnight.
    fn candidates(&self) -> impl Iterator<Item = UnixMillis> + use<> {
        let days = match self {
            Self::Iso(day) => vec![day.clone()],
            Self::Ambiguous { year, a, b } => {
                vec![format!("{year}-{a:02}-{b:02}"), format!("{year}-{b:02}-{a:02}")]
            }
            Self::ShortYear { numbers: [a, b, c], is_day_first } => {
                [(c, b, a), (c, a, b), (a, b, c)][..if *is_day_first { 1 } else { 3 }]
                    .iter()
                    .map(|(year, month, day)| format!("20{year:02}-{month:02}-{day:02}"))
                    .collect()
            }
        };
        days.into_iter().filter_map(|day| at(&day, "00:00:00"))
    }
}

fn day(text: &str) -> Option<Day> {
    let separator = text.chars().find(|c| !c.is_ascii_digit())?;
    let mut parts = text.split(separator);
    let (first, second, third) = (parts.next()?, parts.next()?, parts.next()?);
    let is_number = |part: &str, lens: &[usize]| {
        lens.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    if parts.next().is_some() || !is_number(second, &[1, 2]) {
        return None;
    }
    let iso =
        |year: &str, month: &str, day: &str| Day::Iso(format!("{year}-{month:0>2}-{day:0>2}"));
    match separator {
        '-' | '/' | '.' if is_number(first, &[4]) && is_number(third, &[1, 2]) => {
            Some(iso(first, second, third))
        }
        // With points the day comes first everywhere.
        '.' if is_number(first, &[1, 2]) && is_number(third, &[4]) => {
            Some(iso(third, second, first))
        }
        // With strokes it depends on the country.
        '-' | '/' if is_number(first, &[1, 2]) && is_number(third, &[4]) => {
            let (year, a, b) = (third.parse().ok()?, first.parse().ok()?, second.parse().ok()?);
            match (a, b) {
                (1..=12, 1..=12) if a != b => Some(Day::Ambiguous { year, a, b }),
                (1..=12, _) => Some(iso(third, first, second)),
                _ => Some(iso(third, second, first)),
            }
        }
        '-' | '/' | '.' if is_number(first, &[2]) && second.len() == 2 && third.len() == 2 => {
            let numbers = [first.parse().ok()?, second.parse().ok()?, third.parse().ok()?];
            let short = Day::ShortYear { numbers, is_day_first: separator == '.' };
            short.candidates().next().is_some().then_some(short)
        }
        _ => None,
    }
}

/// The day at the begin of a text, and the rest.
fn split_day(text: &str) -> (&str, &str) {
    match text.find(['T', 't', ' ', ',']) {
        Some(at) => (&text[..at], clean(&text[at + 1..])),
        None => (text, ""),
    }
}

/// The fault of a day that may be read in two ways (`03/04/2026`); none, if it is no such.
pub(crate) fn ambiguous(text: &str) -> Option<String> {
    let Day::Ambiguous { year, a, b } = day(split_day(clean(text)).0)? else { return None };
    let shown: String = shown(clean(text)).chars().take(40).collect();
    Some(format!(
        "`{shown}` may be {year}-{b:02}-{a:02} or {year}-{a:02}-{b:02}: write it in this order"
    ))
}

/// Whether a text is a date, perhaps with a time, in any of the ways that people write it.
pub(crate) fn is_date(text: &str) -> bool {
    let text = clean(text);
    let has_digit = text.bytes().any(|byte| byte.is_ascii_digit());
    if !has_digit || !(6..=40).contains(&text.len()) {
        return false;
    }
    let (first, _) = split_day(text);
    day(first).is_some() || read(text).is_some() || has_month(text)
}

/// Whether a text has a day, the name of a month and a year (RFC 5322, asctime(3)).
fn has_month(text: &str) -> bool {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let words = || text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let is_month = |word: &str| {
        MONTHS
            .iter()
            .any(|month| word.eq_ignore_ascii_case(month) || word.eq_ignore_ascii_case(&month[..3]))
    };
    let has_number = |lens: [usize; 2]| {
        words().any(|w| lens.contains(&w.len()) && w.bytes().all(|b| b.is_ascii_digit()))
    };
    words().take(8).any(is_month) && has_number([1, 2]) && has_number([4, 4])
}

/// The last moment that a date may mean; none, if it is no date that is read.
pub(crate) fn latest(text: &str) -> Option<UnixMillis> {
    let text = clean(text);
    if let Some(moment) = read(text) {
        return Some(moment);
    }
    day(split_day(text).0)?.candidates().max()
}

fn at(day: &str, clock: &str) -> Option<UnixMillis> {
    humantime::parse_rfc3339_weak(&format!("{day}T{clock}Z")).ok().map(UnixMillis::from)
}
