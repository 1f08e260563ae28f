//! Checks whether TLS can use a private key.

use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;

use super::error::PemError;
use super::key_fault;
use super::key_kind::KeyKind;

/// Checks that TLS can use the key.
///
/// # Errors
/// [`PemError::NotAKey`], [`PemError::KeyKind`], and what keeps a key of a usable kind from being
/// loaded, such as [`PemError::PublicPartMissing`].
pub fn check_key(key: &PrivateKeyDer<'_>) -> Result<(), PemError> {
    public_key(key).map(drop)
}

/// The public key of a private key that TLS can use, in DER (`SubjectPublicKeyInfo`).
pub(super) fn public_key(key: &PrivateKeyDer<'_>) -> Result<Vec<u8>, PemError> {
    // By reference, because a copy would not be wiped.
    let loaded = any_supported_type(key).ok();
    let public = loaded.and_then(|loaded| loaded.public_key().map(|key| key.to_vec()));
    public.ok_or_else(|| match KeyKind::of_private(key) {
        KeyKind::Unknown => {
            key_fault::of_multi_prime(key.secret_der()).unwrap_or(PemError::NotAKey)
        }
        kind if kind.is_usable() => key_fault::of(key, kind),
        kind => PemError::KeyKind { kind },
    })
}
