use thiserror::Error;

/// Why a contender cannot go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum ContenderError {
    /// Of mailmesh.
    #[error("mailmesh: {0}")]
    Mailmesh(#[from] mailmesh::Error),
    /// Of the configuration, as mailmesh sees it.
    #[error("the configuration: {0}")]
    Config(#[from] mailmesh::ConfigError),
    /// Of the event.
    #[error("the event: {0}")]
    Event(#[from] mailmesh::EventError),
    /// Of Zenoh.
    #[error("Zenoh: {0}")]
    Zenoh(String),
    /// An error of the NATS client.
    #[cfg(feature = "rivals")]
    #[error("NATS at {address}: {reason}; is its server there?")]
    Nats { address: String, reason: String },
    /// An error of the Redis client.
    #[cfg(feature = "rivals")]
    #[error("Redis: {0}; is its server there?")]
    Redis(#[from] redis::RedisError),
    /// An error of the connection between the two processes of raw TCP.
    #[error("raw TCP at {address}: {source}")]
    Tcp { address: String, source: std::io::Error },
    /// A line on standard input that is no command.
    #[error("not a command: `{line}`: {source}; they are those of `mailmesh_contender::Command`")]
    Command { line: String, source: serde_json::Error },
    /// A report that cannot be written.
    #[error("the answer: {0}")]
    Answer(serde_json::Error),
    /// Standard input or output, or the runtime.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl ContenderError {
    pub(crate) fn zenoh(error: zenoh::Error) -> Self {
        Self::Zenoh(error.to_string())
    }
}
