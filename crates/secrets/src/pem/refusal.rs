//! Why TLS refuses a certificate that can be parsed, and why a link's other end refuses a chain.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{CertificateError, Error, RootCertStore};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::error::PemError;

/// Extensions that the verifier of TLS knows, by the last number of `2.5.29.*`: keyUsage,
/// subjectAltName, basicConstraints, nameConstraints, cRLDistributionPoints and extKeyUsage.
const KNOWN_EXTENSIONS: [u64; 6] = [15, 17, 19, 30, 31, 37];
/// Names of extensions that authorities mark as critical.
const EXTENSION_NAMES: [(&str, &str); 13] = [
    ("1.3.6.1.4.1.11129.2.4.2", "signedCertificateTimestampList"),
    ("1.3.6.1.4.1.11129.2.4.3", "the poison of a precertificate"),
    ("1.3.6.1.5.5.7.1.1", "authorityInfoAccess"),
    ("1.3.6.1.5.5.7.1.24", "tlsFeature"),
    ("1.3.6.1.5.5.7.1.3", "qcStatements"),
    ("2.5.29.14", "subjectKeyIdentifier"),
    ("2.5.29.16", "privateKeyUsagePeriod"),
    ("2.5.29.18", "issuerAltName"),
    ("2.5.29.32", "certificatePolicies"),
    ("2.5.29.33", "policyMappings"),
    ("2.5.29.35", "authorityKeyIdentifier"),
    ("2.5.29.36", "policyConstraints"),
    ("2.5.29.54", "inhibitAnyPolicy"),
];
/// Longest text of a library that is repeated, in characters.
const MAX_SHOWN_CHARS: usize = 80;

/// The end of a link that shows a certificate. There are only these two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinkEnd {
    /// The end that listens.
    Listener,
    /// The end that dials, with TLS of both ends.
    Dialer,
}

/// The error for a certificate that TLS does not take as a server's; `None` if TLS takes it.
/// `number` is its position in the text, from 1.
pub(super) fn refusal(der: &CertificateDer<'_>, number: usize) -> Option<PemError> {
    ParsedCertificate::try_from(der).err().map(|error| refused(der, number, &error))
}

/// The error for a certificate that TLS does not take, in the words of the verifier.
pub(super) fn refused(der: &CertificateDer<'_>, number: usize, error: &Error) -> PemError {
    match error {
        Error::InvalidCertificate(CertificateError::BadEncoding) => {
            PemError::NotACertificate { number }
        }
        error => PemError::Refused { number, reason: reason(der, error) },
    }
}

fn reason(der: &[u8], error: &Error) -> String {
    if let Some(extension) = unknown_critical(der) {
        return format!(
            "its extension {extension} is critical, and TLS here does not know it; ask the \
             authority for a certificate in which that is not critical"
        );
    }
    if is_of_old_version(error) {
        return "it is not of X.509 version 3, the only one that TLS takes here (version 1 has no \
                subjectAltName); ask the authority for one of version 3"
            .to_owned();
    }
    let said = match error {
        Error::InvalidCertificate(CertificateError::Other(other)) => other.to_string(),
        Error::InvalidCertificate(error) => format!("{error:?}"),
        error => error.to_string(),
    };
    let said: String = said.chars().filter(char::is_ascii).take(MAX_SHOWN_CHARS).collect();
    format!("TLS refuses it ({said}); ask the authority for another")
}

fn is_of_old_version(error: &Error) -> bool {
    let Error::InvalidCertificate(CertificateError::Other(other)) = error else { return false };
    other.to_string() == "UnsupportedCertVersion"
}

/// The first critical extension that the verifier of TLS does not know.
fn unknown_critical(der: &[u8]) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    let oid = parsed.extensions().iter().find_map(|extension| {
        let id = extension.oid.to_id_string();
        let last = id.strip_prefix("2.5.29.").and_then(|last| last.parse::<u64>().ok());
        let is_known = last.is_some_and(|last| KNOWN_EXTENSIONS.contains(&last));
        (extension.critical && !is_known).then_some(id)
    })?;
    let oid: String = oid.chars().take(MAX_SHOWN_CHARS).collect();
    let name = EXTENSION_NAMES.iter().find(|(known, _)| *known == oid);
    Some(name.map_or_else(|| oid.clone(), |(_, name)| format!("{name} ({oid})")))
}

/// Why a node that trusts `authorities` refuses the chain that the other end of a link shows, `now`
/// seconds after 1970; `None` if it takes it. Names are not compared, and what has expired is left
/// to [`Identity::date_warnings`](super::Identity::date_warnings).
#[must_use]
pub fn link_refusal(
    chain: &[CertificateDer<'static>],
    authorities: &[CertificateDer<'static>],
    end: LinkEnd,
    now: i64,
) -> Option<String> {
    let (leaf, issuers) = chain.split_first()?;
    let mut roots = RootCertStore::empty();
    let _ignored = roots.add_parsable_certificates(authorities.iter().cloned());
    if roots.is_empty() {
        return None;
    }
    let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now).unwrap_or(0)));
    let provider = Arc::new(default_provider());
    let verified = match end {
        LinkEnd::Listener => ParsedCertificate::try_from(leaf).and_then(|leaf| {
            let algorithms = provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&leaf, &roots, issuers, now, algorithms)
        }),
        LinkEnd::Dialer => {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            verifier.ok()?.verify_client_cert(leaf, issuers, now).map(drop)
        }
    };
    let Error::InvalidCertificate(error) = verified.err()? else { return None };
    let usage = match end {
        LinkEnd::Listener => "serverAuth",
        LinkEnd::Dialer => "clientAuth",
    };
    match error {
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => None,
        CertificateError::UnknownIssuer if authorities.contains(leaf) => Some(
            "the certificate itself is given as the authority; give the certificate of the \
             authority that signed it"
                .to_owned(),
        ),
        CertificateError::UnknownIssuer | CertificateError::BadSignature => Some(
            "no authority there signed it; give the authority that did, and all intermediate \
             certificates behind the certificate (often called fullchain.pem)"
                .to_owned(),
        ),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            Some(format!(
                "its extendedKeyUsage has no {usage}; ask the authority for a certificate with \
                 serverAuth and clientAuth"
            ))
        }
        CertificateError::Other(other) if other.to_string() == "CaUsedAsEndEntity" => Some(
            "it is an authority's (CA:TRUE); give a certificate without that, signed by it"
                .to_owned(),
        ),
        error => {
            // The member that cannot be parsed is named, since it may be any of them.
            let critical = chain.iter().find_map(|member| unknown_critical(member));
            Some(critical.map_or_else(
                || reason(leaf, &Error::InvalidCertificate(error)),
                |extension| {
                    format!(
                        "the extension {extension} of the chain is critical, and TLS here does \
                         not know it; ask the authority for a chain without that"
                    )
                },
            ))
        }
    }
}
