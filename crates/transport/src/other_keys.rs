//! When this node last heard a node of its cluster that has another cluster key.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// When this node last received a sign of a node of its cluster with another cluster key: a frame
/// that no key opens, a discovery message that no key signed, or a gate connection without a common
/// key. Clones share the state.
///
/// Anyone can forge such a sign, so it only serves warnings to the operator.
#[derive(Debug, Clone)]
pub struct OtherKeys {
    begun: Instant,
    /// Milliseconds since `begun` plus one; 0 means never.
    last: Arc<AtomicU64>,
}

impl Default for OtherKeys {
    fn default() -> Self {
        Self { begun: Instant::now(), last: Arc::default() }
    }
}

impl OtherKeys {
    /// Records such a sign now.
    pub fn note(&self) {
        let millis = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.last.store(millis + 1, Ordering::Relaxed);
    }

    /// Time since the last sign.
    #[must_use]
    pub fn heard_ago(&self) -> Option<Duration> {
        let last = self.last.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.begun.elapsed().saturating_sub(Duration::from_millis(last)))
    }
}
