//! Certificates of a mirror: setting, withdrawing, choosing by host.

use std::sync::Arc;

use mailmesh_events::{Certificate, CertificateChange, Change, ChangeKey, DomainNames, UnixMillis};

use super::Mirror;
use crate::certificate_index::ChosenCertificate;
use crate::{StateError, x509};

impl Mirror {
    /// Sets the certificate for its set of names.
    ///
    /// # Errors
    /// [`StateError::CertificateExpired`], [`StateError::FewerIssuers`],
    /// [`StateError::NewerCertificate`], [`StateError::Full`], [`StateError::Superseded`], and the
    /// checks of
    /// [`certificate_from_der`](crate::certificate_from_der).
    pub fn set_certificate(
        &self,
        certificate: Certificate,
        now: UnixMillis,
    ) -> Result<Change, StateError> {
        let (not_before, not_after) = (certificate.not_before(), certificate.not_after());
        if not_after <= now || not_after <= not_before {
            return Err(StateError::CertificateExpired { not_before, not_after });
        }
        self.put_certificate(certificate, now, x509::check_issuers)
    }

    /// Sets the certificate for its set of names, even if it has expired, or replaces the same
    /// certificate with more issuers.
    ///
    /// # Errors
    /// As [`set_certificate`](Self::set_certificate), without [`StateError::CertificateExpired`]
    /// and [`StateError::FewerIssuers`].
    pub fn set_certificate_even_if_expired(
        &self,
        certificate: Certificate,
        now: UnixMillis,
    ) -> Result<Change, StateError> {
        self.put_certificate(certificate, now, |_, _| Ok(()))
    }

    /// Sets a certificate unless `check` refuses it; `check` gets the one in place and this one.
    fn put_certificate(
        &self,
        certificate: Certificate,
        now: UnixMillis,
        check: impl FnOnce(&Certificate, &Certificate) -> Result<(), StateError>,
    ) -> Result<Change, StateError> {
        x509::verify(&certificate)?;
        let not_before = certificate.not_before();
        let mut writer = self.writer.write();
        let names = certificate.names().clone();
        if let Some(current) = self.certificates.get(&names) {
            if current.not_before() > not_before && current.not_after() > now {
                return Err(StateError::NewerCertificate { names, current: current.not_before() });
            }
            check(&current, &certificate)?;
        }
        let stamp = writer.stamp(&ChangeKey::Certificate(names.clone()), now);
        let certificate = Some(Arc::new(certificate));
        let change = Change::Certificate(CertificateChange::new(names, stamp, certificate));
        self.put_local(&mut writer, change, now)
    }

    /// Withdraws the certificate for exactly these names.
    ///
    /// # Errors
    /// [`StateError::NotFound`].
    pub fn withdraw_certificate(
        &self,
        names: DomainNames,
        now: UnixMillis,
    ) -> Result<Change, StateError> {
        let mut writer = self.writer.write();
        if self.certificates.get(&names).is_none() {
            return Err(StateError::NotFound { key: names.to_string() });
        }
        let stamp = writer.stamp(&ChangeKey::Certificate(names.clone()), now);
        let change = Change::Certificate(CertificateChange::new(names, stamp, None));
        self.put_local(&mut writer, change, now)
    }

    /// The certificate for exactly these names.
    #[must_use]
    pub fn certificate(&self, names: &DomainNames) -> Option<Arc<Certificate>> {
        self.certificates.get(names)
    }

    /// The certificate to present for `host` at `now`. A valid certificate is preferred to an
    /// invalid one, then an exact name to a wildcard, then the one issued last. If none is valid,
    /// the certificate that expired last is chosen; if none was valid yet, the one whose validity
    /// begins first. `host` is compared as [`HostName`](mailmesh_events::HostName) says.
    #[must_use]
    pub fn certificate_for_host(&self, host: &str, now: UnixMillis) -> Option<Arc<Certificate>> {
        self.certificates.choose(host, now).map(|chosen| chosen.certificate)
    }

    /// As [`certificate_for_host`](Self::certificate_for_host), with the reason for the choice.
    #[must_use]
    pub fn choose_certificate(&self, host: &str, now: UnixMillis) -> Option<ChosenCertificate> {
        self.certificates.choose(host, now)
    }

    /// Every name in any certificate, sorted, with the certificate chosen for it at `now`. For a
    /// wildcard: the certificate for hosts that no exact name matches.
    #[must_use]
    pub fn certificates_by_name(&self, now: UnixMillis) -> Vec<(Box<str>, ChosenCertificate)> {
        self.certificates.by_name(now)
    }

    /// Every certificate, sorted by its names.
    #[must_use]
    pub fn certificates(&self) -> Vec<Arc<Certificate>> {
        self.certificates.all()
    }
}
