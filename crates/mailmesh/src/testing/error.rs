use std::time::Duration;

use crate::Error;

/// Why a [`TestCluster`](crate::testing::TestCluster) is not as a test wants it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestError {
    /// A node did not start.
    #[error("node `{name}` did not start: {source}")]
    Start {
        /// Its name.
        name: String,
        /// What it said.
        source: Error,
    },
    /// Two nodes of one name were asked for; the younger would step back.
    #[error("there is a node `{name}` already; give each node a name of its own")]
    SameName {
        /// The name.
        name: String,
    },
    /// The nodes did not come to agree in time.
    #[error("the nodes do not agree after {after:?}: {}", .differences.join("; "))]
    NotConverged {
        /// How long was waited.
        after: Duration,
        /// What differed at the end, a sentence each.
        differences: Vec<String>,
    },
    /// Something did not become so in time.
    #[error("{what}: not so after {after:?}")]
    TimedOut {
        /// What was waited for.
        what: String,
        /// How long was waited.
        after: Duration,
    },
}
