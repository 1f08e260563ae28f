//! Reads the end of an entry from the field that holds it.

pub(crate) mod date;
pub(crate) mod day_and_time;
pub(crate) mod duration;
pub(crate) mod likely;
pub(crate) mod no_end;
pub(crate) mod number;

use std::time::Duration;

use crate::Ends;
use crate::secret_key::excerpt;
use crate::words::{clean, is_number};
use date::{ReadMoment, ambiguity, is_date, parse_zoned};
use duration::parse_duration;
use no_end::is_no_end;
use number::{FIRST_MOMENT, LAST_MOMENT, moment_of_number, refuse_thousands};

/// How to read a bare number as an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BareNumber {
    /// Time since 1970, in the unit that [`moment_of_number`] finds.
    Moment,
    /// Seconds from now, unless the number is as large as a moment.
    Seconds,
}

/// 9999-12-31 in seconds since 1970.
const LAST_DAY: u64 = 253_402_214_400;

/// Reads an end: a moment, or a duration such as `4h30m`.
pub(crate) fn parse_end(text: &str, bare: BareNumber) -> Result<Ends, String> {
    let text = clean(text);
    if is_no_end(text) {
        return Ok(Ends::Never);
    }
    if bare == BareNumber::Seconds {
        refuse_thousands(text)?;
    }
    let whole = text.split_once('.').filter(|(_, part)| part.bytes().all(|b| b.is_ascii_digit()));
    if let Ok(number) = whole.map_or(text, |(whole, _)| whole).parse::<u64>() {
        return match moment_of_number(number) {
            Some(moment) => Ok(Ends::At(moment)),
            None if number >= FIRST_MOMENT => {
                Err(format!("`{number}` is no moment between 2001 and 2200, in any unit"))
            }
            None if bare == BareNumber::Seconds => Ok(Ends::After(Duration::from_secs(number))),
            None => Err(format!("`{number}` is no moment: seconds since 1970 are expected")),
        };
    }
    // CrowdSec lists an expired decision with the time since its end, as a negative duration.
    if let Some(past) = text.strip_prefix('-')
        && parse_duration(past).is_ok()
    {
        return Ok(Ends::After(Duration::ZERO));
    }
    if let Some(ReadMoment { moment, has_zone }) = parse_zoned(text) {
        let seconds = moment.0 / 1_000;
        // Databases write the latest date they can hold for "no end".
        return if seconds < LAST_MOMENT {
            Ok(if has_zone { Ends::At(moment) } else { Ends::Local(moment) })
        } else if seconds >= LAST_DAY {
            Ok(Ends::Never)
        } else {
            let wrong = "is later than the year 2200; leave it empty if there is no end";
            Err(format!("`{}` {wrong}", excerpt(text)))
        };
    }
    if let Some(why) = ambiguity(text) {
        return Err(why);
    }
    if let Ok(left) = parse_duration(text) {
        return Ok(Ends::After(left));
    }
    let text: String = excerpt(text).chars().take(40).collect();
    Err(format!(
        "`{text}` is no end: expected like 2026-12-31T12:00:00Z, 31.12.2026, 1798718400 or 4h30m"
    ))
}

/// The one end that several fields of an entry give: a moment wins over a duration, and both over
/// "no end".
pub(crate) fn one_end(ends: &[Ends]) -> Result<Ends, String> {
    let is_moment = |ends: &&Ends| matches!(ends, Ends::At(_) | Ends::Local(_));
    let is_duration = |ends: &&Ends| matches!(ends, Ends::After(_));
    let mut found = ends.iter().filter(is_moment).peekable();
    let Some(one) = found.next().or_else(|| ends.iter().find(is_duration)) else {
        return Ok(Ends::Never);
    };
    let differs = if is_moment(&one) {
        found.any(|other| other != one)
    } else {
        ends.iter().filter(is_duration).any(|other| other != one)
    };
    if differs { Err("it has two ends that differ: give one".to_owned()) } else { Ok(*one) }
}

/// The end after a duration whose unit, in milliseconds, the name of the column gives.
pub(crate) fn parse_end_in_unit(text: &str, unit: u64) -> Result<Ends, String> {
    let text = clean(text);
    refuse_thousands(text)?;
    if !is_number(text) {
        return parse_end(text, BareNumber::Seconds);
    }
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let of_whole = whole.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    // At most six decimals, so that the product does not overflow.
    let part = &part[..part.len().min(6)];
    let of_part = part.parse::<u64>().unwrap_or(0) * unit / 10_u64.pow(part.len() as u32);
    match of_whole.filter(|millis| millis / 1_000 < FIRST_MOMENT) {
        Some(millis) => Ok(Ends::After(Duration::from_millis(millis + of_part))),
        None => Err(format!("`{}` is longer than any block lasts", excerpt(text))),
    }
}

/// Whether a text in a column without a name looks like an end, even one that cannot be read.
pub(crate) fn may_be_end(text: &str) -> bool {
    is_date(text) || parse_end(text, BareNumber::Moment).is_ok_and(|ends| ends != Ends::Never)
}
