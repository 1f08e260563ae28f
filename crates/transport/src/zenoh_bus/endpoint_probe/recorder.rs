//! Verifies a peer's certificate as Zenoh does, and notes for the operator's message the chain that
//! the peer shows and whether the peer asks for a certificate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{
    ResolvesClientCert, verify_server_cert_signed_by_trust_anchor, verify_server_name,
};
use rustls::crypto::ring::{default_provider, sign::any_supported_type};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::coordinator::{DialedTls, DialerIdentity};

/// The verifier of one handshake.
#[derive(Debug)]
pub(super) struct RecordingVerifier {
    authorities: RootCertStore,
    verifies_name: bool,
    algorithms: WebPkiSupportedAlgorithms,
    chain: Mutex<Vec<CertificateDer<'static>>>,
}

impl RecordingVerifier {
    /// A verifier that trusts the public authorities too, as Zenoh does.
    pub(super) fn new(tls: &DialedTls) -> Self {
        let mut authorities = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        authorities.add_parsable_certificates(tls.authorities.iter().cloned());
        Self {
            authorities,
            verifies_name: tls.verifies_name,
            algorithms: default_provider().signature_verification_algorithms,
            chain: Mutex::default(),
        }
    }

    /// The chain that the peer showed, the leaf first.
    pub(super) fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.chain.lock().clone()
    }
}

impl ServerCertVerifier for RecordingVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain = [leaf].into_iter().chain(issuers);
        *self.chain.lock() = chain.map(|member| member.clone().into_owned()).collect();
        let leaf = ParsedCertificate::try_from(leaf)?;
        let (authorities, algorithms) = (&self.authorities, self.algorithms.all);
        verify_server_cert_signed_by_trust_anchor(&leaf, authorities, issuers, now, algorithms)?;
        if self.verifies_name {
            verify_server_name(&leaf, name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Answers a peer that asks for a certificate.
#[derive(Debug)]
pub(super) struct RecordingResolver {
    own: Option<Arc<CertifiedKey>>,
    was_asked: AtomicBool,
}

impl RecordingResolver {
    /// A resolver that shows the certificate of this node, if there is one.
    ///
    /// # Errors
    /// TLS cannot use the private key.
    pub(super) fn new(identity: Option<&DialerIdentity>) -> Result<Self, Error> {
        let certified = |own: &DialerIdentity| -> Result<_, Error> {
            let key = any_supported_type(&own.key)?;
            Ok(Arc::new(CertifiedKey::new(own.chain.clone(), key)))
        };
        let own = identity.map(certified).transpose()?;
        Ok(Self { own, was_asked: AtomicBool::new(false) })
    }

    pub(super) fn was_asked(&self) -> bool {
        self.was_asked.load(Ordering::Relaxed)
    }
}

impl ResolvesClientCert for RecordingResolver {
    fn resolve(
        &self,
        _issuers: &[&[u8]],
        _schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        self.was_asked.store(true, Ordering::Relaxed);
        self.own.clone()
    }

    fn has_certs(&self) -> bool {
        self.own.is_some()
    }
}
