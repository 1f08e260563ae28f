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

/// How long nodes may take to find each other, or to notice that one has gone.
const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a change may take to come to all.
const CONVERGENCE_TIMEOUT: Duration = Duration::from_secs(30);
