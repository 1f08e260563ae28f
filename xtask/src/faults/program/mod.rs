//! Nodes of the program `mailmesh`, each on a host of its own, and checks of what it promises.

pub(super) mod clocks;
pub(super) mod descriptors;
pub(super) mod disk;
pub(super) mod faketime;
pub(super) mod firewall;
pub(super) mod keys;
pub(super) mod lives;
pub(super) mod names;
pub(super) mod still;
pub(super) mod tmpfs;

mod node;
mod site;
mod verdict;

use std::time::Duration;

pub(super) use site::Site;
pub(super) use verdict::Verdict;

/// How long nodes may take to find each other, or to notice that one has gone.
const MEETING: Duration = Duration::from_secs(60);
/// How long a change may take to come to all.
const SPREADING: Duration = Duration::from_secs(30);
