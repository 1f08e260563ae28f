//! Reads durations, and recognises those in notations that it cannot read.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use crate::normal_name::normal_name;
use crate::words::clean;

/// Reads a duration such as `4h30m`, or in the form of Go, `3h59m57.4s`. Fractions of a second are
/// dropped.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, humantime::DurationError> {
    // Only fractions of a second may be dropped: `1.5 hours` must fail.
    let whole = text.split_once('.').and_then(|(whole, part)| {
        let unit = part.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
        matches!(unit, "s" | "sec" | "secs" | "second" | "seconds").then(|| format!("{whole}s"))
    });
    humantime::parse_duration(whole.as_deref().unwrap_or(text))
}

/// Units of time by their names without accents, in milliseconds. Months and years have no fixed
/// length, and `m` may mean months: their value is 0.
const UNITS: [(&str, u64); 7] = [
    ("ms msec msecs millis millisecond milliseconds", 1),
    (
        "s sec secs second seconds sek sekunde sekunden seconde secondes segundo segundos secondo \
         secondi seconden sekund sekundy",
        1_000,
    ),
    ("min mins minute minutes minuten minuto minutos minuti minuut minut minuty", 60_000),
    (
        "h hr hrs hour hours std stunde stunden heure heures hora horas ora ore uur godzina \
         godziny godzin",
        3_600_000,
    ),
    (
        "d day days tag tage tagen jour jours j dia dias giorno giorni dag dagen dni dzien",
        86_400_000,
    ),
    (
        "w week weeks woche wochen semaine semaines semana semanas settimana settimane weken",
        604_800_000,
    ),
    (
        "m mo mon month months monat monate monaten mois mes meses mese mesi maand y yr year years \
         jahr jahre an ans annee annees ano anos anno anni jaar",
        0,
    ),
];

/// The milliseconds of a unit of time; 0 if its length is uncertain.
pub(crate) fn unit_millis(name: &str) -> Option<u64> {
    UNIT_BY_NAME.get(&*normal_name(name)).copied()
}

static UNIT_BY_NAME: LazyLock<HashMap<&str, u64>> = LazyLock::new(|| {
    let of = |(names, millis): (&'static str, u64)| names.split(' ').map(move |n| (n, millis));
    UNITS.into_iter().flat_map(of).collect()
});

/// Whether a text is a duration in any common notation, even one that [`parse_duration`]
/// cannot read: `24h`, `3600 s`, `2 Stunden`, `1d 00:00:10`, `P1D`.
pub(crate) fn is_duration(text: &str) -> bool {
    let text = clean(text).trim_start_matches('+');
    if text.len() > 40 || !text.bytes().any(|byte| byte.is_ascii_digit()) {
        return false;
    }
    if let Some(iso) = text.strip_prefix('P') {
        let is_part = |c: char| c.is_ascii_digit() || "YMWDTHS.".contains(c);
        return iso.chars().all(is_part) && iso.ends_with(|c: char| c.is_ascii_alphabetic());
    }
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit() || ".,".contains(c));
        let number = &rest[..rest.len() - digits.len()];
        if !number.starts_with(|c: char| c.is_ascii_digit()) {
            return false;
        }
        if digits.starts_with(':') {
            // Hours, minutes and seconds may follow days.
            return rest.len() < text.len()
                && digits.chars().all(|c| c.is_ascii_digit() || c == ':');
        }
        let word = digits.trim_start();
        let after = word.trim_start_matches(char::is_alphabetic);
        if unit_millis(&word[..word.len() - after.len()]).is_none() || word.len() == after.len() {
            return false;
        }
        rest = after.trim_start_matches([' ', ',', '.']);
        rest = rest.strip_prefix("and ").unwrap_or(rest);
    }
    true
}
