use crate::ConfigError;
use crate::coordinator::escaped;

/// Why the transport cannot do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The cluster's name cannot be part of a key expression.
    #[error("cluster name `{}`: 1 to 64 letters, digits, `.`, `-` and `_` only", escaped(.name))]
    ClusterName {
        /// What was given.
        name: String,
    },
    /// Zenoh needs worker threads beside the caller's.
    #[error(
        "Zenoh does not run on tokio's current-thread scheduler; use the multi-thread one, one worker is enough: #[tokio::main(flavor = \"multi_thread\", worker_threads = 1)]"
    )]
    CurrentThread,
    /// Zenoh did not start.
    #[error("the Zenoh session did not open: {}{hint}", escaped(.why))]
    Open {
        /// What Zenoh said.
        why: String,
        /// What to do, or nothing.
        hint: &'static str,
    },
    /// No certificate for links could be made of the cluster key.
    #[error(
        "no certificate for links could be made of the cluster key; set `mesh.links` to \"challenge\", and report it"
    )]
    LinkCertificate,
    /// The logins that links prove could not be handed to Zenoh.
    #[error(
        "Zenoh could not be given what links prove: {why}; the process needs `/proc` and a free descriptor"
    )]
    LinkSecrets {
        /// What the system said.
        why: String,
    },
    /// Zenoh refused a declaration.
    #[error("Zenoh refused to declare {what}: {}", escaped(.why))]
    Declare {
        /// What was declared.
        what: &'static str,
        /// What Zenoh said.
        why: String,
    },
    /// The bus did not take a frame. It is lost; receivers will see a gap.
    #[error("the bus did not take a frame: {}", escaped(.why))]
    Put {
        /// What the bus said.
        why: String,
    },
    /// The bus is closed.
    #[error("the bus is closed")]
    Closed,
    /// The system gave no thread to send on.
    #[error("no thread to send on: {why}; the process may have reached its limit of threads")]
    Thread {
        /// What the system said.
        why: String,
    },
}
