//! Recognises the kind of a section or a binary file, and the command that converts it to PEM.

use std::fmt;

use rustls::pki_types::PrivateKeyDer;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::der::{INTEGER, OCTETS, OID, SEQUENCE, element, expect};

/// The kind of data that was found in place of a certificate or a private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DataKind {
    what: &'static str,
    advice: &'static str,
}

impl DataKind {
    const fn new(what: &'static str, advice: &'static str) -> Self {
        Self { what, advice }
    }

    /// The kind, as a noun.
    #[must_use]
    pub fn what(&self) -> &'static str {
        self.what
    }

    /// The advice to the operator, often a command that converts the file. Empty if there is none.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        self.advice
    }
}

/// Shows the advice after a semicolon; nothing if there is none.
impl fmt::Display for DataKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.advice.is_empty() { "" } else { "; " };
        write!(f, "{separator}{}", self.advice)
    }
}

/// The content of a section according to its label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    Certificate,
    /// A certificate followed by OpenSSL's trust settings.
    TrustedCertificate,
    PrivateKey,
    EncryptedKey,
    Other(DataKind),
}

pub(super) fn label(label: &[u8]) -> Label {
    Label::Other(match label {
        b"CERTIFICATE" | b"X509 CERTIFICATE" => return Label::Certificate,
        b"TRUSTED CERTIFICATE" => return Label::TrustedCertificate,
        b"PRIVATE KEY" | b"RSA PRIVATE KEY" | b"EC PRIVATE KEY" | b"DSA PRIVATE KEY" => {
            return Label::PrivateKey;
        }
        b"ENCRYPTED PRIVATE KEY" => return Label::EncryptedKey,
        b"PUBLIC KEY" | b"RSA PUBLIC KEY" | b"EC PUBLIC KEY" | b"SSH2 PUBLIC KEY" => PUBLIC_KEY,
        b"CERTIFICATE REQUEST" | b"NEW CERTIFICATE REQUEST" => REQUEST,
        b"X509 CRL" => CRL,
        b"PKCS7" | b"PKCS #7 SIGNED DATA" | b"CMS" => DataKind::new(
            "a PKCS #7 bundle",
            "convert it with `openssl pkcs7 -in FILE -print_certs -out FILE.pem`",
        ),
        b"OPENSSH PRIVATE KEY" => DataKind::new(
            "a private key of OpenSSH",
            "TLS does not use it; rewrite a copy of it with `ssh-keygen -p -m PEM -f COPY`",
        ),
        b"PGP PRIVATE KEY BLOCK" | b"PGP PUBLIC KEY BLOCK" | b"PGP MESSAGE" => {
            DataKind::new("OpenPGP data", "TLS does not use it; give the certificate or key of TLS")
        }
        b"DH PARAMETERS" | b"X9.42 DH PARAMETERS" | b"EC PARAMETERS" | b"DSA PARAMETERS" => {
            PARAMETERS
        }
        b"ATTRIBUTE CERTIFICATE" => DataKind::new("an attribute certificate", ""),
        _ => DataKind::new("a section of a label that is not known", ""),
    })
}

const CONVERT_KEY: &str = "convert it with `openssl pkey -inform DER -in FILE -out FILE.pem`";
const CERTIFICATE: DataKind = DataKind::new("a certificate", "");
pub(super) const PRIVATE_KEY: DataKind = DataKind::new("a private key", "");
pub(super) const ENCRYPTED_DER: DataKind =
    DataKind::new("an encrypted private key in DER", CONVERT_KEY);
pub(super) const PARAMETERS: DataKind = DataKind::new("parameters alone", "");
const PUBLIC_KEY: DataKind =
    DataKind::new("a public key", "the private key that it was made from is needed");
const REQUEST: DataKind = DataKind::new(
    "a request for a certificate (CSR)",
    "give the certificate that the authority made of it",
);
const CRL: DataKind = DataKind::new("a list of revoked certificates", "");

impl Label {
    /// The kind, for an error where another is expected.
    pub(super) fn found(self) -> DataKind {
        match self {
            Self::Certificate | Self::TrustedCertificate => CERTIFICATE,
            Self::PrivateKey => PRIVATE_KEY,
            Self::EncryptedKey => DataKind::new("an encrypted private key", ""),
            Self::Other(found) => found,
        }
    }
}

/// The kind of a binary file; `None` if it may be text.
pub(super) fn of_binary(bytes: &[u8]) -> Option<DataKind> {
    let magic = |magic: &[u8]| bytes.starts_with(magic);
    if magic(b"\xfe\xed\xfe\xed") || magic(b"\xce\xce\xce\xce") {
        return Some(DataKind::new(
            "a Java key store",
            "convert it with `keytool -importkeystore -srckeystore FILE -destkeystore FILE.p12 \
             -deststoretype PKCS12`, then with `openssl pkcs12 -in FILE.p12 -nodes -out FILE.pem`",
        ));
    }
    if magic(b"PK\x03\x04") || magic(b"\x1f\x8b") || magic(b"7z\xbc\xaf") {
        return Some(DataKind::new("an archive", "unpack it, and give the file that is in it"));
    }
    if magic(b"PuTTY-User-Key-File") {
        return Some(DataKind::new(
            "a private key of PuTTY",
            "TLS does not use it; give the key of the certificate",
        ));
    }
    if !magic(b"\x30") || !is_der(bytes) {
        return None;
    }
    Some(of_der(bytes).unwrap_or_else(|| {
        DataKind::new(
            "DER of an unknown kind",
            "give a PEM file; `openssl asn1parse -inform DER` shows what it is",
        )
    }))
}

/// Whether bytes begin like DER and unlike text.
fn is_der(bytes: &[u8]) -> bool {
    match bytes.get(1) {
        Some(0x81..=0x84) => true,
        Some(_) => element(bytes).is_some_and(|found| {
            let is_padding = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0;
            !found.content.is_empty() && found.rest.iter().all(is_padding)
        }),
        None => false,
    }
}

/// The kind of DER data, with the command that converts it to PEM.
pub(super) fn of_der(der: &[u8]) -> Option<DataKind> {
    if X509Certificate::from_der(der).is_ok() {
        return Some(DataKind::new(
            "a certificate in DER",
            "convert it with `openssl x509 -inform DER -in FILE -out FILE.pem`",
        ));
    }
    if is_pfx(der) {
        return Some(DataKind::new(
            "PKCS #12 (.pfx, .p12)",
            "convert it with `openssl pkcs12 -in FILE -nodes -out FILE.pem`",
        ));
    }
    if is_pkcs7(der) {
        return Some(DataKind::new(
            "a PKCS #7 bundle in DER (.p7b)",
            "convert it with `openssl pkcs7 -inform DER -in FILE -print_certs -out FILE.pem`",
        ));
    }
    if PrivateKeyDer::try_from(der).is_ok() {
        return Some(DataKind::new("a private key in DER", CONVERT_KEY));
    }
    if is_encrypted(der) {
        return Some(ENCRYPTED_DER);
    }
    if X509CertificationRequest::from_der(der).is_ok() {
        return Some(REQUEST);
    }
    if CertificateRevocationList::from_der(der).is_ok() {
        return Some(CRL);
    }
    SubjectPublicKeyInfo::from_der(der).is_ok().then_some(PUBLIC_KEY)
}

/// PFX: version 3, then a `ContentInfo` (RFC 7292).
fn is_pfx(der: &[u8]) -> bool {
    let Some((content, _)) = expect(der, SEQUENCE) else { return false };
    expect(content, INTEGER)
        .is_some_and(|(version, rest)| version == [3] && expect(rest, SEQUENCE).is_some())
}

/// `ContentInfo` of signed data (RFC 5652): 1.2.840.113549.1.7.2.
fn is_pkcs7(der: &[u8]) -> bool {
    const SIGNED_DATA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";
    let content = expect(der, SEQUENCE).and_then(|(content, _)| expect(content, OID));
    content.is_some_and(|(oid, _)| oid == SIGNED_DATA)
}

/// `EncryptedPrivateKeyInfo` (RFC 5958): an algorithm, then octets.
fn is_encrypted(der: &[u8]) -> bool {
    let Some((content, _)) = expect(der, SEQUENCE) else { return false };
    expect(content, SEQUENCE).is_some_and(|(algorithm, rest)| {
        expect(algorithm, OID).is_some() && expect(rest, OCTETS).is_some()
    })
}
