//! The error of the constructors of this crate.

use crate::Printable;

/// The reason why a constructor refused a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// A text or list exceeds its limit.
    #[error("{what} is {actual} long, the limit is {limit}; shorten it or split the event")]
    TooLong {
        /// The field.
        what: &'static str,
        /// The length, in the unit of the limit.
        actual: usize,
        /// The limit; see [`limits`](crate::limits).
        limit: usize,
    },
    /// A field that must not be empty is empty.
    #[error("{what} is empty; give at least one")]
    Empty {
        /// The field.
        what: &'static str,
    },
    /// The text is not an IP address or prefix.
    #[error(
        "`{}` is not an IP address or prefix; write 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32",
        Printable(.text)
    )]
    BadNetwork {
        /// The text, cut to 80 characters.
        text: String,
    },
    /// The text is not the id of a cluster key.
    #[error(
        "not the id of a cluster key: 16 hexadecimal digits, as `mailmesh key list` shows them"
    )]
    BadKeyId,
    /// The text is not the name of a [`Kind`](crate::Kind).
    #[error("`{}` is not a kind of event; the kinds are {known}", Printable(.name))]
    UnknownKind {
        /// The text, cut to 80 characters.
        name: String,
        /// The names of all kinds, with commas between.
        known: String,
    },
    /// The prefix is so wide that blocking it is most likely a mistake.
    #[error(
        "{network} is wider than /{limit} and covers many addresses; if that is intended, use \
         `--force`"
    )]
    TooWide {
        /// The prefix.
        network: String,
        /// The smallest prefix length that is accepted without `--force`.
        limit: u8,
    },
    /// The prefix is so wide that an exception for it is most likely a mistake.
    #[error(
        "{network} is wider than /{limit}: an exception for it lets in many addresses; if that is \
         intended, use `--force`"
    )]
    TooWideToAllow {
        /// The prefix.
        network: String,
        /// The smallest prefix length that is accepted without `--force`.
        limit: u8,
    },
    /// The network overlaps the loopback.
    #[error("{network} overlaps the loopback, which is never blocked")]
    Loopback {
        /// The network.
        network: String,
    },
    /// The text is not a DNS name.
    #[error("`{}` is not a DNS name: {why}", Printable(.name))]
    BadName {
        /// The text, cut to 80 characters.
        name: String,
        /// The rule that the name breaks.
        why: &'static str,
    },
    /// The text is not a valid namespace name.
    #[error(
        "`{}` is not the name of a namespace: use a-z, 0-9, `.`, `-` and `_`, at most 64 of them",
        Printable(.name)
    )]
    Namespace {
        /// The text, cut to 80 characters.
        name: String,
    },
    /// A value could not be serialised or deserialised.
    #[error("the value does not fit its type: {}", Printable(.why))]
    Value {
        /// The error of the serialiser.
        why: String,
    },
    /// The payload of a custom event could not be serialised or deserialised.
    #[error("custom event `{}`: {}", Printable(.kind), Printable(.why))]
    Custom {
        /// The kind of the custom event.
        kind: String,
        /// The error of the serialiser.
        why: String,
    },
}

/// Checks a length against its limit; `what` names the field in the error.
pub(crate) fn check_len(what: &'static str, actual: usize, limit: usize) -> Result<(), EventError> {
    if actual > limit { Err(EventError::TooLong { what, actual, limit }) } else { Ok(()) }
}
