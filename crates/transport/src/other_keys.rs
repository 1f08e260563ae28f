use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// When this node last heard a node of its cluster that has another cluster key: a frame that no
/// key opens, a message of discovery that no key signed, or a connection at the gate without a
/// key in common. A clone is the same.
///
/// A stranger can say so, too; it decides nothing but what the operator is told.
#[derive(Debug, Clone)]
pub struct OtherKeys {
    begun: Instant,
    /// Milliseconds since then, and one; 0 for never.
    last: Arc<AtomicU64>,
}

impl Default for OtherKeys {
    fn default() -> Self {
        Self { begun: Instant::now(), last: Arc::default() }
    }
}

impl OtherKeys {
    /// One was heard now.
    pub fn note(&self) {
        let millis = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.last.store(millis + 1, Ordering::Relaxed);
    }

    /// How long ago one was heard.
    #[must_use]
    pub fn heard_ago(&self) -> Option<Duration> {
        let last = self.last.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.begun.elapsed().saturating_sub(Duration::from_millis(last)))
    }
}
