use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use mailmesh_events::UnixMillis;
use tokio::time::Instant;

/// By how much a node's wall clock is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Skew {
    /// Not at all.
    #[default]
    None,
    /// It shows a later time than the others'.
    Ahead(Duration),
    /// It shows an earlier time than the others'.
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

/// What the wall clocks of all nodes go by: the same moment on two clocks. They
/// follow tokio's, so that virtual time moves them.
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

/// The wall clock of a name: how many milliseconds it is ahead.
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
