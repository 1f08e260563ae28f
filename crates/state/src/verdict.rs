use std::fmt;

use mailmesh_events::{Block, Network};

/// A network in the mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkEntry {
    /// The network that matched or was listed.
    pub network: Network,
    /// Reason, origin, time of blocking and expiry.
    pub block: Block,
}

/// The mirror's decision about an address.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// No entry matches the address.
    Clear,
    /// The address is in an allowed network, whatever blocks match it.
    Allowed(NetworkEntry),
    /// The address is in a blocked network.
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
