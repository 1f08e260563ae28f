//! The two clocks of a node: wall clock and stopwatch.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mailmesh_events::UnixMillis;
use tokio::time::Instant;

/// The wall clock of a node: it stamps changes and decides what has expired.
#[derive(Clone, Default)]
pub(crate) struct WallClock {
    /// `None` reads the system clock.
    read: Option<Arc<dyn Fn() -> UnixMillis + Send + Sync>>,
}

impl WallClock {
    pub(crate) fn new(read: impl Fn() -> UnixMillis + Send + Sync + 'static) -> Self {
        Self { read: Some(Arc::new(read)) }
    }

    pub(crate) fn now(&self) -> UnixMillis {
        match &self.read {
            None => SystemTime::now().into(),
            Some(read) => read(),
        }
    }

    /// A monotonic clock that fits this wall clock.
    pub(crate) fn stopwatch(&self) -> Stopwatch {
        match &self.read {
            None => Stopwatch(Start::Boot(since_boot())),
            // Tests that provide a clock run in tokio's virtual time.
            Some(_) => Stopwatch(Start::Tokio(Instant::now())),
        }
    }
}

impl fmt::Debug for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.read.is_some() { "WallClock(given)" } else { "WallClock(system)" })
    }
}

/// Elapsed time, including the time in which the machine slept. Readings of other clocks taken
/// before a sleep stay valid.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Start);

#[derive(Debug, Clone, Copy)]
enum Start {
    Boot(Duration),
    Tokio(Instant),
}

impl Stopwatch {
    pub(crate) fn elapsed(&self) -> Duration {
        match self.0 {
            Start::Boot(start) => since_boot().saturating_sub(start),
            Start::Tokio(start) => start.elapsed(),
        }
    }
}

/// Reads `CLOCK_BOOTTIME`, see clock_gettime(2).
#[cfg(target_os = "linux")]
fn since_boot() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(time).unwrap_or_default()
}

/// Other systems: the monotonic clock, which may stop while the machine sleeps.
#[cfg(not(target_os = "linux"))]
fn since_boot() -> Duration {
    use std::sync::OnceLock;
    static START: OnceLock<std::time::Instant> = OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed()
}
