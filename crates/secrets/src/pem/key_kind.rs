//! Kinds of keys, and which of them TLS can use in this build.

use std::fmt;

use rustls::pki_types::PrivateKeyDer;

use super::der::{BITS, CURVE, Element, INTEGER, OCTETS, OID, SEQUENCE, bits, element, expect};

/// The kind of a public or private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyKind {
    /// RSA.
    Rsa {
        /// The size of the modulus in bits.
        bits: usize,
    },
    /// A key on an elliptic curve, for ECDSA.
    Ecdsa {
        /// The name of the curve.
        curve: &'static str,
    },
    /// Ed25519 (RFC 8410).
    Ed25519,
    /// Any other known kind, by its name.
    Other(&'static str),
    /// The key is in no known format, or its algorithm is not known.
    Unknown,
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa { bits } => write!(f, "RSA of {bits} bits"),
            Self::Ecdsa { curve } => write!(f, "ECDSA {curve}"),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::Other(name) => f.write_str(name),
            Self::Unknown => f.write_str("of an unknown kind"),
        }
    }
}

impl KeyKind {
    /// The kind of a private key in PKCS #8, PKCS #1 or SEC 1.
    #[must_use]
    pub fn of_private(key: &PrivateKeyDer<'_>) -> Self {
        let kind = match key {
            PrivateKeyDer::Pkcs8(key) => pkcs8(key.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(key) => pkcs1(key.secret_pkcs1_der()),
            PrivateKeyDer::Sec1(key) => sec1(key.secret_sec1_der()),
            _ => None,
        };
        kind.unwrap_or(Self::Unknown)
    }

    /// The kind of a public key in DER (`SubjectPublicKeyInfo`).
    pub(super) fn of_public(info: &[u8]) -> Self {
        let kind = || {
            let (content, _) = expect(info, SEQUENCE)?;
            let (algorithm, rest) = expect(content, SEQUENCE)?;
            let (key, _) = expect(rest, BITS)?;
            // The first byte counts the unused bits.
            of_algorithm(algorithm, || {
                let (content, _) = expect(key.get(1..)?, SEQUENCE)?;
                Some(bits(expect(content, INTEGER)?.0))
            })
        };
        kind().unwrap_or(Self::Unknown)
    }

    /// Whether TLS can use keys of this kind here.
    #[must_use]
    pub fn is_usable(self) -> bool {
        match self {
            Self::Rsa { bits } => (2048..=4096).contains(&bits),
            Self::Ecdsa { curve } => matches!(curve, "P-256" | "P-384"),
            Self::Ed25519 => true,
            Self::Other(_) | Self::Unknown => false,
        }
    }
}

fn pkcs8(der: &[u8]) -> Option<KeyKind> {
    let (content, _) = expect(der, SEQUENCE)?;
    let (_version, rest) = expect(content, INTEGER)?;
    let (algorithm, rest) = expect(rest, SEQUENCE)?;
    let (key, _) = expect(rest, OCTETS)?;
    of_algorithm(algorithm, || match pkcs1(key)? {
        KeyKind::Rsa { bits } => Some(bits),
        _ => None,
    })
}

/// `RSAPrivateKey` (RFC 8017): a version, then the modulus.
fn pkcs1(der: &[u8]) -> Option<KeyKind> {
    let (content, _) = expect(der, SEQUENCE)?;
    let (_version, rest) = expect(content, INTEGER)?;
    Some(KeyKind::Rsa { bits: bits(expect(rest, INTEGER)?.0) })
}

/// `ECPrivateKey` (RFC 5915): a version, the key, then the curve.
fn sec1(der: &[u8]) -> Option<KeyKind> {
    let (content, _) = expect(der, SEQUENCE)?;
    let (_version, rest) = expect(content, INTEGER)?;
    let (_key, rest) = expect(rest, OCTETS)?;
    let curve = match expect(rest, CURVE) {
        Some((parameters, _)) => self::curve(parameters),
        None => "of a curve that is not named",
    };
    Some(KeyKind::Ecdsa { curve })
}

/// The kind of an `AlgorithmIdentifier`'s content; `rsa_bits` reads the size of an RSA key.
fn of_algorithm(algorithm: &[u8], rsa_bits: impl Fn() -> Option<usize>) -> Option<KeyKind> {
    let (oid, parameters) = expect(algorithm, OID)?;
    Some(match oid {
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01" => KeyKind::Rsa { bits: rsa_bits()? },
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a" => KeyKind::Other("RSA for PSS alone"),
        b"\x2a\x86\x48\xce\x3d\x02\x01" => KeyKind::Ecdsa { curve: curve(parameters) },
        b"\x2a\x86\x48\xce\x38\x04\x01" => KeyKind::Other("DSA"),
        b"\x2b\x65\x6e" => KeyKind::Other("X25519"),
        b"\x2b\x65\x6f" => KeyKind::Other("X448"),
        b"\x2b\x65\x70" => KeyKind::Ed25519,
        b"\x2b\x65\x71" => KeyKind::Other("Ed448"),
        b"\x60\x86\x48\x01\x65\x03\x04\x03\x11" => KeyKind::Other("ML-DSA-44"),
        b"\x60\x86\x48\x01\x65\x03\x04\x03\x12" => KeyKind::Other("ML-DSA-65"),
        b"\x60\x86\x48\x01\x65\x03\x04\x03\x13" => KeyKind::Other("ML-DSA-87"),
        _ => KeyKind::Unknown,
    })
}

fn curve(parameters: &[u8]) -> &'static str {
    match element(parameters) {
        Some(Element { tag: OID, content: oid, .. }) => match oid {
            b"\x2a\x86\x48\xce\x3d\x03\x01\x01" => "P-192",
            b"\x2b\x81\x04\x00\x21" => "P-224",
            b"\x2a\x86\x48\xce\x3d\x03\x01\x07" => "P-256",
            b"\x2b\x81\x04\x00\x22" => "P-384",
            b"\x2b\x81\x04\x00\x23" => "P-521",
            b"\x2b\x81\x04\x00\x0a" => "secp256k1",
            [0x2b, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01, ..] => "of a Brainpool curve",
            _ => "of another curve",
        },
        Some(Element { tag: SEQUENCE, .. }) => "of parameters that are written out",
        _ => "of a curve that is not named",
    }
}
