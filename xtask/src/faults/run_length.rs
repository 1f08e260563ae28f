//! How long the runs of scenarios take.

use std::time::Duration;

/// How long a run takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunLength {
    Full,
    /// For a first look: what takes long takes a fifth.
    Quick,
}

impl RunLength {
    pub(super) fn seconds(self, full: u64) -> Duration {
        match self {
            Self::Full => Duration::from_secs(full),
            Self::Quick => Duration::from_secs(full.div_ceil(5)),
        }
    }

    pub(super) fn events(self, full: u64) -> u64 {
        match self {
            Self::Full => full,
            Self::Quick => full / 5,
        }
    }
}
