use std::sync::Arc;

use mailmesh_events::{Certificate, DomainNames};

use crate::parts::Inner;
use crate::{CertWatch, ChosenCertificate, Error};

/// TLS certificates: the newest of each set of names, the same on every node. They are replicated
/// only with a cluster key, so that no private key crosses the network in clear text.
#[derive(Debug, Clone, Copy)]
pub struct Certs<'a> {
    node: &'a Inner,
}

impl<'a> Certs<'a> {
    pub(crate) fn new(node: &'a Inner) -> Self {
        Self { node }
    }

    /// Sets the certificate for its set of names, on this node and on the other nodes.
    ///
    /// If the future is dropped while it waits, the certificate stays in place on this node; the
    /// other nodes receive it by reconciliation.
    ///
    /// # Errors
    /// [`Error::NoClusterKey`] without a cluster key. [`Error::State`] if the certificate is
    /// invalid, has expired, is older than the present one, or is the present one with fewer
    /// issuers ([`StateError::FewerIssuers`](crate::StateError::FewerIssuers)).
    /// [`Error::ShutDown`] and [`Error::SteppedBack`] if the node has stopped.
    pub async fn set(&self, certificate: Certificate) -> Result<(), Error> {
        if self.node.keys.is_none() {
            return Err(Error::NoClusterKey);
        }
        self.node
            .publisher
            .publish_change(
                self.node
                    .replication
                    .mirror
                    .set_certificate(certificate, self.node.replication.now())?,
            )
            .await
    }

    /// Same as [`set`](Self::set), but accepts an expired certificate, which clients that verify it
    /// refuse, and the present certificate with fewer issuers.
    ///
    /// # Errors
    /// Same as [`set`](Self::set), except for these two.
    pub async fn set_even_if_over(&self, certificate: Certificate) -> Result<(), Error> {
        if self.node.keys.is_none() {
            return Err(Error::NoClusterKey);
        }
        let now = self.node.replication.now();
        self.node
            .publisher
            .publish_change(
                self.node.replication.mirror.set_certificate_even_if_expired(certificate, now)?,
            )
            .await
    }

    /// Withdraws the certificate of exactly these names.
    ///
    /// # Errors
    /// [`Error::State`] if there is none; [`Error::ShutDown`] and [`Error::SteppedBack`] if the
    /// node has stopped.
    pub async fn withdraw(&self, names: DomainNames) -> Result<(), Error> {
        self.node
            .publisher
            .publish_change(
                self.node
                    .replication
                    .mirror
                    .withdraw_certificate(names, self.node.replication.now())?,
            )
            .await
    }

    /// A stream of all present certificates followed by every change, without loss in between.
    #[must_use]
    pub fn watch(&self) -> CertWatch {
        CertWatch::new(self.node)
    }

    /// The certificate to present for `host`. A valid certificate wins over an invalid one, then an
    /// exact name over a wildcard, then the latest issue date. If none is valid, the one that
    /// expired last. Host names compare as DNS names ([`HostName`](crate::HostName)).
    #[must_use]
    pub fn for_host(&self, host: &str) -> Option<Arc<Certificate>> {
        self.node.replication.mirror.certificate_for_host(host, self.node.replication.now())
    }

    /// Same as [`for_host`](Self::for_host), with the reason of the choice.
    #[must_use]
    pub fn choose(&self, host: &str) -> Option<ChosenCertificate> {
        self.node.replication.mirror.choose_certificate(host, self.node.replication.now())
    }

    /// Every name of every certificate, sorted, with the certificate that this name gets now. The
    /// certificate of a wildcard name serves hosts without an exact name.
    #[must_use]
    pub fn by_name(&self) -> Vec<(Box<str>, ChosenCertificate)> {
        self.node.replication.mirror.certificates_by_name(self.node.replication.now())
    }

    /// Every certificate, sorted by names.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Certificate>> {
        self.node.replication.mirror.certificates()
    }
}
