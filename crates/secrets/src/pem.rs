//! Certificates and private keys in PEM (RFC 7468), in the layouts and encodings that operators and
//! other programs produce.
//!
//! [`identity`] reads a certificate, its chain and its key; [`authorities`] certificates alone.
//! Both take a text that can be meant in one way only, and warn of what they mended or left out.
//!
//! A parser's error may hold the bytes that the parser cannot read. So such errors are never shown:
//! this module looks for the fault itself, and names it in words that hold nothing of the text.

mod chain;
mod der;
mod error;
mod facts;
mod identity;
mod keys;
mod kinds;
mod read;
mod sections;
mod text;
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

pub use error::{PemError, Wanted};
pub use facts::CertificateFacts;
pub use identity::{Identity, IdentityError, identity};
pub use keys::{KeyKind, check_key};
pub use kinds::Found;
pub use warning::PemWarning;
pub use write::{are_read_alike, certificates_to_pem, key_to_pem};

/// The certificates of a text, in their order; other sections are left out. At most `limit`.
///
/// # Errors
/// [`PemError`].
pub fn certificates(text: &[u8], limit: usize) -> Result<Vec<CertificateDer<'static>>, PemError> {
    read::certificates(text, limit).map(|read| read.items)
}

/// The first private key of a text that TLS can use, or the first there is (PKCS #8, SEC 1 or
/// PKCS #1); other sections are left out.
///
/// # Errors
/// [`PemError`].
pub fn private_key(text: &[u8]) -> Result<Zeroizing<PrivateKeyDer<'static>>, PemError> {
    let mut keys = read::keys(text)?.items;
    let usable = keys.iter().position(|(_, key)| check_key(key).is_ok()).unwrap_or(0);
    Ok(keys.swap_remove(usable).1)
}

/// Whether TLS can use the key and it is that of the first certificate.
///
/// # Errors
/// [`PemError::KeyKind`], [`PemError::NotACertificate`], [`PemError::Mismatch`].
pub fn check_pair(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<(), PemError> {
    let key = Zeroizing::new(key);
    check_key(&key)?;
    let loaded = any_supported_type(&key).map_err(|_| PemError::NotAKey)?;
    match CertifiedKey::new(chain, loaded).keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(()),
        Err(rustls::Error::InconsistentKeys(_)) => Err(PemError::Mismatch),
        Err(_) => Err(PemError::NotACertificate { number: 1 }),
    }
}

/// The certificates of a text as trust anchors, at most `limit`, with the warnings of dates at
/// `now` seconds after 1970.
///
/// # Errors
/// [`PemError`].
pub fn authorities(
    text: &[u8],
    limit: usize,
    now: i64,
) -> Result<(Vec<CertificateDer<'static>>, Vec<PemWarning>), PemError> {
    let read::Read { items, mut warnings } = read::certificates(text, limit)?;
    let mut store = rustls::RootCertStore::empty();
    for (index, certificate) in items.iter().enumerate() {
        let not_one = |_| PemError::NotACertificate { number: index + 1 };
        store.add(certificate.clone()).map_err(not_one)?;
        let facts = CertificateFacts::of(certificate).ok();
        warnings.extend(
            facts.filter(|facts| facts.not_after <= now).map(|facts| PemWarning::MemberEnded {
                subject: facts.subject,
                end: facts.not_after,
            }),
        );
    }
    Ok((items, warnings))
}
