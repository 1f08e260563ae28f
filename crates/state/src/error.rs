//! Why the mirror refuses a change or a certificate.

use std::fmt;

use mailmesh_events::{DomainNames, EventError, Printable, UnixMillis};

/// The part of a certificate that a check refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Material {
    /// The whole chain, leaf first.
    Chain,
    /// The leaf certificate.
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

/// Why the mirror refused a change or a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// A value breaks the rules of `mailmesh-events`.
    #[error(transparent)]
    Event(#[from] EventError),
    /// The mirror holds as many entries of a kind as its bounds allow.
    #[error("the mirror is full with {limit} {kind}; remove some, or raise the bound")]
    Full {
        /// The kind of entry, such as `networks`.
        kind: &'static str,
        /// The bound, in entries.
        limit: usize,
    },
    /// The key has no live entry.
    #[error("there is no entry for {}", Printable(.key))]
    NotFound {
        /// The key, as text.
        key: String,
    },
    /// The entry to set has already expired.
    #[error(
        "the entry for {} would expire at {end}, which is in the past; give a later time, or \
         remove it",
        Printable(.key)
    )]
    AlreadyExpired {
        /// The key of the entry, as text.
        key: String,
        /// When the entry was to expire, in cluster time.
        end: UnixMillis,
    },
    /// A certificate or key cannot be parsed or used.
    #[error("{part} cannot be used: {}", Printable(.reason))]
    Parse {
        /// The part that cannot be used.
        part: Material,
        /// The reason, without any content of the part.
        reason: String,
    },
    /// The private key is not that of the certificate.
    #[error(
        "the private key does not belong to the certificate for {names}; give the key it \
         was made with"
    )]
    KeyMismatch {
        /// The names of the certificate.
        names: DomainNames,
    },
    /// The certificate has no DNS name.
    #[error(
        "the certificate has no name that a server could present it for: {}",
        Printable(.reason)
    )]
    NoNames {
        /// The names that it has instead, and what to request from the authority.
        reason: String,
    },
    /// The certificate has more names than a mirror takes.
    #[error(
        "the certificate has {count} names, more than {max}; ask the authority for several \
         certificates with up to {max} names each, or for a wildcard (DNS:*.example.org)"
    )]
    TooManyNames {
        /// Number of DNS names in the certificate.
        count: usize,
        /// Maximum number of names.
        max: usize,
    },
    /// The certificate has expired, or its dates are inconsistent.
    #[error(
        "the certificate was valid from {not_before} until {not_after}, which is in the past; \
         renew it"
    )]
    CertificateExpired {
        /// `notBefore` of the certificate.
        not_before: UnixMillis,
        /// `notAfter` of the certificate.
        not_after: UnixMillis,
    },
    /// The stamp is in the year 10,000 or later.
    #[error(
        "the change is stamped {stamped}, which no correct clock shows; set the clock \
         of its node (NTP)"
    )]
    InvalidStamp {
        /// The time of the stamp.
        stamped: UnixMillis,
    },
    /// The mirror holds a change of the key that wins over this node's own.
    #[error("the mirror holds a change with a later stamp; set this node's clock (NTP)")]
    Superseded,
    /// The mirror holds the same certificate with more issuers, which would be lost.
    #[error(
        "the certificate for {names} is in place with a chain of {current}, and this is the same \
         one with a chain of {given}: clients would no longer get {}; give the file that has the \
         issuers too (fullchain.pem)",
        Printable(.lost)
    )]
    FewerIssuers {
        /// The names of the certificate.
        names: DomainNames,
        /// The number of certificates in the chain in the mirror.
        current: usize,
        /// The number of certificates in the chain that was given.
        given: usize,
        /// The subjects of the issuers that would be lost.
        lost: String,
    },
    /// The mirror holds a newer certificate, still valid, for the same names.
    #[error("the mirror has a newer certificate for {names}, valid from {current}; not replaced")]
    NewerCertificate {
        /// The names of both certificates.
        names: DomainNames,
        /// `notBefore` of the certificate in the mirror.
        current: UnixMillis,
    },
}
