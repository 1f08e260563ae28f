//! Changes of the mirror. A change holds the whole new state of one key, or marks its removal.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::{
    Certificate, DomainNames, Network, Rule, RuleDetails, Stamp, UnixMillis, ValueChange, ValueKey,
};

/// A network was blocked or allowed, or its entry was removed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub struct NetworkChange {
    /// Whether the entry blocks or allows the network.
    pub rule: Rule,
    /// The network.
    pub network: Network,
    /// When, and on which node, the change was made.
    pub stamp: Stamp,
    /// Reason, origin and times of the entry; `None` if it was removed.
    #[serde(rename = "block")]
    pub details: Option<Arc<RuleDetails>>,
}

impl NetworkChange {
    /// The change that `stamp` identifies: the entry has these details, or was removed.
    #[must_use]
    pub fn new(
        rule: Rule,
        network: Network,
        stamp: Stamp,
        details: Option<Arc<RuleDetails>>,
    ) -> Self {
        Self { rule, network, stamp, details }
    }
}

impl fmt::Display for NetworkChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.details {
            Some(details) => write!(f, "{} {}: {details}", self.rule, self.network),
            None => write!(f, "no longer {} {}", self.rule, self.network),
        }
    }
}

/// A certificate was renewed or withdrawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CertificateChange {
    /// The DNS names of the certificate: its key in the mirror.
    pub names: DomainNames,
    /// When, and on which node, the change was made.
    pub stamp: Stamp,
    /// The certificate; `None` if it was withdrawn.
    pub certificate: Option<Arc<Certificate>>,
}

impl CertificateChange {
    /// The change that `stamp` identifies: the names have this certificate, or it was withdrawn.
    #[must_use]
    pub fn new(names: DomainNames, stamp: Stamp, certificate: Option<Arc<Certificate>>) -> Self {
        Self { names, stamp, certificate }
    }
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
    Network {
        /// The rule.
        rule: Rule,
        /// The network.
        network: Network,
    },
    /// A certificate, by its names.
    Certificate(DomainNames),
    /// A value of a downstream crate.
    Value(ValueKey),
}

/// Shows the network, the names or the value key, without the kind.
impl fmt::Display for ChangeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network { network, .. } => network.fmt(f),
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
            Self::Network(change) => {
                ChangeKey::Network { rule: change.rule, network: change.network }
            }
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
            Self::Network(change) => change.details.is_some(),
            Self::Certificate(change) => change.certificate.is_some(),
            Self::Value(change) => change.value.is_some(),
        }
    }

    /// When the entry expires. Certificate entries do not expire: they stay until they are
    /// replaced or withdrawn.
    #[must_use]
    pub fn expires(&self) -> Option<UnixMillis> {
        match self {
            Self::Network(change) => change.details.as_ref()?.expires,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NodeId;

    #[test]
    fn json_of_a_network_change_has_its_details_as_block() {
        let details = RuleDetails::new("spam", UnixMillis(1)).unwrap().with_origin("imap").unwrap();
        let stamp = Stamp::new(UnixMillis(2), 3, NodeId(4));
        let network = "192.0.2.0/24".parse().unwrap();
        let change = NetworkChange::new(Rule::Allow, network, stamp, Some(Arc::new(details)));
        let json = serde_json::to_string(&change).unwrap();
        assert_eq!(
            json,
            concat!(
                r#"{"rule":"allow","network":"192.0.2.0/24","#,
                r#""stamp":"1970-01-01T00:00:00Z+3 by 0000000000000004","#,
                r#""block":{"reason":"spam","origin":"imap","added":1,"expires":null}}"#,
            )
        );
    }
}
