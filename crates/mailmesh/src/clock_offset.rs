//! The difference of two clocks, which `Duration` cannot hold: it has no sign.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// How far one clock is ahead of another, in whole milliseconds. Serialised as that number.
///
/// ```
/// use std::time::Duration;
/// use mailmesh::ClockOffset;
///
/// let offset = ClockOffset::from_millis(-1_500);
/// assert!(!offset.is_ahead());
/// assert_eq!(offset.abs(), Duration::from_millis(1_500));
/// assert_eq!(offset.to_string(), "-1500 ms");
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ClockOffset(i64);

impl ClockOffset {
    /// An offset in milliseconds: positive if the clock is ahead, negative if it is behind.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// The offset in milliseconds: positive if the clock is ahead, negative if it is behind.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whether the clock is ahead.
    #[must_use]
    pub const fn is_ahead(self) -> bool {
        self.0 > 0
    }

    /// The size of the offset, without its direction.
    #[must_use]
    pub const fn abs(self) -> Duration {
        Duration::from_millis(self.0.unsigned_abs())
    }
}

/// The offset with its sign and unit, for example `+12 ms`.
impl fmt::Display for ClockOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:+} ms", self.0)
    }
}
