//! Certificates and private keys in PEM (RFC 7468), in the layouts and encodings that operators and
//! other programs produce.
//!
//! [`identity`] reads a certificate, its chain and its key; [`authorities`] only certificates. Both
//! accept a text if its meaning is unambiguous, and warn of what they corrected or left out.
//!
//! The error of a parser may contain the bytes that the parser cannot read, and these may be a key.
//! So parser errors are never shown: this module finds the fault itself, and its errors contain no
//! part of the text.

mod chain;
mod data_kind;
mod der;
mod error;
mod identity;
mod info;
mod key_check;
mod key_fault;
mod key_kind;
mod read;
mod refusal;
mod sections;
mod text;
mod time;
mod warning;
mod write;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

use rustls::InconsistentKeys;
use rustls::crypto::ring::sign::any_supported_type;
pub use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

pub use data_kind::DataKind;
pub use error::{Expected, PemError};
pub use identity::{Identity, IdentityError, identity};
pub use info::CertificateInfo;
pub use key_check::check_key;
pub use key_kind::KeyKind;
pub use refusal::{LinkEnd, link_refusal};
pub use time::rfc3339;
pub use warning::PemWarning;
pub use write::{are_portable, certificates_to_pem, key_to_pem};

/// Reads at most `limit` certificates of a text, in their order, and skips other sections.
///
/// # Errors
/// [`PemError`] if the text has none, one that cannot be read, or more than the limit.
pub fn certificates(text: &[u8], limit: usize) -> Result<Vec<CertificateDer<'static>>, PemError> {
    read::certificates(text, limit).map(|read| read.items)
}

/// Reads the first private key of a text that TLS can use, or else the first key (PKCS #8, SEC 1 or
/// PKCS #1). Skips other sections.
///
/// # Errors
/// [`PemError`] if the text has no private key that can be read.
pub fn private_key(text: &[u8]) -> Result<Zeroizing<PrivateKeyDer<'static>>, PemError> {
    let mut keys = read::keys(text)?.items;
    let usable = keys.iter().position(|found| check_key(&found.key).is_ok()).unwrap_or(0);
    Ok(keys.swap_remove(usable).key)
}

/// Checks that TLS can use the key, and that the key belongs to the first certificate.
///
/// # Errors
/// As [`check_key`] for a key that TLS cannot use or load. [`PemError::Mismatch`] if the key
/// belongs to another certificate, [`PemError::Empty`] if the chain has no certificate,
/// [`PemError::NotACertificate`] or [`PemError::Refused`] if its first cannot be used.
pub fn check_pair(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<(), PemError> {
    let key = Zeroizing::new(key);
    check_key(&key)?;
    let loaded = any_supported_type(&key).map_err(|_| PemError::NotAKey)?;
    let certified = CertifiedKey::new(chain, loaded);
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(()),
        Err(rustls::Error::InconsistentKeys(_)) => Err(PemError::Mismatch),
        Err(error) => Err(match certified.cert.first() {
            Some(leaf) => refusal::refused(leaf, 1, &error),
            None => PemError::Empty,
        }),
    }
}

/// Certificates of a text that can be trust anchors.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Authorities {
    /// The certificates, in the order of the text.
    pub certificates: Vec<CertificateDer<'static>>,
    /// Warnings about corrections, and about certificates that have expired.
    pub warnings: Vec<PemWarning>,
}

/// Reads at most `limit` certificates of a text as trust anchors. Warns of certificates that have
/// expired `now` seconds after 1970.
///
/// # Errors
/// As [`certificates`].
pub fn authorities(text: &[u8], limit: usize, now: i64) -> Result<Authorities, PemError> {
    let read::Read { items: certificates, mut warnings } = read::certificates(text, limit)?;
    let mut store = rustls::RootCertStore::empty();
    for (index, certificate) in certificates.iter().enumerate() {
        store
            .add(certificate.clone())
            .map_err(|error| refusal::refused(certificate, index + 1, &error))?;
        let info = CertificateInfo::from_der(certificate).ok();
        warnings.extend(
            info.filter(|info| info.not_after <= now).map(|info| PemWarning::MemberExpired {
                subject: info.subject,
                end: info.not_after,
            }),
        );
    }
    Ok(Authorities { certificates, warnings })
}
