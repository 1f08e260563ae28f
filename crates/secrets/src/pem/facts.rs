//! The fields of a certificate that operators see.

use std::net::IpAddr;

use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use x509_parser::time::ASN1Time;
use x509_parser::x509::X509Name;

use super::error::PemError;
use super::keys::KeyKind;

/// Longest name that is shown, in characters.
const SHOWN: usize = 160;

/// The fields of a certificate that operators see. Texts are printable and bounded; [`dns_names`]
/// are as the certificate has them.
///
/// [`dns_names`]: Self::dns_names
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateFacts {
    /// The DNS names of its `subjectAltName`.
    pub dns_names: Vec<String>,
    /// The addresses of its `subjectAltName`.
    pub addresses: Vec<IpAddr>,
    /// The other names of its `subjectAltName` that can be read, such as `URI:` and `email:`, as
    /// they may be shown.
    pub other_names: Vec<String>,
    /// The number of names in its `subjectAltName` whose encoding cannot be read.
    pub unreadable_names: usize,
    /// The common name (CN) of its subject.
    pub common_name: Option<String>,
    /// The subject, like `O=Example, CN=mail.example.org`; if that is empty, its first name.
    pub subject: String,
    /// The issuer, in the same notation.
    pub issuer: String,
    /// The kind of its key.
    pub key: KeyKind,
    /// `notBefore`, in seconds since 1970.
    pub not_before: i64,
    /// `notAfter`, in seconds since 1970.
    pub not_after: i64,
    /// Whether it may sign others.
    pub is_authority: bool,
    /// Whether it names itself as its issuer.
    pub is_self_issued: bool,
}

impl CertificateFacts {
    /// Reads the fields of a certificate in DER.
    ///
    /// # Errors
    /// [`PemError::NotACertificate`]: also if bytes follow it, or if its names cannot be read.
    pub fn of(der: &[u8]) -> Result<Self, PemError> {
        // The parser's error may hold the bytes, which may be those of a key: it is not shown.
        let not_one = || PemError::NotACertificate { number: 1 };
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|_| not_one())?;
        if !rest.is_empty() {
            return Err(not_one());
        }
        Self::of_parsed(&parsed).ok_or_else(not_one)
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
        let mut subject = shown(parsed.subject());
        if subject.is_empty() {
            let name = dns_names.first().cloned();
            let name = name.or_else(|| addresses.first().map(ToString::to_string));
            subject = name.map_or_else(|| "a certificate without a name".into(), |n| printable(&n));
        }
        let constraints = parsed.basic_constraints().ok().flatten();
        Some(Self {
            dns_names,
            addresses,
            other_names,
            unreadable_names,
            common_name,
            subject,
            issuer: shown(parsed.issuer()),
            key: KeyKind::of_public(parsed.public_key().raw),
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
            is_authority: constraints.is_some_and(|constraints| constraints.value.ca),
            is_self_issued: parsed.subject().as_raw() == parsed.issuer().as_raw(),
        })
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        _ => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
    }
}

fn shown(name: &X509Name<'_>) -> String {
    printable(&name.to_string())
}

/// A text of a certificate for a terminal: without control characters, and bounded.
fn printable(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || c == ' ' || c.is_ascii_graphic();
    let mut shown: String =
        text.chars().take(SHOWN).map(|c| if is_plain(c) { c } else { '?' }).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push_str("...");
    }
    shown
}

/// A moment as RFC 3339 writes it.
pub(super) fn moment(seconds: i64) -> String {
    let Ok(time) = ASN1Time::from_timestamp(seconds) else {
        return format!("{seconds} s after 1970");
    };
    let time = time.to_datetime();
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}
