//! A moment on the caller's monotonic clock; this crate reads no clock.

use std::ops::Add;
use std::time::Duration;

/// A moment on a monotonic clock that the caller reads: the time since a start that the caller
/// chooses. Never wall-clock time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(Duration);

impl Time {
    /// The moment `elapsed` after the caller's start.
    #[must_use]
    pub fn from_start(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// Time since the caller's start.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.0
    }

    /// Time from `earlier` to this moment; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    /// Saturates at the maximum duration.
    fn add(self, after: Duration) -> Self {
        Self(self.0.saturating_add(after))
    }
}
