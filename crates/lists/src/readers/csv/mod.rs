//! Tables in text (RFC 4180), with commas, semicolons, tabs or vertical bars between the columns:
//! network, reason and end, unless a first line or a comment before it names others.

mod columns;
mod rows;
mod separator;
mod unnamed;

use mailmesh_events::Rule;

use super::plain::LineContext;
use super::section::{is_heading, refuse_in_comment, refuse_second_header, refuse_section};
use crate::column::role_of_name;
use crate::ends::date::is_date;
use crate::list::{List, Unit};
use crate::network::networks;
use crate::verdict::is_verdict_name;
use crate::words::clean;
use crate::{ListError, Reason};
use columns::Columns;
use rows::{ReadRow, Row, RowKind, Rows};
pub(crate) use separator::separator;

pub(crate) fn read(text: &str, rule: Rule) -> Result<List, ListError> {
    let mut reader = Reader {
        list: List::new(Unit::Line, rule),
        columns: Columns::default(),
        columns_in_comment: None,
        has_begun: false,
        context: LineContext::default(),
    };
    let mut rows = Rows::new(text, separator(text).unwrap_or(b','));
    let mut row = Row::new();
    while let Some(ReadRow { line, lines, kind }) = rows.next(&mut row) {
        match kind {
            RowKind::Blank => reader.list.leave_out_unit(Reason::Blank),
            RowKind::Frame => reader.list.leave_out_unit(Reason::Frame),
            RowKind::Comment(comment) => reader.read_comment(line, comment, rows.separator())?,
            RowKind::Bad(why) => {
                reader.list.refuse_unit(line, why);
                reader.has_begun = true;
            }
            RowKind::Row(text) if reader.is_metadata(clean(text)) => {
                refuse_section(line, clean(text), rule)?;
                reader.list.read_heading(clean(text));
                reader.list.leave_out_unit(Reason::Frame);
            }
            RowKind::Row(text) => {
                reader.list.begin_unit();
                reader.read_row(line, &row, text, rows.separator())?;
                reader.list.end_unit();
            }
        }
        reader.list.count_continued(lines.saturating_sub(1));
    }
    Ok(reader.list)
}

/// The list, and the properties of the table that were found so far.
struct Reader {
    list: List,
    columns: Columns,
    /// The columns that a comment before the first row names.
    columns_in_comment: Option<Columns>,
    /// Whether the first row was read.
    has_begun: bool,
    context: LineContext,
}

impl Reader {
    /// Whether a row is a line of metadata before the names of the columns.
    fn is_metadata(&self, text: &str) -> bool {
        !self.has_begun && text.contains(':') && is_heading(text)
    }

    fn read_comment(&mut self, line: usize, comment: &str, separator: u8) -> Result<(), ListError> {
        refuse_in_comment(line, comment, self.list.rule())?;
        if !self.has_begun
            && let Some(named) = Columns::named_in(comment, separator)
        {
            self.columns_in_comment = Some(named);
        }
        self.list.read_heading(comment);
        self.list.leave_out_unit(Reason::Comment);
        Ok(())
    }

    fn read_row(
        &mut self,
        line: usize,
        row: &Row,
        text: &str,
        separator: u8,
    ) -> Result<(), ListError> {
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        if is_first {
            let in_comment = self.columns_in_comment.take();
            if let Some(named) = in_comment.filter(|named| named.count() == row.fields().count()) {
                self.columns = named;
            }
            if let Some(named) = Columns::named(row.fields(), separator) {
                self.list.leave_out(Reason::Frame);
                if let Some(note) = named.unused(row.fields()) {
                    self.list.note(line, note);
                }
                self.columns = named;
                return Ok(());
            }
        }
        let mut filled = row.filled();
        let Some(first) = filled.next() else {
            self.list.leave_out(Reason::Blank);
            return Ok(());
        };
        let alone = if filled.next().is_none() { first } else { clean(text) };
        refuse_section(line, alone, self.list.rule())?;
        if networks(first).is_err() && !is_first {
            refuse_second_header(line, row.fields(), self.list.rule())?;
        }
        let has_names = is_first && !row.fields().any(|field| networks(field).is_ok());
        self.context.has_unknown_names |= has_names;
        self.context.lacks_network |= has_names && names_other_columns(row);
        if self.columns.is_named() {
            self.read_named(line, row)
        } else {
            unnamed::read_row(&mut self.list, line, row, text, &mut self.context)
        }
    }

    /// Reads a row of a table with column names.
    fn read_named(&mut self, line: usize, row: &Row) -> Result<(), ListError> {
        let (list, columns) = (&mut self.list, &self.columns);
        if columns.has_end_from(row.fields().count()) {
            let why = "it has fewer columns than the first line names: its end is cut off";
            list.refuse(line, why);
            return Ok(());
        }
        let mut extra = row.fields().skip(columns.count());
        let has_extra = extra.clone().any(|field| !clean(field).is_empty());
        if has_extra && (!columns.ends_with_reason() || extra.any(is_date)) {
            let why = "it has more columns than the first line names; is a quote missing?";
            list.refuse(line, why);
            return Ok(());
        }
        let mut record = columns.record(row);
        if let Some(mark) = columns.mark(row, list.rule(), line)? {
            record.set_export(mark);
        }
        record.add_to(list, line)
    }
}

/// Whether the first line names columns, but none that is known to hold the network.
fn names_other_columns(row: &Row) -> bool {
    let is_known = |name: &str| role_of_name(name).is_some() || is_verdict_name(name);
    row.filled().count() > 1 && row.fields().any(is_known)
}
