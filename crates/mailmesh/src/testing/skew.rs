//! Wall clocks of test nodes that are ahead or behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use mailmesh_events::UnixMillis;
use tokio::time::Instant;

/// Error of a node's wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Skew {
    /// The clock is right.
    #[default]
    None,
    /// The clock shows a later time than the others.
    Ahead(Duration),
    /// The clock shows an earlier time than the others.
    Behind(Duration),
}

impl Skew {
    fn millis(self) -> i64 {
        let millis = |by: Duration| i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        match self {
            Self::None => 0,
            Self::Ahead(by) => millis(by),
            Self::Behind(by) => -millis(by),
        }
    }
}

/// Common base of all wall clocks: one moment on the system clock and on tokio's clock. Wall clocks
/// advance with tokio's clock, also in virtual time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Epoch {
    wall: UnixMillis,
    start: Instant,
}

impl Epoch {
    pub(crate) fn now() -> Self {
        Self { wall: SystemTime::now().into(), start: Instant::now() }
    }
}

/// Wall clock of one node name: milliseconds by which it is ahead.
#[derive(Debug, Clone, Default)]
pub(crate) struct SkewedClock {
    ahead: Arc<AtomicI64>,
}

impl SkewedClock {
    pub(crate) fn set(&self, skew: Skew) {
        self.ahead.store(skew.millis(), Ordering::Relaxed);
    }

    pub(crate) fn read(&self, epoch: Epoch) -> UnixMillis {
        let elapsed = u64::try_from(epoch.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let ahead = self.ahead.load(Ordering::Relaxed);
        UnixMillis(epoch.wall.0.saturating_add(elapsed).saturating_add_signed(ahead))
    }
}
