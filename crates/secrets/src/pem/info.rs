//! The fields of a certificate that operators see.

use std::net::IpAddr;

use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use x509_parser::x509::X509Name;

use super::error::PemError;
use super::key_kind::KeyKind;

/// Longest name that is shown, in characters; a longer one is cut.
const MAX_SHOWN_CHARS: usize = 160;

/// The fields of a certificate that operators see. Texts are printable and bounded, except
/// [`dns_names`], which are unchanged.
///
/// [`dns_names`]: Self::dns_names
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateInfo {
    /// The DNS names of the `subjectAltName`.
    pub dns_names: Vec<String>,
    /// The IP addresses of the `subjectAltName`.
    pub addresses: Vec<IpAddr>,
    /// The readable names of other kinds in the `subjectAltName`, such as `URI:` and `email:`, in a
    /// form that may be shown.
    pub other_names: Vec<String>,
    /// The number of names in the `subjectAltName` whose encoding is invalid.
    pub unreadable_names: usize,
    /// The last common name (CN) of the subject.
    pub common_name: Option<String>,
    /// The subject, like `O=Example, CN=mail.example.org`. If it is empty, the first DNS name or
    /// address.
    pub subject: String,
    /// The issuer, in the same notation.
    pub issuer: String,
    /// The kind of the public key.
    pub key: KeyKind,
    /// `notBefore`, in seconds since 1970.
    pub not_before: i64,
    /// `notAfter`, in seconds since 1970.
    pub not_after: i64,
    /// Whether the certificate is an authority (`CA:TRUE`).
    pub is_authority: bool,
    /// Whether subject and issuer are equal.
    pub is_self_issued: bool,
    /// Whether TLS clients take it as a server's: `extendedKeyUsage` is absent or has `serverAuth`.
    pub is_for_servers: bool,
    /// Whether its key may sign handshakes: `keyUsage` is absent or has `digitalSignature`.
    pub may_sign: bool,
}

impl CertificateInfo {
    /// Reads the fields of a certificate in DER.
    ///
    /// # Errors
    /// [`PemError::NotACertificate`], also if bytes follow the certificate or its `subjectAltName`
    /// cannot be parsed.
    pub fn from_der(der: &[u8]) -> Result<Self, PemError> {
        // The parser's error is dropped: it may contain the bytes, which may be those of a key.
        let invalid = || PemError::NotACertificate { number: 1 };
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|_| invalid())?;
        if !rest.is_empty() {
            return Err(invalid());
        }
        Self::of_parsed(&parsed).ok_or_else(invalid)
    }

    pub(super) fn of_parsed(parsed: &X509Certificate<'_>) -> Option<Self> {
        let alternative = parsed.subject_alternative_name().ok()?;
        let (mut dns_names, mut addresses) = (Vec::new(), Vec::new());
        let (mut other_names, mut unreadable_names) = (Vec::new(), 0);
        for name in alternative.iter().flat_map(|extension| &extension.value.general_names) {
            match name {
                GeneralName::DNSName(name) => dns_names.push((*name).to_owned()),
                GeneralName::IPAddress(bytes) => addresses.extend(address(bytes)),
                GeneralName::RFC822Name(name) => {
                    other_names.push(printable(&format!("email:{name}")));
                }
                GeneralName::URI(name) => other_names.push(printable(&format!("URI:{name}"))),
                GeneralName::Invalid(..) => unreadable_names += 1,
                _ => {}
            }
        }
        let common_name = parsed.subject().iter_common_name().last();
        let common_name = common_name.and_then(|name| name.as_str().ok()).map(printable);
        let mut subject = name_text(parsed.subject());
        if subject.is_empty() {
            let name = dns_names.first().cloned();
            let name = name.or_else(|| addresses.first().map(ToString::to_string));
            subject = name.map_or_else(|| "a certificate without a name".into(), |n| printable(&n));
        }
        let constraints = parsed.basic_constraints().ok().flatten();
        let extended = parsed.extended_key_usage().ok().flatten();
        let usage = parsed.key_usage().ok().flatten();
        Some(Self {
            dns_names,
            addresses,
            other_names,
            unreadable_names,
            common_name,
            subject,
            issuer: name_text(parsed.issuer()),
            key: KeyKind::of_public(parsed.public_key().raw),
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
            is_authority: constraints.is_some_and(|constraints| constraints.value.ca),
            is_self_issued: parsed.subject().as_raw() == parsed.issuer().as_raw(),
            is_for_servers: extended.is_none_or(|extended| extended.value.server_auth),
            may_sign: usage.is_none_or(|usage| usage.value.digital_signature()),
        })
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        _ => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
    }
}

fn name_text(name: &X509Name<'_>) -> String {
    printable(&name.to_string())
}

/// A bounded text without control characters, safe for a terminal.
fn printable(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || c == ' ' || c.is_ascii_graphic();
    let mut shown: String =
        text.chars().take(MAX_SHOWN_CHARS).map(|c| if is_plain(c) { c } else { '?' }).collect();
    if text.chars().nth(MAX_SHOWN_CHARS).is_some() {
        shown.push_str("...");
    }
    shown
}
