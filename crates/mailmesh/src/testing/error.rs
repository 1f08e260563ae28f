//! The error of the test kit.

use std::time::Duration;

use crate::StartError;

/// Why a [`TestCluster`](crate::testing::TestCluster) is not in the state that a test needs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestError {
    /// A node did not start.
    #[error("node `{name}` did not start: {source}")]
    Start {
        /// Name of the node.
        name: String,
        /// Error of its start.
        source: StartError,
    },
    /// The name is in use. Of two nodes with one name, the younger would step back.
    #[error("a node `{name}` exists already; give each node a name of its own")]
    SameName {
        /// The name.
        name: String,
    },
    /// The nodes did not converge in time.
    #[error("the nodes do not agree after {after:?}: {}", .differences.join("; "))]
    NotConverged {
        /// The time limit.
        after: Duration,
        /// The differences at the end, one sentence each.
        differences: Vec<String>,
    },
    /// A condition did not hold in time.
    #[error("{what}: not true after {after:?}")]
    TimedOut {
        /// The condition, as the test describes it.
        what: String,
        /// The time limit.
        after: Duration,
    },
}
