//! Checks a certificate before it enters the mirror: the chain parses, the key is
//! the leaf's, names and dates are the leaf's own.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mailmesh_events::{
    Certificate, CertificateParts, DomainNames, Fingerprint, PrivateKey, UnixMillis, limits,
};
use mailmesh_secrets::pem::{self, PemError};
use ring::digest::{SHA256, digest};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use zeroize::Zeroizing;

use crate::{Material, StateError};

/// The certificate of PEM texts: the chain, leaf first, and the leaf's key.
///
/// # Errors
/// [`StateError::Parse`], [`StateError::KeyMismatch`], [`StateError::NoNames`],
/// [`StateError::Event`] past [`limits`].
pub fn certificate_from_pem(chain: &[u8], key: &[u8]) -> Result<Certificate, StateError> {
    let chain =
        pem::certificates(chain, limits::CHAIN).map_err(|error| parse(Material::Chain, error))?;
    let key = pem::private_key(key).map_err(|error| parse(Material::PrivateKey, error))?;
    let chain = chain.into_iter().map(|der| der.to_vec().into()).collect();
    certificate_from_der(chain, Zeroizing::new(key.secret_der().to_vec()))
}

/// A certificate as PEM texts, as servers read them. The key's is wiped when it goes.
pub struct CertificatePem {
    /// The chain, leaf first.
    pub chain: String,
    /// The leaf's private key.
    pub key: Zeroizing<String>,
}

/// Not the key.
impl fmt::Debug for CertificatePem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificatePem").field("chain", &self.chain).finish_non_exhaustive()
    }
}

/// A certificate as PEM (RFC 7468). Its DER is in [`Certificate::chain`] and
/// [`Certificate::key`].
///
/// # Errors
/// [`StateError::Parse`] if the key is of no sort there is, which no certificate of
/// [`certificate_from_der`] has.
pub fn certificate_to_pem(certificate: &Certificate) -> Result<CertificatePem, StateError> {
    let key = certificate.key().der();
    let tag = match PrivateKeyDer::try_from(key) {
        Ok(PrivateKeyDer::Pkcs8(_)) => "PRIVATE KEY",
        Ok(PrivateKeyDer::Sec1(_)) => "EC PRIVATE KEY",
        Ok(PrivateKeyDer::Pkcs1(_)) => "RSA PRIVATE KEY",
        Ok(_) | Err(_) => return Err(parse(Material::PrivateKey, PemError::NotAKey)),
    };
    let mut chain = String::new();
    certificate.chain().iter().for_each(|der| write_pem(&mut chain, "CERTIFICATE", der));
    // As long as it gets, so that no copy of less is left behind.
    let mut text = Zeroizing::new(String::with_capacity(key.len() * 3 / 2 + 128));
    write_pem(&mut text, tag, key);
    Ok(CertificatePem { chain, key: text })
}

/// Writes one PEM text: 64 characters a line, as of 48 bytes.
fn write_pem(out: &mut String, tag: &str, der: &[u8]) {
    out.extend(["-----BEGIN ", tag, "-----\n"]);
    for line in der.chunks(48) {
        STANDARD.encode_string(line, out);
        out.push('\n');
    }
    out.extend(["-----END ", tag, "-----\n"]);
}

/// The certificate of DER bytes: the chain, leaf first, and the leaf's key
/// (PKCS #8, SEC 1 or PKCS #1).
///
/// # Errors
/// As [`certificate_from_pem`].
pub fn certificate_from_der(
    chain: Vec<bytes::Bytes>,
    key: Zeroizing<Vec<u8>>,
) -> Result<Certificate, StateError> {
    let leaf = chain
        .first()
        .ok_or_else(|| StateError::Parse { what: Material::Chain, why: "it is empty".into() })?;
    let facts = Facts::of(leaf)?;
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

/// Checks one that came from elsewhere: what it says of itself is the leaf's own.
pub(crate) fn verify(certificate: &Certificate) -> Result<(), StateError> {
    let leaf = certificate.chain().first().ok_or(StateError::NoNames)?;
    let facts = Facts::of(leaf)?;
    let honest = facts.names == *certificate.names()
        && facts.not_before == certificate.not_before()
        && facts.not_after == certificate.not_after()
        && facts.fingerprint == certificate.fingerprint();
    if !honest {
        let why = "names, dates or fingerprint are not the leaf's".to_owned();
        return Err(StateError::Parse { what: Material::Certificate, why });
    }
    check_key(certificate)
}

/// What a leaf says of itself.
struct Facts {
    names: DomainNames,
    not_before: UnixMillis,
    not_after: UnixMillis,
    fingerprint: Fingerprint,
}

impl Facts {
    fn of(leaf: &[u8]) -> Result<Self, StateError> {
        let what = Material::Certificate;
        // What the parser says of bytes that are none is not shown: they may be those of a key.
        let not_one = || parse(what, PemError::NotACertificate { number: 1 });
        let (rest, parsed) = X509Certificate::from_der(leaf).map_err(|_| not_one())?;
        if !rest.is_empty() {
            return Err(StateError::Parse { what, why: "bytes follow it".into() });
        }
        let alternative = parsed.subject_alternative_name().map_err(|_| not_one())?;
        let names = alternative.iter().flat_map(|extension| &extension.value.general_names);
        let names: Vec<&str> = names
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some(*name),
                _ => None,
            })
            .collect();
        if names.is_empty() {
            return Err(StateError::NoNames);
        }
        let millis = |seconds: i64| UnixMillis(u64::try_from(seconds).unwrap_or(0) * 1000);
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(digest(&SHA256, leaf).as_ref());
        Ok(Self {
            names: DomainNames::new(names)?,
            not_before: millis(parsed.validity().not_before.timestamp()),
            not_after: millis(parsed.validity().not_after.timestamp()),
            fingerprint: Fingerprint(fingerprint),
        })
    }
}

fn check_key(certificate: &Certificate) -> Result<(), StateError> {
    let chain = certificate.chain().iter().map(|der| CertificateDer::from(der.to_vec())).collect();
    let key = PrivateKeyDer::try_from(certificate.key().der())
        .map_err(|_| parse(Material::PrivateKey, PemError::NotAKey))?
        .clone_key();
    pem::check_pair(chain, key).map_err(|error| match error {
        PemError::Mismatch => StateError::KeyMismatch { names: certificate.names().clone() },
        PemError::NotACertificate { .. } => parse(Material::Certificate, error),
        _ => parse(Material::PrivateKey, error),
    })
}

fn parse(what: Material, error: PemError) -> StateError {
    StateError::Parse { what, why: error.to_string() }
}
