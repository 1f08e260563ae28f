//! A moment in milliseconds since the Unix epoch.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// A moment in milliseconds since the Unix epoch. The caller supplies it; this crate reads no
/// clock.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// The moment `after` later; saturates.
    #[must_use]
    pub fn plus(self, after: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(after.as_millis()).unwrap_or(u64::MAX)))
    }

    /// The time from `earlier` to this moment; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl From<SystemTime> for UnixMillis {
    /// Times before 1970 become 0.
    fn from(time: SystemTime) -> Self {
        let millis = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        Self(u64::try_from(millis).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for UnixMillis {
    /// Date and time in UTC, to the second (RFC 3339); milliseconds from the year 10,000 on.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The cast is lossless after the division. `time` has no later year than 9999.
        let Ok(time) = OffsetDateTime::from_unix_timestamp((self.0 / 1000) as i64) else {
            return write!(f, "{} ms after 1970", self.0);
        };
        let (year, month, day) = time.to_calendar_date();
        let (hour, minute, second) = time.to_hms();
        let month = u8::from(month);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_follows_rfc_3339() {
        assert_eq!(UnixMillis(0).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(UnixMillis(951_782_400_000).to_string(), "2000-02-29T00:00:00Z");
        assert_eq!(UnixMillis(1_795_564_799_999).to_string(), "2026-11-24T23:59:59Z");
        assert_eq!(UnixMillis(253_402_300_799_999).to_string(), "9999-12-31T23:59:59Z");
        assert_eq!(UnixMillis(u64::MAX).to_string(), "18446744073709551615 ms after 1970");
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(UnixMillis(u64::MAX).plus(Duration::from_secs(1)), UnixMillis(u64::MAX));
        assert_eq!(UnixMillis(1).since(UnixMillis(2)), Duration::ZERO);
    }
}
