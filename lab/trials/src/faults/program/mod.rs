//! Nodes of the program `mailmesh`, each on a host of its own, and checks of what it promises.

pub(super) mod churn;
pub(super) mod clocks;
pub(super) mod descriptors;
pub(super) mod disk;
pub(super) mod faketime;
pub(super) mod firewall;
pub(super) mod key_rotation;
pub(super) mod name_conflict;
pub(super) mod suspended;
pub(super) mod tmpfs;

mod node;
mod testbed;
mod verdict;

use std::time::Duration;

pub(super) use testbed::Testbed;
pub(super) use verdict::Verdict;

/// Time in which nodes must find each other, or detect that one has left.
const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(60);
/// Time in which a change must reach all nodes.
const CONVERGENCE_TIMEOUT: Duration = Duration::from_secs(30);
