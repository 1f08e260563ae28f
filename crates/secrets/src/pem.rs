//! Certificates and private keys in PEM (RFC 7468), as people have them.
//!
//! [`identity`] reads a certificate, its chain and its key; [`authorities`] certificates alone.
//! Both take what can be meant in one way only, and say what they mended or left out.
//!
//! What a parser says of bytes that it cannot read may hold them. So its errors are never shown:
//! what is wrong is looked for here, and said in words that hold nothing of the text.

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

use std::sync::Arc;

use rustls::crypto::ring::default_provider;
pub use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

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
pub fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, PemError> {
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
    check_key(&key)?;
    match CertifiedKey::from_der(chain, key, &Arc::new(default_provider())) {
        Ok(_) => Ok(()),
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
