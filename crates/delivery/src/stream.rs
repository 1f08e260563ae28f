//! Names of streams and of ranges of their events.

use crate::{Incarnation, Lane};

/// The stream of one lane of one sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StreamId {
    pub(crate) sender: Incarnation,
    pub(crate) lane: Lane,
}

/// Events of one stream, by the numbers of the first and of the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventRange {
    pub(crate) first: u64,
    /// Included.
    pub(crate) last: u64,
}

impl EventRange {
    /// The same range without the events after `position`.
    pub(crate) fn up_to(self, position: u64) -> Self {
        Self { last: self.last.min(position), ..self }
    }

    /// Whether the range has events, all of them with valid numbers: event 0 does not exist.
    pub(crate) fn is_sound(self) -> bool {
        self.first > 0 && self.first <= self.last
    }
}
