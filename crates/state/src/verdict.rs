use std::fmt;

use mailmesh_events::{Block, Network};

/// A network in the mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkEntry {
    /// The network.
    pub network: Network,
    /// Why, by whom, since when, until when.
    pub block: Block,
}

/// What the mirror says of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Nothing.
    Clear,
    /// It is let in, whatever blocks say.
    Allowed(NetworkEntry),
    /// It is blocked.
    Blocked(NetworkEntry),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clear => f.write_str("not blocked"),
            Self::Allowed(entry) => write!(f, "allowed by {}: {}", entry.network, entry.block),
            Self::Blocked(entry) => write!(f, "blocked by {}: {}", entry.network, entry.block),
        }
    }
}
