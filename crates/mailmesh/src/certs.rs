use std::sync::Arc;

use mailmesh_events::{Certificate, DomainNames};

use crate::cluster::Inner;
use crate::{CertWatch, ChosenCertificate, Error};

/// TLS certificates: the newest of each set of names, the same on every node.
/// Replicated only with a cluster key, so that no private key crosses the network
/// in the clear.
#[derive(Debug, Clone, Copy)]
pub struct Certs<'a> {
    node: &'a Inner,
}

impl<'a> Certs<'a> {
    pub(crate) fn new(node: &'a Inner) -> Self {
        Self { node }
    }

    /// Sets the certificate of its names, here and on the other nodes.
    ///
    /// # Errors
    /// [`Error::NoClusterKey`] in an open mesh; [`Error::State`] if it does not
    /// check, is over, is older than the one in place, or is that one with fewer issuers
    /// ([`StateError::FewerIssuers`](crate::StateError::FewerIssuers)); [`Error::ShutDown`].
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

    /// Sets the certificate of its names, also one that is over, which clients refuse, and the one
    /// in place with fewer issuers.
    ///
    /// # Errors
    /// As [`set`](Self::set), but for these two.
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
    /// [`Error::State`] if there is none; [`Error::ShutDown`].
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

    /// Everything there is, and then whatever happens to it, without a hole between.
    #[must_use]
    pub fn watch(&self) -> CertWatch {
        CertWatch::new(self.node)
    }

    /// The certificate to present for `host`: a valid one before one that is not, then one of
    /// the exact name before a wildcard, then the one issued last. If none is valid, the one that
    /// ended last. Names are compared as DNS does ([`HostName`](crate::HostName)).
    #[must_use]
    pub fn for_host(&self, host: &str) -> Option<Arc<Certificate>> {
        self.node.replication.mirror.certificate_for_host(host, self.node.replication.now())
    }

    /// As [`for_host`](Self::for_host), with the reason.
    #[must_use]
    pub fn choose(&self, host: &str) -> Option<ChosenCertificate> {
        self.node.replication.mirror.choose_certificate(host, self.node.replication.now())
    }

    /// Every name that a certificate holds, sorted, and the certificate that it gets now. For a
    /// wildcard: the certificate of the hosts that no exact name serves.
    #[must_use]
    pub fn by_name(&self) -> Vec<(Box<str>, ChosenCertificate)> {
        self.node.replication.mirror.certificates_by_name(self.node.replication.now())
    }

    /// Every certificate, by names.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Certificate>> {
        self.node.replication.mirror.certificates()
    }
}
