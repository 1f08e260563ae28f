//! Changes of the mirror. A change holds the whole new state of one key, or marks its removal.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::{
    Block, Certificate, DomainNames, Network, Rule, Stamp, UnixMillis, ValueChange, ValueKey,
};

/// A network was blocked or allowed, or its entry was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NetworkChange {
    /// Whether the entry blocks or allows the network.
    pub rule: Rule,
    /// The network.
    pub network: Network,
    /// When, and on which node, the change was made.
    pub stamp: Stamp,
    /// The details of the entry; `None` if it was removed.
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
    /// The DNS names of the certificate: its key in the mirror.
    pub names: DomainNames,
    /// When, and on which node, the change was made.
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

/// The new state of one entry of the mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// A blocked or allowed network changed.
    Network(NetworkChange),
    /// A certificate changed.
    Certificate(CertificateChange),
    /// A value of a downstream crate changed.
    Value(ValueChange),
}

/// The key of a mirror entry. A later change of the same key replaces an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ChangeKey {
    /// A network under a rule.
    Network(Rule, Network),
    /// A certificate, by its names.
    Certificate(DomainNames),
    /// A value of a downstream crate.
    Value(ValueKey),
}

/// Shows the network, the names or the value key, without the kind.
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
    /// The entry that changed.
    #[must_use]
    pub fn key(&self) -> ChangeKey {
        match self {
            Self::Network(change) => ChangeKey::Network(change.rule, change.network),
            Self::Certificate(change) => ChangeKey::Certificate(change.names.clone()),
            Self::Value(change) => ChangeKey::Value(change.key.clone()),
        }
    }

    /// When, and on which node, the change was made.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        match self {
            Self::Network(change) => change.stamp,
            Self::Certificate(change) => change.stamp,
            Self::Value(change) => change.stamp,
        }
    }

    /// Whether the change sets an entry; `false` for a removal.
    #[must_use]
    pub fn is_live(&self) -> bool {
        match self {
            Self::Network(change) => change.block.is_some(),
            Self::Certificate(change) => change.certificate.is_some(),
            Self::Value(change) => change.value.is_some(),
        }
    }

    /// When the entry expires. Certificate entries do not expire: they stay until they are
    /// replaced or withdrawn.
    #[must_use]
    pub fn expires(&self) -> Option<UnixMillis> {
        match self {
            Self::Network(change) => change.block.as_ref()?.expires,
            Self::Certificate(_) => None,
            Self::Value(change) => change.value.as_ref()?.expires,
        }
    }

    /// Whether the change carries a private key. Such a change must not be sent unencrypted.
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
