//! Moments, as lists write them.

use std::time::Duration;

use mailmesh_events::UnixMillis;

use crate::field::clean;

const DAY: Duration = Duration::from_secs(86_400);

/// A moment in RFC 3339, with `Z`, an offset, or no zone, which is UTC; a day alone ends with it.
/// A day may be written as in `31.12.2026`.
pub(crate) fn read(text: &str) -> Option<UnixMillis> {
    let text = clean(text);
    let (day, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], clean(&text[at + 1..])),
        None => (text, ""),
    };
    let day = iso_day(day)?;
    if time.is_empty() {
        return Some(at(&day, "00:00:00")?.plus(DAY));
    }
    let time =
        ["Z", "z", "UTC", "GMT"].iter().find_map(|zone| time.strip_suffix(zone)).unwrap_or(time);
    let time = clean(time);
    let (clock, offset) = match time.rfind(['+', '-']) {
        Some(sign) => (clean(&time[..sign]), Some(&time[sign..])),
        None => (time, None),
    };
    let seconds = if clock.len() == 5 { ":00" } else { "" };
    let moment = at(&day, &format!("{clock}{seconds}"))?;
    let Some(offset) = offset else { return Some(moment) };
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
    Some(UnixMillis(moment))
}

/// A day as `2026-12-31`.
fn iso_day(text: &str) -> Option<String> {
    let is_day = |text: &str, lens: [usize; 3], separator: char| {
        let parts: Vec<&str> = text.split(separator).collect();
        parts.len() == 3
            && parts.iter().zip(lens).all(|(part, len)| {
                part.len() == len && part.bytes().all(|byte| byte.is_ascii_digit())
            })
    };
    if is_day(text, [4, 2, 2], '-') {
        return Some(text.to_owned());
    }
    if is_day(text, [4, 2, 2], '/') {
        return Some(text.replace('/', "-"));
    }
    // With points the day comes first everywhere; with strokes it depends on the country.
    let parts: Vec<&str> = text.split('.').collect();
    is_day(text, [2, 2, 4], '.').then(|| format!("{}-{}-{}", parts[2], parts[1], parts[0]))
}

fn at(day: &str, clock: &str) -> Option<UnixMillis> {
    humantime::parse_rfc3339_weak(&format!("{day}T{clock}Z")).ok().map(UnixMillis::from)
}
