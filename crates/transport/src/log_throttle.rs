//! Lets one log line through per minute.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Lets one log line through per minute.
#[derive(Debug, Default)]
pub struct LogThrottle {
    last: Mutex<Option<Instant>>,
}

impl LogThrottle {
    /// Minimum time between two lines.
    pub const EVERY: Duration = Duration::from_secs(60);

    /// Whether a line may be written now. Counters record the suppressed events.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let mut last = self.last.lock();
        let ready = last.is_none_or(|last| last.elapsed() >= Self::EVERY);
        if ready {
            *last = Some(Instant::now());
        }
        ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_passes_and_a_flood_does_not() {
        let throttle = LogThrottle::default();
        assert!(throttle.is_ready());
        assert!((0..1000).all(|_| !throttle.is_ready()));
    }
}
