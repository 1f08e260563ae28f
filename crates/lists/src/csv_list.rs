//! Comma-separated values (RFC 4180): network, reason, end; or as the first line names
//! the columns.

use std::time::Duration;

use mailmesh_events::UnixMillis;

use crate::{Ends, Entry, List, ListError, bounded, network};

/// Where the columns are.
#[derive(Debug, Clone, Copy)]
struct Columns {
    network: usize,
    reason: Option<usize>,
    origin: Option<usize>,
    ends: Option<usize>,
}

const UNNAMED: Columns = Columns { network: 0, reason: Some(1), origin: None, ends: Some(2) };

impl Columns {
    /// As a first line names them; `None` if it names none.
    fn named(record: &csv::StringRecord) -> Option<Self> {
        let find = |names: &[&str]| {
            record.iter().position(|field| {
                let field = field.trim().trim_start_matches('#').trim().to_ascii_lowercase();
                names.contains(&field.as_str())
            })
        };
        Some(Self {
            network: find(&["network", "cidr", "prefix", "address", "ip", "value", "ip_address"])?,
            reason: find(&["reason", "comment", "description", "scenario"]),
            origin: find(&["origin", "source"]),
            ends: find(&["expires", "expiry", "until", "expiration", "duration", "ttl"]),
        })
    }
}

pub(crate) fn read(text: &str) -> Result<List, ListError> {
    let mut list = List::default();
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .comment(Some(b'#'))
        .from_reader(text.as_bytes());
    let mut columns = None;
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = error.position().map_or(0, |position| position.line() as usize);
                list.refuse(line, error.to_string());
                continue;
            }
        };
        let line = record.position().map_or(0, |position| position.line() as usize);
        if columns.is_none() {
            let named = Columns::named(&record);
            columns = Some(named.unwrap_or(UNNAMED));
            if named.is_some() {
                list.skipped += 1;
                continue;
            }
        }
        let columns = columns.unwrap_or(UNNAMED);
        let field = |index: Option<usize>| index.and_then(|at| record.get(at)).unwrap_or("").trim();
        match (network(field(Some(columns.network))), ends(field(columns.ends))) {
            (Ok(network), Ok(ends)) => {
                let (reason, origin) =
                    (bounded(field(columns.reason)), bounded(field(columns.origin)));
                list.push(Entry { line, network, reason, origin, ends })?;
            }
            (Err(why), _) | (_, Err(why)) => list.refuse(line, why),
        }
    }
    Ok(list)
}

/// An end: a moment (RFC 3339, or seconds since 1970), or a duration such as `4h30m`.
pub(crate) fn ends(text: &str) -> Result<Ends, String> {
    if text.is_empty() || text == "-" || text.eq_ignore_ascii_case("never") {
        return Ok(Ends::Never);
    }
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Ends::At(UnixMillis(seconds.saturating_mul(1_000))));
    }
    if let Ok(moment) = humantime::parse_rfc3339_weak(text) {
        return Ok(Ends::At(moment.into()));
    }
    if let Ok(left) = duration(text) {
        return Ok(Ends::After(left));
    }
    let text: String = text.chars().take(40).collect();
    Err(format!("`{text}` is no end: expected like 2027-01-31T12:00:00Z, 1801396800 or 4h30m"))
}

/// A duration such as `4h30m`, or as Go writes it, `3h59m57.4s`; parts of seconds are left
/// out.
pub(crate) fn duration(text: &str) -> Result<Duration, humantime::DurationError> {
    let whole = match (text.find('.'), text.ends_with('s')) {
        (Some(point), true) if !text.ends_with("ms") => format!("{}s", &text[..point]),
        _ => text.to_owned(),
    };
    humantime::parse_duration(&whole)
}
