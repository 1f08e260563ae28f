//! A TLS certificate, its private key, and the DNS names that are its key in the mirror.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use crate::error::check_len;
use crate::host::{HostName, is_label};
use crate::{EventError, UnixMillis, limits};

/// The DNS names of a certificate: lower case, sorted, without duplicates, never empty. They are
/// the key of a certificate in the mirror.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct DomainNames(Arc<[Box<str>]>);

impl DomainNames {
    /// Normalises, sorts and deduplicates the names. A leading `*.` is a wildcard.
    ///
    /// # Errors
    /// [`EventError::Empty`], [`EventError::TooLong`], [`EventError::BadName`].
    pub fn new<I: IntoIterator<Item = S>, S: AsRef<str>>(names: I) -> Result<Self, EventError> {
        let mut set = Vec::new();
        for name in names {
            set.push(check_name(name.as_ref())?.into_boxed_str());
            check_len("the names of a certificate", set.len(), limits::CERTIFICATE_NAMES)?;
        }
        set.sort_unstable();
        set.dedup();
        if set.is_empty() {
            return Err(EventError::Empty { what: "the names of a certificate" });
        }
        Ok(Self(set.into()))
    }

    /// The names, sorted.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// Whether one of the names matches `host`. A wildcard matches exactly one label (RFC 9525,
    /// section 6.3). Names are compared in the form of [`HostName`].
    #[must_use]
    pub fn cover(&self, host: &str) -> bool {
        let Some(host) = HostName::new(host) else { return false };
        self.iter().any(|name| match name.strip_prefix("*.") {
            Some(suffix) => host.parent() == Some(suffix),
            None => name == host.as_str(),
        })
    }
}

/// Checks one name, and returns it in lower case without a final dot.
fn check_name(name: &str) -> Result<String, EventError> {
    let bad = |why| EventError::BadName { name: name.chars().take(80).collect(), why };
    let plain = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    check_len("a name of a certificate", plain.len(), limits::NAME_LEN)?;
    let labels = plain.strip_prefix("*.").unwrap_or(&plain);
    for label in labels.split('.') {
        if label.is_empty() || label.len() > 63 {
            return Err(bad("each label has 1 to 63 characters"));
        }
        if !is_label(label) {
            return Err(bad("letters, digits and hyphens only; use the A-label for other scripts"));
        }
    }
    Ok(plain)
}

impl fmt::Display for DomainNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for name in self.iter().take(4) {
            write!(f, "{separator}{name}")?;
            separator = ", ";
        }
        match self.0.len().checked_sub(4) {
            Some(more) if more > 0 => write!(f, " and {more} more"),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for DomainNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The SHA-256 digest of a leaf certificate in DER.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CertificateFingerprint(pub [u8; 32]);

impl fmt::Display for CertificateFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for CertificateFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for CertificateFingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A private key in DER (PKCS #8, SEC 1 or PKCS #1). The bytes are wiped on drop. `Debug` does not
/// show them, and the type does not implement `Serialize`.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKey(Arc<Zeroizing<Vec<u8>>>);

impl PrivateKey {
    /// Takes DER bytes without parsing them; only their length is checked.
    ///
    /// # Errors
    /// [`EventError::TooLong`] past [`limits::DER_LEN`], [`EventError::Empty`].
    pub fn from_der(der: Zeroizing<Vec<u8>>) -> Result<Self, EventError> {
        if der.is_empty() {
            return Err(EventError::Empty { what: "the private key" });
        }
        check_len("the private key", der.len(), limits::DER_LEN)?;
        Ok(Self(Arc::new(der)))
    }

    /// The DER bytes. Copies must go to memory that is wiped.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

/// The fields of a [`Certificate`], as [`Certificate::new`] takes them.
#[derive(Debug, Clone)]
pub struct CertificateParts {
    /// The DNS names of the leaf.
    pub names: DomainNames,
    /// The chain in DER, leaf first.
    pub chain: Vec<Bytes>,
    /// The leaf's private key.
    pub key: PrivateKey,
    /// The leaf's `notBefore`.
    pub not_before: UnixMillis,
    /// The leaf's `notAfter`.
    pub not_after: UnixMillis,
    /// The leaf's SHA-256 digest.
    pub fingerprint: CertificateFingerprint,
}

/// A TLS certificate with its private key, as the mirror replicates it.
///
/// This type checks sizes only. `mailmesh-state` checks on entry that the chain parses, that the
/// key matches, and that names and dates are those of the leaf.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Certificate {
    names: DomainNames,
    #[serde(skip)]
    chain: Vec<Bytes>,
    #[serde(skip)]
    key: PrivateKey,
    not_before: UnixMillis,
    not_after: UnixMillis,
    fingerprint: CertificateFingerprint,
}

impl Certificate {
    /// Checks the sizes and builds the certificate.
    ///
    /// # Errors
    /// [`EventError::Empty`] for an empty chain; [`EventError::TooLong`] past
    /// [`limits::CHAIN_CERTIFICATES`] certificates, or past [`limits::DER_LEN`] bytes in one.
    pub fn new(parts: CertificateParts) -> Result<Self, EventError> {
        let CertificateParts { names, chain, key, not_before, not_after, fingerprint } = parts;
        if chain.is_empty() {
            return Err(EventError::Empty { what: "the certificate chain" });
        }
        check_len("the certificate chain", chain.len(), limits::CHAIN_CERTIFICATES)?;
        for certificate in &chain {
            check_len("a certificate of the chain", certificate.len(), limits::DER_LEN)?;
        }
        Ok(Self { names, chain, key, not_before, not_after, fingerprint })
    }

    /// The DNS names of the leaf; the key in the mirror.
    #[must_use]
    pub fn names(&self) -> &DomainNames {
        &self.names
    }

    /// The chain in DER, leaf first.
    #[must_use]
    pub fn chain(&self) -> &[Bytes] {
        &self.chain
    }

    /// The leaf's private key.
    #[must_use]
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// The leaf's `notBefore`.
    #[must_use]
    pub fn not_before(&self) -> UnixMillis {
        self.not_before
    }

    /// The leaf's `notAfter`.
    #[must_use]
    pub fn not_after(&self) -> UnixMillis {
        self.not_after
    }

    /// The leaf's SHA-256 digest.
    #[must_use]
    pub fn fingerprint(&self) -> CertificateFingerprint {
        self.fingerprint
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fingerprint = self.fingerprint.to_string();
        write!(f, "{} (SHA-256 {}..., until {})", self.names, &fingerprint[..16], self.not_after)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_in_other_notations_are_one_set() {
        let a = DomainNames::new(["MX.example.org.", "example.org", "example.org"]).unwrap();
        let b = DomainNames::new(["example.org", "mx.example.org"]).unwrap();
        assert_eq!(a, b);
        assert!(a.cover("Example.ORG") && !a.cover("imap.example.org"));
    }

    #[test]
    fn a_wildcard_matches_exactly_one_label() {
        let names = DomainNames::new(["*.example.org"]).unwrap();
        assert!(names.cover("mx.example.org"));
        assert!(!names.cover("example.org") && !names.cover("a.mx.example.org"));
        assert!(!names.cover(".example.org") && !names.cover("a b.example.org"));
        assert!(!DomainNames::new(["*.0.2.1"]).unwrap().cover("192.0.2.1"));
    }

    #[test]
    fn host_names_are_compared_as_in_dns() {
        let names = DomainNames::new(["xn--bcher-kva.example", "*.xn--bcher-kva.example"]).unwrap();
        for host in ["bücher.example", "BÜCHER.Example.", "mx.bücher.example"] {
            assert!(names.cover(host), "{host}");
        }
        assert!(!names.cover("a.mx.bücher.example"));
        assert!(!names.cover("bücher.example.."));
    }

    #[test]
    fn bad_names_are_refused_with_the_reason() {
        for (name, why) in [("", "1 to 63"), ("a..b", "1 to 63"), ("bücher.example", "A-label")] {
            let error = DomainNames::new([name]).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        assert!(DomainNames::new(Vec::<String>::new()).is_err());
    }

    #[test]
    fn debug_and_json_do_not_show_a_private_key() {
        let key = PrivateKey::from_der(Zeroizing::new(vec![0xAB; 40])).unwrap();
        assert_eq!(format!("{key:?}"), "PrivateKey(..)");
        let certificate = Certificate::new(CertificateParts {
            names: DomainNames::new(["example.org"]).unwrap(),
            chain: vec![Bytes::from_static(b"der")],
            key,
            not_before: UnixMillis(0),
            not_after: UnixMillis(1),
            fingerprint: CertificateFingerprint([7; 32]),
        })
        .unwrap();
        let shown = format!("{certificate:?} {}", serde_json::to_string(&certificate).unwrap());
        assert!(!shown.contains("171") && !shown.to_lowercase().contains("abab"), "{shown}");
    }
}
