use crate::Printable;

/// Why a value cannot be an event, or part of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// A text or list is longer than its limit.
    #[error("{what} is {actual} long, the limit is {limit}; shorten it or split the event")]
    TooLong {
        /// Which field.
        what: &'static str,
        /// Its length, in the unit of the limit.
        actual: usize,
        /// The limit; see [`limits`](crate::limits).
        limit: usize,
    },
    /// A field that must hold something is empty.
    #[error("{what} is empty; give at least one")]
    Empty {
        /// Which field.
        what: &'static str,
    },
    /// Not an address or prefix.
    #[error(
        "`{}` is not an IP address or prefix; write 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32",
        Printable(.text)
    )]
    BadNetwork {
        /// What was given.
        text: String,
    },
    /// A prefix so wide that blocking it is most likely a mistake.
    #[error(
        "{network} is wider than /{limit} and stands for many addresses; if that is meant, use `--force` \
         or `add_of_any_width`"
    )]
    TooWide {
        /// The prefix.
        network: String,
        /// The widest prefix length accepted without force.
        limit: u8,
    },
    /// The loopback is never blocked.
    #[error("{network} is in or contains the loopback, which is never blocked")]
    Loopback {
        /// What was to be blocked.
        network: String,
    },
    /// Not a DNS name.
    #[error("`{}` is not a DNS name: {why}", Printable(.name))]
    BadName {
        /// What was given.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Not the name of a namespace of values.
    #[error(
        "`{}` is not the name of a namespace: use a-z, 0-9, `.`, `-` and `_`, at most 64 of them",
        Printable(.name)
    )]
    Namespace {
        /// What was given.
        name: String,
    },
    /// A value did not (de)serialise.
    #[error("the value does not fit its type: {}", Printable(.why))]
    Value {
        /// What the serialiser said.
        why: String,
    },
    /// The payload of a custom event did not (de)serialise.
    #[error("custom event `{}`: {}", Printable(.kind), Printable(.why))]
    Custom {
        /// The kind of the event.
        kind: String,
        /// What the serialiser said.
        why: String,
    },
}

/// Checks a length against its limit.
pub(crate) fn bounded(what: &'static str, actual: usize, limit: usize) -> Result<(), EventError> {
    if actual > limit { Err(EventError::TooLong { what, actual, limit }) } else { Ok(()) }
}
