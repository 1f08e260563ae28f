use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use mailmesh_events::UnixMillis;

/// The wall clock of a node: stamps changes, and says what has expired.
#[derive(Clone, Default)]
pub(crate) struct WallClock {
    /// `None` is the system's.
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
}

impl fmt::Debug for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.read.is_some() { "WallClock(given)" } else { "WallClock(system)" })
    }
}
