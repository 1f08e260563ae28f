//! Why a private key cannot be loaded, although its kind is usable.

use rustls::pki_types::PrivateKeyDer;

use super::der::{BITS, CURVE, INTEGER, OCTETS, PUBLIC_KEY, SEQUENCE, bits, expect};
use super::error::PemError;
use super::key_kind::KeyKind;

/// The size of an RSA key that can be loaded is a multiple of this, in bits.
const MODULUS_STEP_BITS: usize = 1024;
/// The form of a key by RFC 8017, version 1.
const MULTI_PRIME: &str = "more than two primes";

/// The reason why a key of a usable kind does not load. A key without a fault that is known here
/// is damaged.
pub(super) fn of(key: &PrivateKeyDer<'_>, kind: KeyKind) -> PemError {
    let fault = match kind {
        KeyKind::Rsa { .. } => rsa(key, kind),
        KeyKind::Ecdsa { .. } => ecdsa(key, kind),
        KeyKind::Ed25519 | KeyKind::Other(_) | KeyKind::Unknown => None,
    };
    fault.unwrap_or(PemError::KeyDamaged { kind })
}

/// The content of the key in its own format, without PKCS #8 around it.
fn inner<'a>(key: &'a PrivateKeyDer<'_>) -> Option<&'a [u8]> {
    let der = match key {
        PrivateKeyDer::Pkcs8(key) => {
            let (content, _) = expect(key.secret_pkcs8_der(), SEQUENCE)?;
            let (_version, rest) = expect(content, INTEGER)?;
            let (_algorithm, rest) = expect(rest, SEQUENCE)?;
            expect(rest, OCTETS)?.0
        }
        other => other.secret_der(),
    };
    expect(der, SEQUENCE).map(|(content, _)| content)
}

/// The reason why a `RSAPrivateKey` of version 1, which no parser here takes, is not read; `None`
/// for other data.
pub(super) fn of_multi_prime(der: &[u8]) -> Option<PemError> {
    let (version, rest) = expect(expect(der, SEQUENCE)?.0, INTEGER)?;
    let (modulus, rest) = expect(rest, INTEGER)?;
    let is_rsa = version == [1] && expect(rest, INTEGER).is_some();
    let kind = KeyKind::Rsa { bits: bits(modulus) };
    is_rsa.then_some(PemError::KeyForm { kind, reason: MULTI_PRIME })
}

fn ecdsa(key: &PrivateKeyDer<'_>, kind: KeyKind) -> Option<PemError> {
    let (_version, rest) = expect(inner(key)?, INTEGER)?;
    let (_scalar, rest) = expect(rest, OCTETS)?;
    let rest = expect(rest, CURVE).map_or(rest, |(_, rest)| rest);
    let Some((public, _)) = expect(rest, PUBLIC_KEY) else {
        return Some(PemError::PublicPartMissing { kind });
    };
    // The first byte counts the unused bits, the second is the form of the point.
    match expect(public, BITS)?.0.get(1) {
        Some(2 | 3) => Some(PemError::PointCompressed { kind }),
        _ => None,
    }
}

/// `RSAPrivateKey` (RFC 8017): version, modulus, public exponent, private exponent, primes.
fn rsa(key: &PrivateKeyDer<'_>, kind: KeyKind) -> Option<PemError> {
    let (version, rest) = expect(inner(key)?, INTEGER)?;
    let (modulus, rest) = expect(rest, INTEGER)?;
    let (exponent, _) = expect(rest, INTEGER)?;
    let exponent_bits = bits(exponent);
    let reason = if version != [0] {
        MULTI_PRIME
    } else if !(17..=33).contains(&exponent_bits) {
        "a public exponent that is not from 65537 to 2^33"
    } else if !bits(modulus).is_multiple_of(MODULUS_STEP_BITS) {
        "a size that is not a multiple of 1024 bits"
    } else {
        return None;
    };
    Some(PemError::KeyForm { kind, reason })
}
