//! The rows of a table, one at a time, in buffers that do not grow.

use csv_core::ReadRecordResult;

use crate::field::{clean, network};
use crate::plain::is_comment;
use crate::{MAX_COLUMNS, MAX_LINE};

/// The fields of a row: one that does not fit is bad.
pub(super) struct Row {
    text: Box<[u8]>,
    ends: Box<[usize]>,
    count: usize,
}

impl Row {
    pub(super) fn new() -> Self {
        Self { text: vec![0; MAX_LINE].into(), ends: vec![0; MAX_COLUMNS].into(), count: 0 }
    }

    pub(super) fn get(&self, index: usize) -> Option<&str> {
        let end = *self.ends[..self.count].get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        // The list is text, and separators are ASCII.
        std::str::from_utf8(self.text.get(start..end)?).ok()
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = &str> {
        (0..self.count).map_while(|index| self.get(index))
    }
}

/// What a line of a table is.
pub(super) enum What<'a> {
    Blank,
    /// It says what separates the columns.
    Frame,
    Comment(&'a str),
    /// Its text as it stands.
    Row(&'a str),
    Bad(String),
}

/// The rows of a text, one at a time.
pub(super) struct Rows<'a> {
    reader: csv_core::Reader,
    separator: u8,
    text: &'a str,
    /// Where the rest begins.
    at: usize,
    /// The line where the rest begins, from 1.
    line: usize,
}

impl<'a> Rows<'a> {
    pub(super) fn new(text: &'a str, separator: u8) -> Self {
        let reader = csv_core::ReaderBuilder::new()
            .delimiter(separator)
            .terminator(csv_core::Terminator::Any(b'\n'))
            .build();
        Self { reader, separator, text, at: 0, line: 1 }
    }

    pub(super) fn separator(&self) -> u8 {
        self.separator
    }

    /// Reads what comes next: the line where it begins, how many lines it has, and what it is;
    /// `None` at the end.
    pub(super) fn next(&mut self, row: &mut Row) -> Option<(usize, usize, What<'a>)> {
        let rest = &self.text[self.at..];
        if rest.is_empty() {
            return None;
        }
        let line = self.line;
        let len = rest.find('\n').map_or(rest.len(), |end| end + 1);
        let first = clean(&rest[..len]);
        let what = match first {
            "" => Some(What::Blank),
            _ if line == 1 && first.starts_with("sep=") => Some(What::Frame),
            // A row of a table with semicolons may begin with an empty column.
            _ if first.starts_with(';') && self.separator == b';' => None,
            _ if is_comment(first) => Some(What::Comment(first)),
            _ => None,
        };
        if let Some(what) = what {
            self.at += len;
            self.line += 1;
            return Some((line, 1, what));
        }
        let bad = self.read(row);
        let read = &self.text.as_bytes()[..self.at];
        let begin = self.text.len() - rest.len();
        let lines = read[begin..].iter().filter(|byte| **byte == b'\n').count();
        // The last line of a text need not end.
        let lines = lines + usize::from(!read.ends_with(b"\n"));
        let follows = |line: &str| {
            let first = line.split(char::from(self.separator)).next().unwrap_or_default();
            network(clean(first).trim_matches('"')).is_ok()
        };
        if lines > 1 && rest[..self.at - begin].lines().skip(1).any(follows) {
            // The rows that the quote would take in are read on their own.
            self.at = begin + len;
            self.line += 1;
            let why = "a quote begins in it that does not end before the next row".to_owned();
            return Some((line, 1, What::Bad(why)));
        }
        self.line += lines;
        Some((line, lines, bad.map_or(What::Row(&rest[..self.at - begin]), What::Bad)))
    }

    /// Reads a row, to the end of its last line.
    fn read(&mut self, row: &mut Row) -> Option<String> {
        self.reader.reset();
        let (mut len, mut count, mut bad) = (0, 0, None);
        loop {
            let (text, ends) = (&mut row.text[len..], &mut row.ends[count..]);
            let rest = &self.text.as_bytes()[self.at..];
            let (result, read, written, ended) = self.reader.read_record(rest, text, ends);
            self.at += read;
            (len, count) = (len + written, count + ended);
            match result {
                ReadRecordResult::InputEmpty => {}
                // What follows of the row is read over what came of it.
                ReadRecordResult::OutputFull => {
                    len = 0;
                    bad = Some(format!(
                        "the record has more than {MAX_LINE} bytes, the limit; \
                         is a quote not closed?"
                    ));
                }
                ReadRecordResult::OutputEndsFull => {
                    count = 0;
                    bad =
                        Some(format!("the record has more than {MAX_COLUMNS} columns, the limit"));
                }
                ReadRecordResult::Record | ReadRecordResult::End => {
                    row.count = count;
                    return bad;
                }
            }
        }
    }
}
