//! The length of a run: full, or shortened for a first look.

use std::time::Duration;

/// The length of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunLength {
    Full,
    /// Long phases and event counts are divided by five.
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
