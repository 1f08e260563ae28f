use std::fmt;

use mailmesh_events::{DomainNames, EventError, Printable, UnixMillis};

/// A part of a certificate that is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Material {
    /// All certificates, the leaf's first.
    Chain,
    /// The leaf's certificate.
    Certificate,
    /// The leaf's private key.
    PrivateKey,
}

impl fmt::Display for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chain => "the certificate chain",
            Self::Certificate => "the certificate",
            Self::PrivateKey => "the private key",
        })
    }
}

/// Why the mirror refused something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// Not a valid value.
    #[error(transparent)]
    Event(#[from] EventError),
    /// The mirror holds as much as it may.
    #[error("the mirror holds {limit} {kind}, the most it may; remove some, or raise the bound")]
    Full {
        /// Of what.
        kind: &'static str,
        /// The bound.
        limit: usize,
    },
    /// There is no such entry.
    #[error("there is no entry for {}", Printable(.key))]
    NotFound {
        /// What was asked for.
        key: String,
    },
    /// The entry to set has ended already.
    #[error(
        "the entry for {} was to end at {end}, which is over; give a later end, or remove the entry",
        Printable(.key)
    )]
    AlreadyExpired {
        /// The key of the entry.
        key: String,
        /// When it was to end, in cluster time.
        end: UnixMillis,
    },
    /// The certificate or key cannot be read or used.
    #[error("{part} cannot be used: {}", Printable(.reason))]
    Parse {
        /// The part that cannot be used.
        part: Material,
        /// The reason, in words that hold nothing of the part.
        reason: String,
    },
    /// The key is not the certificate's.
    #[error(
        "the private key does not belong to the certificate for {names}; give the key it was made with"
    )]
    KeyMismatch {
        /// The names of the certificate.
        names: DomainNames,
    },
    /// The certificate has no DNS name.
    #[error("the certificate has no name that a server could present it for: {}", Printable(.reason))]
    NoNames {
        /// The names that it has instead, and the ones to ask the authority for.
        reason: String,
    },
    /// The certificate has more names than are taken.
    #[error(
        "the certificate has {count} names, more than {most}; ask the authority for several \
         certificates with up to {most} names each, or for a wildcard (DNS:*.example.org)"
    )]
    TooManyNames {
        /// The number of its names.
        count: usize,
        /// The most that are taken.
        most: usize,
    },
    /// The dates make no sense, or are over.
    #[error(
        "the certificate was valid from {not_before} until {not_after}, which is over; renew it"
    )]
    CertificateExpired {
        /// `notBefore`
        not_before: UnixMillis,
        /// `notAfter`
        not_after: UnixMillis,
    },
    /// A stamp of the year 10,000 or later.
    #[error(
        "it is stamped {stamped}, a time that no right clock shows; set the clock of the node (NTP)"
    )]
    InvalidStamp {
        /// The stamp's time.
        stamped: UnixMillis,
    },
    /// This node's own stamp does not win.
    #[error("a change with a later stamp is in place; set this node's clock (NTP)")]
    Superseded,
    /// A newer certificate is there for the same names.
    #[error("the mirror has a newer certificate for {names}, valid from {current}; not replaced")]
    NewerCertificate {
        /// The names.
        names: DomainNames,
        /// `notBefore` of the one that is there.
        current: UnixMillis,
    },
}
