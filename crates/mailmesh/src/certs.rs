//! The certificates of the mirror, as the server sets and looks them up.

use std::pin::Pin;
use std::sync::Arc;

use mailmesh_events::{Certificate, DomainNames};

use crate::parts::Inner;
use crate::{CertWatch, ChosenCertificate, MirrorError};

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

    /// Sets the certificate for its set of names, on this node and on the other nodes. Awaiting the
    /// returned [`SetCertificate`] carries it out.
    pub fn set(&self, certificate: Certificate) -> SetCertificate<'a> {
        SetCertificate { node: self.node, certificate, is_forced: false }
    }

    /// Withdraws the certificate of exactly these names.
    ///
    /// # Errors
    /// [`MirrorError::Refused`] if there is none; [`MirrorError::Stopped`] if the
    /// node has stopped.
    pub async fn withdraw(&self, names: DomainNames) -> Result<(), MirrorError> {
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

/// A certificate to be set; see [`Certs::set`]. Does nothing until it is awaited.
#[derive(Debug)]
#[must_use = "the certificate is set when this is awaited"]
pub struct SetCertificate<'a> {
    node: &'a Inner,
    certificate: Certificate,
    is_forced: bool,
}

impl SetCertificate<'_> {
    /// Accepts an expired certificate, which clients that verify it refuse, and the present
    /// certificate with fewer issuers.
    pub fn force(mut self) -> Self {
        self.is_forced = true;
        self
    }

    async fn publish(self) -> Result<(), MirrorError> {
        if self.node.keys.is_none() {
            return Err(MirrorError::NoClusterKey);
        }
        let (mirror, now) = (&self.node.replication.mirror, self.node.replication.now());
        let change = if self.is_forced {
            mirror.set_certificate_even_if_expired(self.certificate, now)?
        } else {
            mirror.set_certificate(self.certificate, now)?
        };
        self.node.publisher.publish_change(change).await
    }
}

/// If the future is dropped while it waits, the certificate stays in place on this node; the other
/// nodes receive it by reconciliation.
///
/// # Errors
/// [`MirrorError::NoClusterKey`] without a cluster key. [`MirrorError::Refused`] if the certificate
/// is invalid, and, unless forced, if it has expired, is older than the present one, or is the
/// present one with fewer issuers ([`StateError::FewerIssuers`](crate::StateError::FewerIssuers)).
/// [`MirrorError::Stopped`] if the node has stopped.
impl<'a> IntoFuture for SetCertificate<'a> {
    type Output = Result<(), MirrorError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.publish())
    }
}
