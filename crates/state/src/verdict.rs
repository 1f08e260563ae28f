//! The mirror's decision about an address.

use std::fmt;

use mailmesh_events::{Network, RuleDetails};

/// A network that the mirror blocks or allows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct NetworkEntry {
    /// The network that matched or was listed.
    pub network: Network,
    /// Reason and origin of the entry, when it was added, and when it expires.
    pub details: RuleDetails,
}

impl NetworkEntry {
    /// The entry of a network with these details.
    #[must_use]
    pub fn new(network: Network, details: RuleDetails) -> Self {
        Self { network, details }
    }
}

impl From<(Network, RuleDetails)> for NetworkEntry {
    fn from((network, details): (Network, RuleDetails)) -> Self {
        Self { network, details }
    }
}

/// The mirror's decision about an address. There are only these three.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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
            Self::Allowed(entry) => write!(f, "allowed by {}: {}", entry.network, entry.details),
            Self::Blocked(entry) => write!(f, "blocked by {}: {}", entry.network, entry.details),
        }
    }
}
