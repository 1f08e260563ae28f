//! A list that was read, and the count of its lines.

mod cutter;
mod doubt;
mod exceptions;
mod heading;
mod notes;
mod reason;
mod select;

use std::fmt;

use mailmesh_events::{Printable, Rule, UnixMillis};

use crate::secret_key::mask_keys;
use crate::{Ends, Entry, ListError, MAX_BAD, MAX_ENTRIES, check_line};
use doubt::Doubt;
pub(crate) use doubt::DoubtKind;
use exceptions::Exception;
use heading::Heading;
use notes::UnusedKeys;
pub use reason::{LeftOut, Reason};
pub use select::{Ended, LeftOutNetworks, PrivateNetwork, Terms};

/// The unit in which a list is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unit {
    /// Lines of the file.
    #[default]
    Line,
    /// Entries of a JSON or Python value: one line may hold many.
    Entry,
}

/// A line, or an entry of JSON, that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// The line in the file, from 1.
    pub line: usize,
    /// The fault on one printable line, at most 300 characters.
    pub why: String,
}

/// A remark for the operator on a line that is imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The line in the file, from 1.
    pub line: usize,
    /// The remark on one printable line, at most 300 characters.
    pub what: String,
}

/// The entries of a list, and the count of its lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct List {
    /// The entries in the order of the list. After [`select_for_import`](Self::select_for_import),
    /// only the entries to be imported.
    pub entries: Vec<Entry>,
    /// The first [`MAX_BAD`] lines or entries that could not be read.
    pub bad: Vec<BadLine>,
    /// The number of lines or entries left out, by reason.
    pub left_out: LeftOut,
    /// The unit of the counts.
    pub unit: Unit,
    /// Lines of the file, or entries of the value. Each is imported or counted in `left_out`.
    pub units: usize,
    /// The first [`MAX_BAD`] notes.
    pub notes: Vec<Note>,
    /// The number of all notes, including those not kept.
    pub note_count: usize,
    /// Ends without a time zone are in the zone of the host that wrote the list, as fail2ban prints
    /// them. If false, the list does not say in which zone they are.
    pub has_host_time: bool,
    exceptions: Vec<Exception>,
    read_for: ReadFor,
    /// Whether [`note_for_all_rows`](Self::note_for_all_rows) has made its note.
    has_note_for_all_rows: bool,
    /// Moments beside entries, which may be ends: at most one a kind for each unit.
    doubts: Vec<Doubt>,
    unused_keys: UnusedKeys,
    /// The set that the latest note on sets names.
    noted_set: String,
    open: OpenUnit,
    heading: Heading,
}

/// The rule that a list is read for; entries for the other rule are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ReadFor(Rule);

impl Default for ReadFor {
    fn default() -> Self {
        Self(Rule::Block)
    }
}

/// The line or entry that is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct OpenUnit {
    /// The number of entries before this line or entry.
    before: usize,
    reason: Option<Reason>,
}

/// Upper bound on the fault of a bad line, or a note, in characters.
const MAX_MESSAGE: usize = 300;

/// A message on one printable line without possible keys.
fn one_line(message: impl fmt::Display) -> String {
    mask_keys(&Printable(message).to_string()).chars().take(MAX_MESSAGE).collect()
}

impl List {
    pub(crate) fn new(unit: Unit, rule: Rule) -> Self {
        Self { unit, read_for: ReadFor(rule), ..Self::default() }
    }

    /// The rule that the list is read for.
    #[must_use]
    pub fn rule(&self) -> Rule {
        self.read_for.0
    }

    /// Begins the next line or entry.
    pub(crate) fn begin_unit(&mut self) {
        self.units += 1;
        self.open = OpenUnit { before: self.entries.len(), reason: None };
    }

    /// Ends the line or entry. If a part of it is bad, none of its networks is taken.
    pub(crate) fn end_unit(&mut self) {
        self.apply_heading();
        let OpenUnit { before, reason } = self.open;
        if reason == Some(Reason::Bad) {
            self.entries.truncate(before);
        }
        self.drop_doubts_without_entry();
        if self.entries.len() == before {
            self.left_out.add(reason.unwrap_or(Reason::Frame), 1);
        } else if let (Some(reason), Some(entry)) = (reason, self.entries.last()) {
            let line = entry.line;
            self.note(line, format_args!("a part of it is left out: {}", reason.name(self.rule())));
        }
    }

    /// Begins and ends a line or entry of which nothing is taken.
    pub(crate) fn leave_out_unit(&mut self, reason: Reason) {
        self.begin_unit();
        self.leave_out(reason);
        self.end_unit();
    }

    /// Begins and ends a bad line or entry.
    pub(crate) fn refuse_unit(&mut self, line: usize, why: impl fmt::Display) {
        self.begin_unit();
        self.refuse(line, why);
        self.end_unit();
    }

    /// Counts lines that continue the line before.
    pub(crate) fn count_continued(&mut self, count: usize) {
        self.units += count;
        self.left_out.add(Reason::Continued, count);
    }

    pub(crate) fn push(&mut self, mut entry: Entry) -> Result<(), ListError> {
        if self.entries.len() == MAX_ENTRIES {
            return Err(ListError::TooMany { limit: MAX_ENTRIES });
        }
        entry.unit = self.units;
        self.entries.push(entry);
        Ok(())
    }

    /// Leaves out the line or entry that is being read, or a part of it; the first reason counts.
    pub(crate) fn leave_out(&mut self, reason: Reason) {
        self.open.reason.get_or_insert(reason);
    }

    /// Counts a line that is blank, a comment or too long. Gives whether the line is one of these.
    pub(crate) fn skip_without_content(
        &mut self,
        number: usize,
        line: &str,
        signs: &[&str],
    ) -> bool {
        if self.skip_blank_or_comment(line, signs) {
            return true;
        }
        let why = check_line(line).err();
        why.map(|why| self.refuse(number, why)).is_some()
    }

    /// Counts a line that is blank or begins with a comment sign. Gives whether the line is either.
    pub(crate) fn skip_blank_or_comment(&mut self, line: &str, signs: &[&str]) -> bool {
        let is_comment = signs.iter().any(|sign| line.starts_with(sign));
        if line.is_empty() || is_comment {
            self.leave_out(if is_comment { Reason::Comment } else { Reason::Blank });
            if is_comment {
                self.read_heading(line);
            }
        }
        line.is_empty() || is_comment
    }

    /// Counts the line or entry that is being read as bad; the first fault is kept.
    pub(crate) fn refuse(&mut self, line: usize, why: impl fmt::Display) {
        if self.open.reason != Some(Reason::Bad) {
            self.keep_bad(line, why);
        }
        self.open.reason = Some(Reason::Bad);
    }

    /// Keeps the fault of a bad line if there is room; the caller counts the line.
    pub(crate) fn keep_bad(&mut self, line: usize, why: impl fmt::Display) {
        if self.bad.len() < MAX_BAD {
            self.bad.push(BadLine { line, why: one_line(why) });
        }
    }

    /// Converts ends without a time zone ([`Ends::Local`]) with `to_utc`, which gets the moment as
    /// if it were in UTC. Returns how many were converted. Call it before
    /// [`select_for_import`](Self::select_for_import), which takes the others as UTC.
    pub fn in_zone(&mut self, to_utc: impl Fn(UnixMillis) -> UnixMillis) -> usize {
        let mut moved = 0;
        for entry in &mut self.entries {
            if let Ends::Local(moment) = entry.ends {
                entry.ends = Ends::At(to_utc(moment));
                moved += 1;
            }
        }
        moved
    }

    /// The number of bad lines or entries.
    #[must_use]
    pub fn bad_count(&self) -> usize {
        self.left_out.of(Reason::Bad)
    }

    /// The number of lines or entries with a network to be imported.
    #[must_use]
    pub fn imported(&self) -> usize {
        self.units - self.left_out.total()
    }
}
