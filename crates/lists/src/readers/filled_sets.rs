//! The sets that a script fills. A script that changes such a set later is refused: the final sets
//! do not follow from its lines.

use std::collections::HashSet;

use crate::ListError;
use crate::secret_key::excerpt;

/// Upper bound on the sets of a text.
pub(super) const MAX_SETS: usize = 10_000;

/// The names of the sets that a text has filled so far.
#[derive(Debug, Default)]
pub(super) struct FilledSets(HashSet<String>);

impl FilledSets {
    /// Records that a set has elements.
    pub(super) fn add(&mut self, name: &str, line: usize) -> Result<(), ListError> {
        if self.0.contains(name) {
            return Ok(());
        }
        if self.0.len() >= MAX_SETS {
            return Err(too_many_sets(line));
        }
        self.0.insert(name.to_owned());
        Ok(())
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Removes a set; gives whether it was filled.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        self.0.remove(name)
    }
}

pub(super) fn too_many_sets(line: usize) -> ListError {
    ListError::Limit { line, what: "there are more sets", limit: MAX_SETS }
}

/// The error for a line that changes a filled set; `command` prints the final sets.
pub(super) fn changes_filled(
    number: usize,
    line: &str,
    kind: &str,
    command: &'static str,
) -> ListError {
    let why = format!("line {number}: `{}` changes a {kind} that was filled before", excerpt(line));
    ListError::NotAList { why, command }
}
