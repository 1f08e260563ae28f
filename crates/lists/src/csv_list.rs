//! Comma-separated values (RFC 4180): network, reason, end; or as the first line names
//! the columns.

use std::time::Duration;

use csv_core::ReadRecordResult;
use mailmesh_events::UnixMillis;

use crate::{Ends, Entry, List, ListError, MAX_COLUMNS, MAX_LINE, bounded, network};

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
    fn named(record: &Record) -> Option<Self> {
        let find = |names: &[&str]| {
            record.fields().position(|field| {
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

/// The fields of a record, in buffers that do not grow: a record that does not fit is bad.
struct Record {
    text: Box<[u8]>,
    ends: Box<[usize]>,
    count: usize,
}

impl Record {
    fn new() -> Self {
        Self { text: vec![0; MAX_LINE].into(), ends: vec![0; MAX_COLUMNS].into(), count: 0 }
    }

    fn get(&self, index: usize) -> Option<&str> {
        let end = *self.ends[..self.count].get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        // The list is text, and separators are ASCII.
        std::str::from_utf8(self.text.get(start..end)?).ok()
    }

    fn fields(&self) -> impl Iterator<Item = &str> {
        (0..self.count).map_while(|index| self.get(index))
    }
}

/// The records of a text, one at a time.
struct Records<'a> {
    reader: csv_core::Reader,
    rest: &'a [u8],
    /// The line where `rest` begins, from 1.
    line: usize,
}

impl<'a> Records<'a> {
    fn new(text: &'a str) -> Self {
        Self { reader: csv_core::Reader::new(), rest: text.as_bytes(), line: 1 }
    }

    fn skip(&mut self, count: usize) {
        let (read, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.line += read.iter().filter(|byte| **byte == b'\n').count();
        self.rest = rest;
    }

    /// Reads the next record, and gives the line where it begins, or what is wrong with it;
    /// `None` at the end.
    fn next(&mut self, record: &mut Record) -> Option<(usize, Result<(), String>)> {
        // Empty lines and comments.
        while let Some(first) = self.rest.first() {
            match first {
                b'\n' | b'\r' => self.skip(1),
                b'#' => {
                    let end = self.rest.iter().position(|byte| *byte == b'\n');
                    self.skip(end.map_or(self.rest.len(), |end| end + 1));
                }
                _ => break,
            }
        }
        let (line, mut bad) = (self.line, Ok(()));
        let (mut len, mut count) = (0, 0);
        loop {
            let (text, ends) = (&mut record.text[len..], &mut record.ends[count..]);
            let (result, read, written, ended) = self.reader.read_record(self.rest, text, ends);
            self.skip(read);
            (len, count) = (len + written, count + ended);
            match result {
                ReadRecordResult::InputEmpty => {}
                // What follows of the record is read over what came of it.
                ReadRecordResult::OutputFull => {
                    len = 0;
                    bad = Err(format!(
                        "the record has more than {MAX_LINE} bytes, the limit; \
                         is a quote not closed?"
                    ));
                }
                ReadRecordResult::OutputEndsFull => {
                    count = 0;
                    bad = Err(format!("the record has more than {MAX_COLUMNS} columns, the limit"));
                }
                ReadRecordResult::Record => {
                    record.count = count;
                    return Some((line, bad));
                }
                ReadRecordResult::End => return None,
            }
        }
    }
}

pub(crate) fn read(text: &str) -> Result<List, ListError> {
    let mut list = List::default();
    let (mut records, mut record) = (Records::new(text), Record::new());
    let mut columns = None;
    while let Some((line, read)) = records.next(&mut record) {
        if let Err(why) = read {
            list.refuse(line, why);
            continue;
        }
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
