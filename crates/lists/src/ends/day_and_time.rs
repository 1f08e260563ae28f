//! Days and times of day in fields of their own.

use std::borrow::Cow;

use super::date::{parse_moment, split_day};

/// The texts of several fields for one moment: a day and the time of day beside it are joined.
pub(crate) fn join_day_and_time<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<Cow<'a, str>> {
    let (times, mut rest): (Vec<&str>, Vec<&str>) = texts.partition(|text| is_time_of_day(text));
    let is_day = |text: &&str| parse_moment(text).is_some() && split_day(text).1.is_empty();
    let mut days = (0..rest.len()).filter(|at| is_day(&rest[*at]));
    match (&times[..], days.next(), days.next()) {
        ([time], Some(day), None) => {
            let joined = format!("{} {time}", rest.remove(day));
            let others = rest.into_iter().map(Cow::Borrowed);
            others.chain([Cow::Owned(joined)]).collect()
        }
        _ => rest.into_iter().chain(times).map(Cow::Borrowed).collect(),
    }
}

/// Whether a text is a time of day (`10:00`).
fn is_time_of_day(text: &str) -> bool {
    let is_of_time = |byte: u8| byte.is_ascii_digit() || byte == b':';
    (5..=8).contains(&text.len())
        && text.bytes().all(is_of_time)
        && parse_moment(&format!("2000-01-01 {text}")).is_some()
}
