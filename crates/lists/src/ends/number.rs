//! Numbers as moments: seconds, or a smaller unit, since 1970.

use mailmesh_events::UnixMillis;

/// 2001-09-09 in seconds since 1970: smaller numbers are not read as moments.
pub(super) const FIRST_MOMENT: u64 = 1_000_000_000;
/// 2200-01-01 in seconds since 1970: larger numbers are not read as seconds.
pub(super) const LAST_MOMENT: u64 = 7_258_118_400;

/// The moment of a number. The unit (s, ms, µs or ns) is the one that puts it in 2001 to 2199.
pub(crate) fn moment_of_number(number: u64) -> Option<UnixMillis> {
    let units_in_second = [1, 1_000, 1_000_000, 1_000_000_000];
    let unit = units_in_second
        .into_iter()
        .find(|units| (FIRST_MOMENT..LAST_MOMENT).contains(&(number / units)))?;
    Some(UnixMillis(if unit == 1 { number * 1_000 } else { number / (unit / 1_000) }))
}

/// Refuses a number such as `3.600`: the point may be a thousands separator.
pub(super) fn refuse_thousands(text: &str) -> Result<(), String> {
    let Some((whole, part)) = text.split_once('.') else { return Ok(()) };
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (1..=3).contains(&whole.len()) && part.len() == 3 && is_number(whole) && is_number(part) {
        return Err(format!(
            "`{text}` may be {whole}{part} or {whole}: write it without the point"
        ));
    }
    Ok(())
}
