//! Test hook that pauses the work outside the driver's task. Without the feature `testing` it is
//! empty, and reading it costs nothing.

#[cfg(feature = "testing")]
use parking_lot::{RwLock, RwLockReadGuard};

/// Whether a test pauses the node; see [`Driver::pause`](super::Driver::pause).
#[cfg(feature = "testing")]
#[derive(Debug, Default)]
pub(super) struct Pause {
    is_on: RwLock<bool>,
}

#[cfg(feature = "testing")]
impl Pause {
    /// Returns once no permit is left, so that nothing runs afterwards.
    pub(super) fn set(&self, is_on: bool) {
        *self.is_on.write() = is_on;
    }

    /// The permit to work; `None` while a test pauses the node.
    pub(super) fn permit(&self) -> Option<RwLockReadGuard<'_, bool>> {
        let is_on = self.is_on.read();
        if *is_on { None } else { Some(is_on) }
    }
}

/// Never pauses.
#[cfg(not(feature = "testing"))]
#[derive(Debug, Default)]
pub(super) struct Pause {}

/// The permit to work.
#[cfg(not(feature = "testing"))]
pub(super) struct Permit;

#[cfg(not(feature = "testing"))]
impl Pause {
    pub(super) fn permit(&self) -> Option<Permit> {
        Some(Permit)
    }
}
