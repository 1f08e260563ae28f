//! Reads the rows of a table one at a time, into buffers of fixed size.

use csv_core::ReadRecordResult;

use crate::network::network;
use crate::readers::comment::is_comment;
use crate::words::clean;
use crate::{MAX_COLUMNS, MAX_LINE};

/// The fields of a row; a row that does not fit is bad.
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
        // The list is valid UTF-8 and separators are ASCII, so this cannot split a character.
        let field = std::str::from_utf8(self.text.get(start..end)?).ok()?;
        // The carriage return before the end of the line.
        Some(field.strip_suffix('\r').unwrap_or(field))
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = &str> + Clone {
        (0..self.count).map_while(|index| self.get(index))
    }

    /// The fields that are not empty, without the white space around them.
    pub(super) fn filled(&self) -> impl Iterator<Item = &str> + Clone {
        self.fields().map(clean).filter(|field| !field.is_empty())
    }
}

/// The kind of a line of a table.
pub(super) enum RowKind<'a> {
    Blank,
    /// A line that names the separator.
    Frame,
    Comment(&'a str),
    /// The row's text as written.
    Row(&'a str),
    Bad(String),
}

/// A row that was read.
pub(super) struct ReadRow<'a> {
    /// The line where the row begins, from 1.
    pub(super) line: usize,
    /// The number of its lines.
    pub(super) lines: usize,
    pub(super) kind: RowKind<'a>,
}

/// The rows of a text, one at a time.
pub(super) struct Rows<'a> {
    reader: csv_core::Reader,
    separator: u8,
    text: &'a str,
    /// The offset of the first unread byte.
    at: usize,
    /// The line of the first unread byte, from 1.
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

    /// Reads the next row, its fields into `row`; `None` at the end of the text.
    pub(super) fn next(&mut self, row: &mut Row) -> Option<ReadRow<'a>> {
        let (line, begin, first_line) = (self.line, self.at, self.next_line());
        if first_line.is_empty() {
            return None;
        }
        let first = clean(first_line);
        let kind = match first {
            "" => Some(RowKind::Blank),
            _ if line == 1 && first.starts_with("sep=") => Some(RowKind::Frame),
            // With semicolons as separator, a row may begin with an empty column.
            _ if first.starts_with(';') && self.separator == b';' => None,
            _ if is_comment(first) => Some(RowKind::Comment(first)),
            _ => None,
        };
        if let Some(kind) = kind {
            self.at += first_line.len();
            self.line += 1;
            return Some(ReadRow { line, lines: 1, kind });
        }
        let bad = self.read(row);
        let kind = bad.map_or(RowKind::Row(&self.text[begin..self.at]), RowKind::Bad);
        Some(ReadRow { line, lines: self.line - line, kind })
    }

    /// The next unread line with its line end; empty at the end of the text.
    fn next_line(&self) -> &'a str {
        let rest = &self.text[self.at..];
        &rest[..rest.find('\n').map_or(rest.len(), |end| end + 1)]
    }

    /// Reads a row to the end of its last line; returns the fault of a bad row. Each line is read
    /// once: the lines inside an unclosed quote are skipped with the bad row.
    fn read(&mut self, row: &mut Row) -> Option<String> {
        self.reader.reset();
        let (mut len, mut count, mut is_first) = (0, 0, true);
        loop {
            let line = self.next_line();
            if !is_first && self.begins_with_network(line) {
                return Some(
                    "a quote begins in it that does not end before the next row".to_owned(),
                );
            }
            is_first = false;
            self.at += line.len();
            self.line += usize::from(!line.is_empty());
            let (text, ends) = (&mut row.text[len..], &mut row.ends[count..]);
            // A line break ends the last record, unless a quote in it is open.
            let is_end = line.is_empty();
            let bytes = if is_end { b"\n" } else { line.as_bytes() };
            let (result, _, written, ended) = self.reader.read_record(bytes, text, ends);
            (len, count) = (len + written, count + ended);
            match result {
                ReadRecordResult::InputEmpty if is_end => {
                    return Some("a quote begins in it that does not end".to_owned());
                }
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => {
                    return Some(format!(
                        "the record has more than {MAX_LINE} bytes, the limit; \
                         is a quote not closed?"
                    ));
                }
                ReadRecordResult::OutputEndsFull => {
                    let why = format!("the record has more than {MAX_COLUMNS} columns, the limit");
                    return Some(why);
                }
                ReadRecordResult::Record | ReadRecordResult::End => {
                    row.count = count;
                    return None;
                }
            }
        }
    }

    fn begins_with_network(&self, line: &str) -> bool {
        let first = line.split(char::from(self.separator)).next().unwrap_or_default();
        network(clean(first).trim_matches('"')).is_ok()
    }
}
