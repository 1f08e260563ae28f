//! A change of the mirror: the newest fact about one key.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::{
    Block, Certificate, DomainNames, Network, Rule, Stamp, UnixMillis, ValueChange, ValueKey,
};

/// A network was blocked, allowed, or taken off again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NetworkChange {
    /// Blocked or allowed.
    pub rule: Rule,
    /// Which network.
    pub network: Network,
    /// When, and by whom.
    pub stamp: Stamp,
    /// The fact; `None` if it was removed.
    pub block: Option<Arc<Block>>,
}

impl fmt::Display for NetworkChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.block {
            Some(block) => write!(f, "{} {}: {block}", self.rule, self.network),
            None => write!(f, "no longer {} {}", self.rule, self.network),
        }
    }
}

/// A certificate was renewed or withdrawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CertificateChange {
    /// The names it serves.
    pub names: DomainNames,
    /// When, and by whom.
    pub stamp: Stamp,
    /// The certificate; `None` if it was withdrawn.
    pub certificate: Option<Arc<Certificate>>,
}

impl fmt::Display for CertificateChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.certificate {
            Some(certificate) => write!(f, "renewed {certificate}"),
            None => write!(f, "withdrawn for {}", self.names),
        }
    }
}

/// A change of the mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// Of a network.
    Network(NetworkChange),
    /// Of a certificate.
    Certificate(CertificateChange),
    /// Of a value of a downstream crate.
    Value(ValueChange),
}

/// What a change is about; a later change of the same key replaces it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ChangeKey {
    /// A network under a rule.
    Network(Rule, Network),
    /// A set of names.
    Certificate(DomainNames),
    /// A value of a downstream crate.
    Value(ValueKey),
}

/// The subject alone, as in `192.0.2.0/24` or `mail.example.org`.
impl fmt::Display for ChangeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(_, network) => network.fmt(f),
            Self::Certificate(names) => names.fmt(f),
            Self::Value(key) => key.fmt(f),
        }
    }
}

impl Change {
    /// What it is about.
    #[must_use]
    pub fn key(&self) -> ChangeKey {
        match self {
            Self::Network(change) => ChangeKey::Network(change.rule, change.network),
            Self::Certificate(change) => ChangeKey::Certificate(change.names.clone()),
            Self::Value(change) => ChangeKey::Value(change.key.clone()),
        }
    }

    /// When it was made.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        match self {
            Self::Network(change) => change.stamp,
            Self::Certificate(change) => change.stamp,
            Self::Value(change) => change.stamp,
        }
    }

    /// Whether it is an entry, not the removal of one.
    #[must_use]
    pub fn is_live(&self) -> bool {
        match self {
            Self::Network(change) => change.block.is_some(),
            Self::Certificate(change) => change.certificate.is_some(),
            Self::Value(change) => change.value.is_some(),
        }
    }

    /// When the entry ends by itself. Certificates do not: they stay until a newer one
    /// comes.
    #[must_use]
    pub fn expires(&self) -> Option<UnixMillis> {
        match self {
            Self::Network(change) => change.block.as_ref()?.expires,
            Self::Certificate(_) => None,
            Self::Value(change) => change.value.as_ref()?.expires,
        }
    }

    /// Whether it carries a private key, which must not cross a wire unsealed.
    #[must_use]
    pub fn has_private_key(&self) -> bool {
        matches!(self, Self::Certificate(CertificateChange { certificate: Some(_), .. }))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(change) => change.fmt(f),
            Self::Certificate(change) => change.fmt(f),
            Self::Value(change) => change.fmt(f),
        }
    }
}
