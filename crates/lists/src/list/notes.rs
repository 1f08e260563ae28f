//! Notes to the operator on lines that are imported.

use std::fmt;

use mailmesh_events::Rule;

use super::{List, Note, one_line};
use crate::{MAX_BAD, MAX_NAMES_IN_NOTE};

/// Keys that no record uses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct UnusedKeys {
    /// The line of the first record with one; 0 if there is none.
    first_line: usize,
    keys: Vec<String>,
}

impl List {
    /// Makes a note on a line, and keeps it if there is room.
    pub(crate) fn note(&mut self, line: usize, what: impl fmt::Display) {
        self.note_count += 1;
        if self.notes.len() < MAX_BAD {
            self.notes.push(Note { line, what: one_line(what) });
        }
    }

    /// Notes once that numbers beside addresses are not used.
    pub(crate) fn note_unused_number(&mut self, line: usize, number: &str) {
        let what = format!("`{number}` is no moment: numbers in this column are not used");
        self.note_for_all_rows(line, &what);
    }

    /// Records a key of a record that is not used.
    pub(crate) fn add_unused_key(&mut self, line: usize, key: &str) {
        let UnusedKeys { first_line, keys } = &mut self.unused_keys;
        if keys.len() < MAX_NAMES_IN_NOTE && !keys.iter().any(|known| known == key) {
            if keys.is_empty() {
                *first_line = line;
            }
            keys.push(one_line(key));
        }
    }

    /// Notes the recorded keys that are not used, in one note for all records.
    pub(crate) fn note_unused_keys(&mut self) {
        let UnusedKeys { first_line, keys } = std::mem::take(&mut self.unused_keys);
        if !keys.is_empty() {
            self.note(first_line, format_args!("keys that are not used: {}", keys.join(", ")));
        }
    }

    /// Makes a note, unless this function made one before: one note covers all rows.
    pub(crate) fn note_for_all_rows(&mut self, line: usize, what: &str) {
        if !self.has_note_for_all_rows {
            self.has_note_for_all_rows = true;
            self.note(line, what);
        }
    }

    /// Notes why the elements of a set are not read, once for consecutive elements of the set.
    pub(crate) fn note_set_for_other_rule(&mut self, line: usize, name: &str, why: &str) {
        if self.noted_set != name {
            name.clone_into(&mut self.noted_set);
            let read_as = if self.rule() == Rule::Block { "bans" } else { "let in" };
            self.note(line, format_args!("the set `{name}` is not read as {read_as}: {why}"));
        }
    }
}
