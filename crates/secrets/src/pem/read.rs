//! Reads the certificates and keys of a text, and finds the fault of a text without any.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::data_kind::{self, Label};
use super::der::element;
use super::error::{Expected, PemError};
use super::sections::{Section, find, sections};
use super::text::Text;
use super::warning::PemWarning;

/// A private key of a text.
pub(super) struct FoundKey {
    /// The line where the key begins, from 1.
    pub(super) line: usize,
    pub(super) key: Zeroizing<PrivateKeyDer<'static>>,
}

/// The items of a text, and warnings about corrections that were needed to read them.
pub(super) struct Read<T> {
    pub(super) items: T,
    pub(super) warnings: Vec<PemWarning>,
}

/// Reads at most `limit` certificates of a text, in their order, and skips other sections.
pub(super) fn certificates(
    text: &[u8],
    limit: usize,
) -> Result<Read<Vec<CertificateDer<'static>>>, PemError> {
    let Sections { found, encoding } = Sections::of(text)?;
    let mut items = Vec::new();
    let mut used = Vec::new();
    for section in &found {
        let der = match section.label {
            Label::Certificate => section.der()?,
            Label::TrustedCertificate => without_trust(section.der()?),
            _ => continue,
        };
        // A key labelled as a certificate is refused, because copies of certificates are not wiped.
        if PrivateKeyDer::try_from(der).is_ok() {
            let (line, found) = (section.line, data_kind::PRIVATE_KEY);
            return Err(PemError::Other { line, found, expected: Expected::Certificates });
        }
        items.push(CertificateDer::from(der.to_vec()));
        used.push(section);
        if items.len() > limit {
            return Err(PemError::TooMany { limit });
        }
    }
    if items.is_empty() {
        return Err(diagnose(text, &found, Expected::Certificates));
    }
    Ok(Read { items, warnings: correction_warnings(Expected::Certificates, encoding, &used) })
}

/// Reads the private keys of a text, in their order.
pub(super) fn keys(text: &[u8]) -> Result<Read<Vec<FoundKey>>, PemError> {
    let Sections { found, encoding } = Sections::of(text)?;
    let mut items = Vec::new();
    let mut used = Vec::new();
    let mut error = None;
    for section in found.iter().filter(|section| section.label == Label::PrivateKey) {
        let parsed = match section.is_encrypted {
            true => Err(PemError::Encrypted { line: section.line }),
            false => section.der().and_then(|der| {
                // The content determines the format; labels are often wrong.
                let key = PrivateKeyDer::try_from(der);
                let key = key.map_err(|_| not_a_key(section.line, der))?;
                Ok(Zeroizing::new(key.clone_key()))
            }),
        };
        match parsed {
            Ok(key) => {
                items.push(FoundKey { line: section.line, key });
                used.push(section);
            }
            Err(found) => error = error.or(Some(found)),
        }
    }
    match (items.is_empty(), error) {
        (false, _) => {
            Ok(Read { items, warnings: correction_warnings(Expected::PrivateKey, encoding, &used) })
        }
        (true, Some(error)) => Err(error),
        (true, None) => Err(diagnose(text, &found, Expected::PrivateKey)),
    }
}

/// The sections of a text.
struct Sections {
    found: Vec<Section>,
    encoding: Encoding,
}

/// The uncommon properties of a text.
#[derive(Clone, Copy)]
struct Encoding {
    is_utf16: bool,
    is_quoted: bool,
}

impl Sections {
    fn of(text: &[u8]) -> Result<Self, PemError> {
        let text = Text::of(text)?;
        let encoding = Encoding { is_utf16: text.is_utf16, is_quoted: text.is_quoted };
        Ok(Self { found: sections(&text.bytes)?, encoding })
    }
}

fn correction_warnings(input: Expected, encoding: Encoding, used: &[&Section]) -> Vec<PemWarning> {
    let joined = used.iter().find(|section| section.is_joined);
    let joined = joined.map(|section| PemWarning::NewlinesRestored { input, line: section.line });
    let utf16 = encoding.is_utf16.then_some(PemWarning::Utf16 { input });
    let quoted = encoding.is_quoted.then_some(PemWarning::Quoted { input });
    utf16.into_iter().chain(quoted).chain(joined).collect()
}

/// A certificate without the trust settings that OpenSSL appends.
fn without_trust(der: &[u8]) -> &[u8] {
    element(der).map_or(der, |found| &der[..der.len() - found.rest.len()])
}

/// The error for a section that is labelled as a key but is not a key.
fn not_a_key(line: usize, der: &[u8]) -> PemError {
    match data_kind::of_der(der) {
        Some(found) if found == data_kind::ENCRYPTED_DER => PemError::Encrypted { line },
        Some(found) => PemError::Other { line, found, expected: Expected::PrivateKey },
        None => PemError::NotAKey,
    }
}

/// The error for a text without a section of the expected kind.
fn diagnose(text: &[u8], found: &[Section], expected: Expected) -> PemError {
    let key = found.iter().find(|section| section.label == Label::EncryptedKey);
    if let (Some(section), Expected::PrivateKey) = (key, expected) {
        return PemError::Encrypted { line: section.line };
    }
    // Any other section is a better hint at the operator's mistake than parameters are.
    let is_no_parameters = |section: &&Section| section.label.found() != data_kind::PARAMETERS;
    if let Some(section) = found.iter().find(is_no_parameters).or(found.first()) {
        return PemError::Other { line: section.line, found: section.label.found(), expected };
    }
    if ["BEGIN%20", "BEGIN+CERT", "BEGIN+PRIV"]
        .iter()
        .any(|at| find(text, at.as_bytes(), 0).is_some())
    {
        return PemError::PercentEncoded;
    }
    base64_alone(text, expected).unwrap_or(PemError::NoBegin { expected })
}

/// The error for a text that is only base64; `None` for other texts.
fn base64_alone(text: &[u8], expected: Expected) -> Option<PemError> {
    // `-----BEGIN ` in base64, as in a secret of Kubernetes.
    if find(text, b"LS0tLS1CRUdJTi", 0).is_some() {
        return Some(PemError::Base64OfPem);
    }
    let packed = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace());
    let packed = Zeroizing::new(packed.collect::<Vec<u8>>());
    let decoded = Zeroizing::new(STANDARD.decode(&*packed).ok()?);
    let found = data_kind::of_der(&decoded)?;
    Some(PemError::Base64Alone { found, expected })
}
