//! Checks certificates before they enter the mirror: the chain parses, the key is that of the leaf,
//! and names, dates and fingerprint are those of the leaf.

use std::fmt;

use mailmesh_events::{
    Certificate, CertificateFingerprint, CertificateParts, DomainNames, PrivateKey, UnixMillis,
    limits,
};
use mailmesh_secrets::pem::{
    self, CertificateInfo, Expected, Identity, KeyKind, PemError, PemWarning,
};
use ring::digest::{SHA256, digest};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use crate::{Material, StateError};

/// Maximum number of certificates that are parsed to name one in an error.
const MAX_SCANNED_CERTIFICATES: usize = 512;
/// Maximum number of names that a message repeats.
const MAX_SHOWN_NAMES: usize = 8;

/// Makes a certificate from PEM texts: the chain and the leaf's private key, as
/// [`read_certificate`] reads them.
///
/// # Errors
/// [`StateError::Parse`], [`StateError::KeyMismatch`], [`StateError::NoNames`],
/// [`StateError::Event`] past [`limits`].
pub fn certificate_from_pem(chain: &[u8], key: &[u8]) -> Result<Certificate, StateError> {
    certificate_from_identity(&read_identity(chain, key, None)?)
}

/// A certificate as read, with its details and warnings.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadCertificate {
    /// The certificate.
    pub certificate: Certificate,
    /// Fields to show to operators.
    pub details: CertificateDetails,
    /// Repaired and omitted parts, and problems that clients will notice.
    pub warnings: Vec<PemWarning>,
}

/// Fields of a certificate besides names, dates and fingerprint.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateDetails {
    /// The issuer, like `CN=Example Intermediate`; printable and bounded in length.
    pub issuer: String,
    /// The kind of the public key.
    pub key: KeyKind,
    /// Number of certificates in the chain, leaf included.
    pub chain_len: usize,
}

impl TryFrom<&Certificate> for CertificateDetails {
    type Error = StateError;

    /// Reads the details of a certificate.
    ///
    /// # Errors
    /// [`StateError::Parse`] if the leaf is not X.509, which does not happen for a certificate from
    /// [`certificate_from_der`].
    fn try_from(certificate: &Certificate) -> Result<Self, StateError> {
        let leaf = certificate.chain().first().map_or(&[][..], |leaf| leaf);
        let facts = CertificateInfo::from_der(leaf)
            .map_err(|error| parse_error(Material::Certificate, error))?;
        let chain_len = certificate.chain().len();
        Ok(Self { issuer: facts.issuer, key: facts.key, chain_len })
    }
}

/// Reads a certificate from PEM texts: the chain in any order, and the leaf's private key. Both may
/// be the same text. The leaf is the certificate that belongs to the key; of several, the first
/// that is valid at `now`. Warnings report what was repaired or left out, and which certificates
/// are expired or not valid yet at `now`.
///
/// # Errors
/// As [`certificate_from_pem`].
pub fn read_certificate(
    chain: &[u8],
    key: &[u8],
    now: UnixMillis,
) -> Result<ReadCertificate, StateError> {
    let now = i64::try_from(now.0 / 1000).unwrap_or(i64::MAX);
    let identity = read_identity(chain, key, Some(now))?;
    let dates = || identity.date_warnings(now);
    let certificate =
        certificate_from_identity(&identity).map_err(|error| match (error, dates().next()) {
            (StateError::NoNames { reason }, Some(expired @ PemWarning::LeafExpired { .. })) => {
                StateError::NoNames { reason: and_expired(&reason, &expired) }
            }
            (error, _) => error,
        })?;
    let details = CertificateDetails::try_from(&certificate)?;
    let leaf = certificate.chain().first().and_then(|leaf| CertificateInfo::from_der(leaf).ok());
    let odd = leaf.and_then(|facts| not_served(&facts));
    let odd = odd.map(|names| PemWarning::NamesNotServed { names });
    let warnings = identity.warnings.iter().cloned().chain(odd).chain(dates()).collect();
    Ok(ReadCertificate { certificate, details, warnings })
}

fn read_identity(chain: &[u8], key: &[u8], now: Option<i64>) -> Result<Identity, StateError> {
    pem::identity(chain, key, limits::CHAIN_CERTIFICATES, now).map_err(|error| {
        match (error.error, error.input) {
            (PemError::Mismatch, _) => key_mismatch(chain),
            (error @ PemError::Refused { number, .. }, Expected::Certificates) => {
                refused_leaf(chain, number, error, now)
            }
            (error, Expected::Certificates) => parse_error(Material::Chain, error),
            (error, _) => parse_error(Material::PrivateKey, error),
        }
    })
}

/// The error for a leaf that TLS refuses, `number` in the text from 1. A leaf without DNS names is
/// reported as such: TLS refuses certificates of version 1, which have no `subjectAltName`, and the
/// operator has to request the names.
fn refused_leaf(chain: &[u8], number: usize, error: PemError, now: Option<i64>) -> StateError {
    let certificates = pem::certificates(chain, MAX_SCANNED_CERTIFICATES).unwrap_or_default();
    let leaf = number.checked_sub(1).and_then(|index| certificates.get(index));
    let facts = leaf.and_then(|der| CertificateInfo::from_der(der).ok());
    let Some(facts) = facts.filter(|facts| facts.dns_names.is_empty()) else {
        return parse_error(Material::Chain, error);
    };
    let end = facts.not_after;
    let is_over = now.is_some_and(|now| end <= now || end <= facts.not_before);
    let reason = no_names_reason(&facts);
    StateError::NoNames {
        reason: if is_over {
            and_expired(&reason, &PemWarning::LeafExpired { end })
        } else {
            reason
        },
    }
}

/// The operator should ask the authority only once, so both problems are reported.
fn and_expired(reason: &str, expired: &PemWarning) -> String {
    format!("{reason}; in addition, {expired}")
}

/// The error for a key that belongs to no certificate of the chain. It names the first certificate
/// that is not an authority's.
fn key_mismatch(chain: &[u8]) -> StateError {
    let certificates = pem::certificates(chain, MAX_SCANNED_CERTIFICATES).unwrap_or_default();
    let mut facts = certificates.iter().filter_map(|der| CertificateInfo::from_der(der).ok());
    let leaf = facts.find(|facts| !facts.is_authority && !facts.dns_names.is_empty());
    match leaf.and_then(|facts| served(&facts).ok()) {
        Some(names) => StateError::KeyMismatch { names },
        None => parse_error(Material::PrivateKey, PemError::Mismatch),
    }
}

/// Refuses a certificate that is the one in place with fewer issuers.
///
/// # Errors
/// [`StateError::FewerIssuers`].
pub(crate) fn check_issuers(current: &Certificate, given: &Certificate) -> Result<(), StateError> {
    let (before, after) = (current.chain(), given.chain());
    if current.fingerprint() != given.fingerprint() || after.len() >= before.len() {
        return Ok(());
    }
    let subject = |der: &bytes::Bytes| {
        CertificateInfo::from_der(der)
            .map_or_else(|_| "an issuer".to_owned(), |facts| facts.subject)
    };
    let lost: Vec<String> = before.iter().filter(|der| !after.contains(der)).map(subject).collect();
    Err(StateError::FewerIssuers {
        names: given.names().clone(),
        current: before.len(),
        given: after.len(),
        lost: lost.join(", "),
    })
}

fn certificate_from_identity(identity: &Identity) -> Result<Certificate, StateError> {
    let chain = identity.chain.iter().map(|der| der.to_vec().into()).collect();
    certificate_from_der(chain, Zeroizing::new(identity.key.secret_der().to_vec()))
}

/// A certificate as PEM texts, as servers read them. The key is wiped on drop.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificatePem {
    /// The chain, leaf first.
    pub chain: String,
    /// The leaf's private key.
    pub key: Zeroizing<String>,
}

/// Leaves out the private key.
impl fmt::Debug for CertificatePem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificatePem").field("chain", &self.chain).finish_non_exhaustive()
    }
}

/// Converts a certificate to PEM (RFC 7468). The DER is in [`Certificate::chain`] and
/// [`Certificate::key`].
///
/// # Errors
/// [`StateError::Parse`] if the key is of an unknown kind, which does not happen for a certificate
/// from [`certificate_from_der`].
pub fn certificate_to_pem(certificate: &Certificate) -> Result<CertificatePem, StateError> {
    let not_a_key = |error| parse_error(Material::PrivateKey, error);
    let key = PrivateKeyDer::try_from(certificate.key().der())
        .map_err(|_| not_a_key(PemError::NotAKey))?;
    Ok(CertificatePem {
        chain: pem::certificates_to_pem(certificate.chain()),
        key: pem::key_to_pem(&key).map_err(not_a_key)?,
    })
}

/// Makes a certificate from DER bytes: the chain, leaf first, and the leaf's private key (PKCS #8,
/// SEC 1 or PKCS #1).
///
/// # Errors
/// As [`certificate_from_pem`].
pub fn certificate_from_der(
    chain: Vec<bytes::Bytes>,
    key: Zeroizing<Vec<u8>>,
) -> Result<Certificate, StateError> {
    let leaf = chain.first().ok_or_else(empty_chain)?;
    let facts = LeafFacts::of(leaf)?;
    let certificate = Certificate::new(CertificateParts {
        names: facts.names,
        chain,
        key: PrivateKey::from_der(key)?,
        not_before: facts.not_before,
        not_after: facts.not_after,
        fingerprint: facts.fingerprint,
    })?;
    check_key(&certificate)?;
    Ok(certificate)
}

/// Checks a certificate from another node: its fields must be those of its leaf.
pub(crate) fn verify(certificate: &Certificate) -> Result<(), StateError> {
    let leaf = certificate.chain().first().ok_or_else(empty_chain)?;
    let facts = LeafFacts::of(leaf)?;
    let is_consistent = facts.names == *certificate.names()
        && facts.not_before == certificate.not_before()
        && facts.not_after == certificate.not_after()
        && facts.fingerprint == certificate.fingerprint();
    if !is_consistent {
        let reason = "names, dates or fingerprint are not the leaf's".to_owned();
        return Err(StateError::Parse { part: Material::Certificate, reason });
    }
    check_key(certificate)
}

/// The fields of a leaf that a certificate repeats.
struct LeafFacts {
    names: DomainNames,
    not_before: UnixMillis,
    not_after: UnixMillis,
    fingerprint: CertificateFingerprint,
}

impl LeafFacts {
    fn of(leaf: &[u8]) -> Result<Self, StateError> {
        let facts = CertificateInfo::from_der(leaf)
            .map_err(|error| parse_error(Material::Certificate, error))?;
        if facts.dns_names.is_empty() {
            return Err(StateError::NoNames { reason: no_names_reason(&facts) });
        }
        let millis = |seconds: i64| UnixMillis(u64::try_from(seconds).unwrap_or(0) * 1000);
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(digest(&SHA256, leaf).as_ref());
        Ok(Self {
            names: served(&facts)?,
            not_before: millis(facts.not_before),
            not_after: millis(facts.not_after),
            fingerprint: CertificateFingerprint(fingerprint),
        })
    }
}

/// The DNS names of a certificate; other names are left out, because no client asks for them.
fn served(facts: &CertificateInfo) -> Result<DomainNames, StateError> {
    let is_served = |name: &&String| DomainNames::new([name]).is_ok();
    let names: Vec<&String> = facts.dns_names.iter().filter(is_served).collect();
    if names.is_empty() {
        let odd = not_served(facts).unwrap_or_default();
        let reason = format!(
            "none of its names is a DNS name ({odd}): letters, digits and hyphens only, other \
             scripts as A-labels (xn--...); ask the authority for one with such names"
        );
        return Err(StateError::NoNames { reason });
    }
    match DomainNames::new(&names) {
        Ok(names) => Ok(names),
        Err(_) => {
            Err(StateError::TooManyNames { count: names.len(), max: limits::CERTIFICATE_NAMES })
        }
    }
}

/// The first names of a certificate that are not DNS names, in a form that may be shown.
fn not_served(facts: &CertificateInfo) -> Option<String> {
    let odd = facts.dns_names.iter().filter(|name| DomainNames::new([name]).is_err());
    let odd = odd.map(|name| name.chars().take(80).flat_map(char::escape_default).collect());
    let all: Vec<String> = odd.chain(facts.other_names.iter().cloned()).collect();
    let first = all.iter().take(MAX_SHOWN_NAMES).cloned().collect::<Vec<_>>().join(", ");
    match all.len() {
        0 => None,
        some if some > MAX_SHOWN_NAMES => {
            Some(format!("{first} and {} more", some - MAX_SHOWN_NAMES))
        }
        _ => Some(first),
    }
}

fn check_key(certificate: &Certificate) -> Result<(), StateError> {
    let chain = certificate.chain().iter().map(|der| CertificateDer::from(der.to_vec())).collect();
    let key = PrivateKeyDer::try_from(certificate.key().der())
        .map_err(|_| parse_error(Material::PrivateKey, PemError::NotAKey))?
        .clone_key();
    pem::check_pair(chain, key).map_err(|error| match error {
        PemError::Mismatch => StateError::KeyMismatch { names: certificate.names().clone() },
        PemError::NotACertificate { .. } | PemError::Refused { .. } => {
            parse_error(Material::Certificate, error)
        }
        _ => parse_error(Material::PrivateKey, error),
    })
}

fn empty_chain() -> StateError {
    parse_error(Material::Chain, PemError::Empty)
}

/// Why no server can present a certificate without a DNS name, and what to request instead.
fn no_names_reason(facts: &CertificateInfo) -> String {
    const ADVICE: &str = "ask the authority for a certificate with";
    match (&facts.common_name, facts.addresses.first()) {
        (Some(name), None) => format!(
            "its name is only in the common name (CN={name}), where no client looks; {ADVICE} the \
             subjectAltName DNS:{name}"
        ),
        (_, Some(address)) => format!(
            "it names an address ({address}) but no DNS name, and a client asks for a certificate \
             by name; {ADVICE} the name of the host in its subjectAltName, \
             like DNS:mail.example.org"
        ),
        (None, None) => {
            format!(
                "it names no host; {ADVICE} its names in the subjectAltName, like \
                 DNS:mail.example.org"
            )
        }
    }
}

fn parse_error(part: Material, error: PemError) -> StateError {
    StateError::Parse { part, reason: error.to_string() }
}
