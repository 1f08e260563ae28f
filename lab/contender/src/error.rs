use thiserror::Error;

/// The reason why a contender ends.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum ContenderError {
    /// The node does not start.
    #[error("mailmesh: {0}")]
    Start(#[from] mailmesh::StartError),
    /// The node does not publish an event.
    #[error("mailmesh: {0}")]
    Publish(#[from] mailmesh::PublishError),
    /// The node does not change its keys.
    #[error("mailmesh: {0}")]
    Keys(#[from] mailmesh::KeyError),
    /// The node refuses a filter.
    #[error("mailmesh: {0}")]
    Filter(#[from] mailmesh::FilterError),
    /// A configuration that mailmesh refuses.
    #[error("the configuration: {0}")]
    Config(#[from] mailmesh::ConfigError),
    /// An event that mailmesh refuses.
    #[error("the event: {0}")]
    Event(#[from] mailmesh::EventError),
    /// An error of Zenoh.
    #[error("Zenoh: {0}")]
    Zenoh(String),
    /// An error of the NATS client.
    #[cfg(feature = "rivals")]
    #[error("NATS at {address}: {reason}; does the server run?")]
    Nats { address: String, reason: String },
    /// An error of the Redis client.
    #[cfg(feature = "rivals")]
    #[error("Redis: {0}; does the server run?")]
    Redis(#[from] redis::RedisError),
    /// An error of the connection between the two processes of raw TCP.
    #[error("raw TCP at {address}: {source}")]
    Tcp { address: String, source: std::io::Error },
    /// A line on standard input that is not a command.
    #[error("not a command: `{line}`: {source}; see `mailmesh_contender::Command`")]
    Command { line: String, source: serde_json::Error },
    /// A report that cannot be serialised.
    #[error("the answer: {0}")]
    Answer(serde_json::Error),
    /// An error of standard input or output, or of the runtime.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl ContenderError {
    pub(crate) fn zenoh(error: zenoh::Error) -> Self {
        Self::Zenoh(error.to_string())
    }
}
