//! The error of the transport.

use crate::ConfigError;
use crate::coordinator::escaped;

/// Why the transport failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The cluster's name cannot be part of a key expression.
    #[error("cluster name `{}`: 1 to 64 letters, digits, `.`, `-` and `_` only", escaped(.name))]
    ClusterName {
        /// The name that was given.
        name: String,
    },
    /// Zenoh needs worker threads besides the caller's thread.
    #[error(
        "Zenoh does not run on tokio's current-thread scheduler; use the multi-thread scheduler, \
         one worker is enough: #[tokio::main(flavor = \"multi_thread\", worker_threads = 1)]"
    )]
    CurrentThread,
    /// Zenoh did not start.
    #[error("the Zenoh session did not open: {}{hint}", escaped(.why))]
    Open {
        /// Zenoh's message.
        why: String,
        /// Advice for the operator, or an empty text.
        hint: &'static str,
    },
    /// The certificate for links could not be derived from the cluster key.
    #[error(
        "no link certificate could be derived from the cluster key; set `mesh.links` to \
         \"challenge\", and report this error"
    )]
    LinkCertificate,
    /// The logins for Zenoh's challenge could not be handed to Zenoh.
    #[error(
        "the link credentials could not be handed to Zenoh: {why}; the process needs `/proc` and a \
         free file descriptor"
    )]
    LinkSecrets {
        /// The system's message.
        why: String,
    },
    /// Zenoh refused a declaration.
    #[error("Zenoh refused to declare {what}: {}", escaped(.why))]
    Declare {
        /// The kind of declaration.
        what: &'static str,
        /// Zenoh's message.
        why: String,
    },
    /// The bus did not accept a frame. The frame is lost at the receivers until it is repaired.
    #[error("the bus did not accept a frame: {}", escaped(.why))]
    Put {
        /// The bus's message.
        why: String,
    },
    /// The bus is closed.
    #[error("the bus is closed")]
    Closed,
    /// The system did not start the sending thread.
    #[error(
        "the sending thread did not start: {why}; the process may have reached its thread limit"
    )]
    Thread {
        /// The system's message.
        why: String,
    },
}
