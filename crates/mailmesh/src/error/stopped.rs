//! The reason why a node has stopped.

/// The node has stopped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Stopped {
    /// The node was shut down.
    #[error("the node was shut down; start a new one")]
    ShutDown,
    /// Another live node has the same name, and has more members or is older.
    #[error(
        "another live node is named `{name}` and has more members or is older, so this node \
         stepped back; give each node a name of its own (`mesh.name`)"
    )]
    SteppedBack {
        /// The name of both nodes.
        name: String,
    },
}
