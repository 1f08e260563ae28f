//! The event that signals the message queues.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A signal to the message queues of the other nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum QueueSignal {
    /// Receivers read their queues again, because something became due.
    Refresh,
    /// Mail delivery was paused.
    Paused,
    /// Mail delivery was resumed.
    Resumed,
}

impl fmt::Display for QueueSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refresh => "refresh",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
        })
    }
}
