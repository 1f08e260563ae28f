//! Reads dates as lists write them, with or without a time of day.

use std::time::Duration;

use mailmesh_events::UnixMillis;

use crate::normal_name::normal_name;
use crate::secret_key::excerpt;
use crate::words::clean;

const DAY: Duration = Duration::from_millis(DAY_MILLIS);
const DAY_MILLIS: u64 = 86_400_000;

/// Reads an RFC 3339 moment with `Z`, an offset, or no zone, which means UTC; a date alone means
/// the end of its day. Also reads `31.12.2026`, and `31/12/2026` where 31 cannot be the month.
pub(crate) fn parse_moment(text: &str) -> Option<UnixMillis> {
    parse_zoned(text).map(|read| read.moment)
}

/// A moment as a text gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReadMoment {
    /// In UTC, or in an unknown zone as if it were UTC.
    pub(crate) moment: UnixMillis,
    /// Whether the text gives the zone.
    pub(crate) has_zone: bool,
}

/// As [`parse_moment`], and whether the text gives the zone.
pub(crate) fn parse_zoned(text: &str) -> Option<ReadMoment> {
    let text = clean(text);
    let (day, time) = split_day(text);
    let day = iso_day(day)?;
    if time.is_empty() {
        return Some(ReadMoment { moment: at(&day, "00:00:00")?.plus(DAY), has_zone: false });
    }
    let in_utc = ["Z", "z", "UTC", "GMT"].iter().find_map(|zone| time.strip_suffix(zone));
    let time = clean(in_utc.unwrap_or(time));
    let (clock, offset) = match time.rfind(['+', '-']) {
        Some(sign) => (clean(&time[..sign]), Some(&time[sign..])),
        None => (time, None),
    };
    let seconds = if clock.len() == 5 { ":00" } else { "" };
    let moment = at(&day, &format!("{clock}{seconds}"))?;
    let Some(offset) = offset else {
        return Some(ReadMoment { moment, has_zone: in_utc.is_some() });
    };
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
    Some(ReadMoment { moment: UnixMillis(moment), has_zone: true })
}

/// A day in the form `2026-12-31`; `None` if the text may mean several days.
fn iso_day(text: &str) -> Option<String> {
    match parse_day(text)? {
        Day::Iso(day) => Some(day),
        Day::Ambiguous { .. } | Day::ShortYear { .. } => None,
    }
}

#[derive(Debug, Clone, Copy)]
struct YearMonthDay {
    year: u16,
    month: u16,
    day: u16,
}

/// The day that a text names.
enum Day {
    /// In the form `2026-12-31`.
    Iso(String),
    /// Either of the two numbers may be the month.
    Ambiguous { year: u16, a: u16, b: u16 },
    /// The year has two digits: it may be the first number or the last.
    ShortYear { parts: [u16; 3] },
}

impl Day {
    /// The days that the text may mean, but for the one in the form of ISO 8601.
    fn candidates(&self) -> Vec<YearMonthDay> {
        let possible = |year, month, day| YearMonthDay { year, month, day };
        match *self {
            Self::Iso(_) => Vec::new(),
            Self::Ambiguous { year, a, b } => vec![possible(year, a, b), possible(year, b, a)],
            Self::ShortYear { parts: [a, b, c] } => {
                let (last, first) = (2_000 + c, 2_000 + a);
                vec![possible(last, b, a), possible(last, a, b), possible(first, b, c)]
            }
        }
    }
}

fn parse_day(text: &str) -> Option<Day> {
    if let Some(day) = compact_day(text) {
        return Some(day);
    }
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
        // With points, the day comes first in every country.
        '.' if is_number(first, &[1, 2]) && is_number(third, &[4]) => {
            Some(iso(third, second, first))
        }
        // With slashes or dashes, the order depends on the country.
        '-' | '/' if is_number(first, &[1, 2]) && is_number(third, &[4]) => {
            let (year, a, b) = (third.parse().ok()?, first.parse().ok()?, second.parse().ok()?);
            match (a, b) {
                (1..=12, 1..=12) if a != b => Some(Day::Ambiguous { year, a, b }),
                (1..=12, _) => Some(iso(third, first, second)),
                _ => Some(iso(third, second, first)),
            }
        }
        '-' | '/' | '.' => short_year([first, second, third]),
        _ => None,
    }
}

/// A day of this century without separators (`20261231`).
fn compact_day(text: &str) -> Option<Day> {
    if text.len() != 8 || !text.starts_with("20") || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let day = format!("{}-{}-{}", &text[..4], &text[4..6], &text[6..]);
    at(&day, "00:00:00").is_some().then_some(Day::Iso(day))
}

/// A day whose year has two digits.
fn short_year(texts: [&str; 3]) -> Option<Day> {
    if texts[2].len() != 2 || !texts.iter().all(|text| (1..=2).contains(&text.len())) {
        return None;
    }
    let [a, b, c] = texts.map(|text| text.parse::<u16>().ok());
    let day = Day::ShortYear { parts: [a?, b?, c?] };
    let is_day = |day: &YearMonthDay| (1..=12).contains(&day.month) && (1..=31).contains(&day.day);
    day.candidates().iter().any(is_day).then_some(day)
}

/// The day at the beginning of a text, and the rest of the text.
pub(super) fn split_day(text: &str) -> (&str, &str) {
    match text.find(['T', 't', ' ', ',']) {
        Some(at) => (&text[..at], clean(&text[at + 1..])),
        None => (text, ""),
    }
}

/// The fault of a day that can be read in two ways (`03/04/2026`, `03.04.26`); `None` for other
/// texts.
pub(crate) fn ambiguity(text: &str) -> Option<String> {
    let shown: String = excerpt(clean(text)).chars().take(40).collect();
    match parse_day(split_day(clean(text)).0)? {
        Day::Iso(_) => None,
        Day::Ambiguous { year, a, b } => Some(format!(
            "`{shown}` may be {year}-{b:02}-{a:02} or {year}-{a:02}-{b:02}: write it in this order"
        )),
        Day::ShortYear { .. } => Some(format!(
            "the year of `{shown}` has two digits: write it like 2027-01-31, 31.01.2027 or \
             2027-01-31T12:00:00Z"
        )),
    }
}

/// Whether a text is a date, perhaps with a time, in any common notation.
pub(crate) fn is_date(text: &str) -> bool {
    let text = clean(text);
    let has_digit = text.bytes().any(|byte| byte.is_ascii_digit());
    if !has_digit || !(6..=40).contains(&text.len()) {
        return false;
    }
    let (first, _) = split_day(text);
    parse_day(first).is_some() || parse_moment(text).is_some() || has_month_name(text)
}

/// Names of the months in English, German, French, Spanish, Italian, Portuguese, Dutch and Polish,
/// without accents. The first three letters of an English name also count.
const MONTHS: [&str; 12] = [
    "january januar janvier enero gennaio janeiro januari stycznia styczen",
    "february februar fevrier febrero febbraio fevereiro februari lutego luty",
    "march marz maerz mars marzo marco maart marca marzec",
    "april avril abril aprile kwietnia kwiecien",
    "may mai mayo maggio maio mei maja maj",
    "june juni juin junio giugno junho czerwca czerwiec",
    "july juli juillet julio luglio julho lipca lipiec",
    "august aout agosto augustus sierpnia sierpien",
    "september septembre septiembre settembre setembro wrzesnia wrzesien",
    "october oktober octobre octubre ottobre outubro pazdziernika pazdziernik",
    "november novembre noviembre novembro listopada listopad",
    "december dezember decembre diciembre dicembre dezembro grudnia grudzien",
];

/// Whether a text has a day, the name of a month and a year (RFC 5322, asctime(3)).
fn has_month_name(text: &str) -> bool {
    day_with_month_name(text).is_some()
}

/// The day of a text with the name of a month.
fn day_with_month_name(text: &str) -> Option<YearMonthDay> {
    let words = || text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let number = |word: &str| -> Option<u16> {
        let word = word.trim_end_matches(char::is_alphabetic);
        word.bytes().all(|byte| byte.is_ascii_digit()).then(|| word.parse().ok()).flatten()
    };
    let year = words()
        .filter(|w| w.len() == 4 && w.bytes().all(|b| b.is_ascii_digit()))
        .find_map(number)?;
    let day = words().filter(|word| word.trim_end_matches(char::is_alphabetic).len() <= 2);
    let day = day.into_iter().find_map(number)?;
    let month = words().take(8).filter(|word| word.starts_with(char::is_alphabetic));
    Some(YearMonthDay { year, month: month.into_iter().find_map(month_of_name)?, day })
}

/// The number of a month, from 1.
fn month_of_name(word: &str) -> Option<u16> {
    let word = normal_name(word);
    let is_month = |names: &&str| {
        names.split(' ').any(|name| word == name) || (names.get(..3) == Some(&*word))
    };
    (1..).zip(MONTHS).find(|(_, names)| is_month(names)).map(|(month, _)| month)
}

/// Whether a word is the name of a month, or the first three letters of one in any language.
pub(crate) fn is_month(word: &str) -> bool {
    let normal = normal_name(word);
    let is_begin = |name: &str| normal.len() == 3 && name.starts_with(normal.as_str());
    month_of_name(word).is_some() || MONTHS.iter().any(|names| names.split(' ').any(is_begin))
}

/// The latest moment that a date may mean; `None` if the text is not a date that can be read.
pub(crate) fn latest_moment(text: &str) -> Option<UnixMillis> {
    let text = clean(text);
    if let Some(moment) = parse_moment(text) {
        return Some(moment);
    }
    let days = match parse_day(split_day(text).0) {
        Some(day) => day.candidates(),
        None => day_with_month_name(text).into_iter().collect(),
    };
    let moment =
        |YearMonthDay { year, month, day }| at(&format!("{year}-{month:02}-{day:02}"), "00:00:00");
    days.into_iter().filter_map(moment).max().map(|moment| moment.plus(DAY))
}

/// The latest moment at which the time that a text names may begin: a day counts from its start, as
/// one with a zone.
pub(crate) fn latest_begin(text: &str) -> Option<ReadMoment> {
    let text = clean(text);
    if let Some(read) = parse_zoned(text)
        && !split_day(text).1.is_empty()
    {
        return Some(read);
    }
    let day_end = latest_moment(text)?;
    Some(ReadMoment { moment: UnixMillis(day_end.0.saturating_sub(DAY_MILLIS)), has_zone: true })
}

fn at(day: &str, clock: &str) -> Option<UnixMillis> {
    humantime::parse_rfc3339_weak(&format!("{day}T{clock}Z")).ok().map(UnixMillis::from)
}
