//! Failures of commands and their exit codes, which `mailmesh --help` documents.

use std::process::ExitCode;

use mailmesh::{ConfigError, StartError, TransportError};

use crate::say;

/// The failure of a command: an error message and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    /// One line.
    message: String,
    /// Further lines.
    details: String,
    code: u8,
}

/// `members`: no other node is heard, but messages under another cluster key are, from a node or
/// from a stranger that imitates one.
pub(crate) const EXIT_LOCKED_OUT: u8 = 6;

/// `block check`: the address is blocked.
pub(crate) const EXIT_BLOCKED: u8 = 10;

impl Failure {
    fn new(message: String, code: u8) -> Self {
        Self { message, details: String::new(), code }
    }

    /// Shows lines below the message.
    pub(crate) fn with_details(mut self, details: impl Into<String>) -> Self {
        self.details = details.into();
        self
    }

    /// The command failed or was refused: 1.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(message.into(), 1)
    }

    /// The command line is invalid: 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(message.into(), 2)
    }

    /// The configuration is invalid: 3.
    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self::new(message.into(), 3)
    }

    /// No node answers at the control socket, or several could be meant: 4.
    pub(crate) fn no_node(message: impl Into<String>) -> Self {
        Self::new(message.into(), 4)
    }

    /// Another live node has this node's name: 5.
    pub(crate) fn name_conflict(message: impl Into<String>) -> Self {
        Self::new(message.into(), 5)
    }

    /// The error message, without trailing whitespace.
    pub(crate) fn message(&self) -> &str {
        self.message.trim_end()
    }

    /// Whether no node answered.
    pub(crate) fn is_no_node(&self) -> bool {
        self.code == 4
    }

    /// Prints the failure to standard error and returns its exit code.
    pub(crate) fn report(&self) -> ExitCode {
        say::labelled(31, "error", self.message());
        self.details.lines().for_each(|line| say::note_line(format_args!("{line}")));
        ExitCode::from(self.code)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let report = error.report();
        let (message, details) = report.split_once('\n').unwrap_or((&report, ""));
        Self::config(message).with_details(details)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Config(config) | StartError::Transport(TransportError::Config(config)) => {
                config.into()
            }
            StartError::HostName { .. }
            | StartError::KeyText { .. }
            | StartError::Store(_)
            | StartError::StoreOfAnotherCluster { .. }
            | StartError::Transport(TransportError::ClusterName { .. }) => {
                Self::config(error.to_string())
            }
            _ => Self::failed(error.to_string()),
        }
    }
}
