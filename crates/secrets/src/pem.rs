//! Certificates and private keys in PEM (RFC 7468), read by the library that TLS uses.
//!
//! What that library says of bytes that it cannot read may hold them. So its errors are never
//! shown: what is wrong is looked for here, and said in words that hold nothing of the text.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::{PemObject, SectionKind};
pub use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// What a PEM text is to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// One certificate or more.
    Certificates,
    /// A private key.
    PrivateKey,
}

impl Wanted {
    fn name(self) -> &'static str {
        match self {
            Self::Certificates => "a certificate",
            Self::PrivateKey => "a private key",
        }
    }

    fn begin(self) -> &'static str {
        match self {
            Self::Certificates => "`-----BEGIN CERTIFICATE-----`",
            Self::PrivateKey => "`-----BEGIN PRIVATE KEY-----` (or EC, or RSA PRIVATE KEY)",
        }
    }
}

/// Why a text holds no certificate or private key, without anything of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PemError {
    /// There is nothing.
    #[error("it is empty")]
    Empty,
    /// UTF-16.
    #[error("it is UTF-16 text; save it as UTF-8")]
    Utf16,
    /// A byte order mark.
    #[error("line 1: it begins with a byte order mark (BOM); save it as UTF-8 without one")]
    ByteOrderMark,
    /// Newlines that are escaped.
    #[error(
        "line {line}: the newlines of this PEM are written as the two characters \\n; write real newlines"
    )]
    EscapedNewlines {
        /// The line, from 1.
        line: usize,
    },
    /// Everything in one line.
    #[error("line {line}: this PEM has no newlines; write one after each line of it")]
    OneLine {
        /// The line, from 1.
        line: usize,
    },
    /// DER.
    #[error("it is DER, and PEM is meant; convert it with `openssl pkey` or `openssl x509`")]
    Der,
    /// Base64 once too often.
    #[error("it is the base64 of a PEM text, and the text itself is meant; decode it once more")]
    Base64OfPem,
    /// No line that begins a section.
    #[error("it has no {}", .wanted.begin())]
    NoBegin {
        /// What was looked for.
        wanted: Wanted,
    },
    /// Something else.
    #[error("line {line}: this is {found}, and {} is meant here", .wanted.name())]
    Other {
        /// The line, from 1.
        line: usize,
        /// What it is.
        found: &'static str,
        /// What was looked for.
        wanted: Wanted,
    },
    /// Protected by a passphrase.
    #[error(
        "line {line}: the key is encrypted with a passphrase, which nobody is asked for; decrypt it with `openssl pkey`"
    )]
    Encrypted {
        /// The line, from 1.
        line: usize,
    },
    /// A line that begins a section, damaged.
    #[error("line {line}: this is no whole `-----BEGIN ...-----` line")]
    BadBegin {
        /// The line, from 1.
        line: usize,
    },
    /// The text ends within a section.
    #[error(
        "line {line}: what begins here has no `-----END ...-----` line of the same label; the text is cut short, or the labels differ"
    )]
    NoEnd {
        /// The line, from 1.
        line: usize,
    },
    /// Not base64.
    #[error(
        "line {line}: what begins here is not base64 up to its end; it is damaged or cut short"
    )]
    NotBase64 {
        /// The line, from 1.
        line: usize,
    },
    /// Base64 of something that is no certificate.
    #[error("certificate {number} of the text is no X.509 certificate; it is damaged or cut short")]
    NotACertificate {
        /// Which one, from 1.
        number: usize,
    },
    /// Base64 of something that is no key, or of a kind that TLS cannot use.
    #[error(
        "its base64 is no private key that TLS can use (RSA of 2048 bits or more, ECDSA P-256 or P-384, Ed25519); it is damaged, cut short, or of another kind"
    )]
    NotAKey,
    /// The key of another certificate.
    #[error("the private key does not belong to the certificate")]
    Mismatch,
    /// More than is read.
    #[error("it has more than {limit} certificates")]
    TooMany {
        /// The bound.
        limit: usize,
    },
}

/// The certificates of a text, in their order; other sections are left out. At most `limit`.
///
/// # Errors
/// [`PemError`].
pub fn certificates(text: &[u8], limit: usize) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let mut found = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(text) {
        match section {
            Ok((SectionKind::Certificate, der)) => found.push(CertificateDer::from(der)),
            Ok(_) => {}
            Err(_) => return Err(diagnose(text, Wanted::Certificates)),
        }
        if found.len() > limit {
            return Err(PemError::TooMany { limit });
        }
    }
    if found.is_empty() {
        return Err(diagnose(text, Wanted::Certificates));
    }
    Ok(found)
}

/// The first private key of a text (PKCS #8, SEC 1 or PKCS #1); other sections are left out.
///
/// # Errors
/// [`PemError`].
pub fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, PemError> {
    let key = PrivateKeyDer::from_pem_slice(text);
    key.map_err(|_| diagnose(text, Wanted::PrivateKey))
}

/// Whether TLS can use the key and it is that of the first certificate.
///
/// # Errors
/// [`PemError::NotAKey`], [`PemError::NotACertificate`], [`PemError::Mismatch`].
pub fn check_pair(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<(), PemError> {
    check_key(&key)?;
    match CertifiedKey::from_der(chain, key, &Arc::new(default_provider())) {
        Ok(_) => Ok(()),
        Err(rustls::Error::InconsistentKeys(_)) => Err(PemError::Mismatch),
        Err(_) => Err(PemError::NotACertificate { number: 1 }),
    }
}

/// Whether TLS can use the key.
///
/// # Errors
/// [`PemError::NotAKey`].
pub fn check_key(key: &PrivateKeyDer<'_>) -> Result<(), PemError> {
    let loaded = default_provider().key_provider.load_private_key(key.clone_key());
    loaded.map(drop).map_err(|_| PemError::NotAKey)
}

/// Whether certificates can be trust anchors.
///
/// # Errors
/// [`PemError::NotACertificate`].
pub fn check_authorities(certificates: Vec<CertificateDer<'static>>) -> Result<(), PemError> {
    let mut store = rustls::RootCertStore::empty();
    for (index, certificate) in certificates.into_iter().enumerate() {
        let added = store.add(certificate);
        added.map_err(|_| PemError::NotACertificate { number: index + 1 })?;
    }
    Ok(())
}

const BEGIN: &[u8] = b"-----BEGIN ";

/// What is wrong with a text in which the library found an error, or nothing that is `wanted`.
fn diagnose(text: &[u8], wanted: Wanted) -> PemError {
    if text.iter().all(u8::is_ascii_whitespace) {
        return PemError::Empty;
    }
    if text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") || text.contains(&0) {
        // DER has zeros too, and begins with the tag of a sequence and a length of two bytes.
        let is_der = text.starts_with(b"\x30") && !text.starts_with(b"\x30\0");
        return if is_der { PemError::Der } else { PemError::Utf16 };
    }
    if let Some(rest) = text.strip_prefix(b"\xef\xbb\xbf")
        && rest.starts_with(BEGIN)
    {
        return PemError::ByteOrderMark;
    }
    if text.starts_with(b"\x30\x82") || text.starts_with(b"\x30\x81") {
        return PemError::Der;
    }
    sections(text, wanted).unwrap_or_else(|| {
        if is_base64_of_pem(text) { PemError::Base64OfPem } else { PemError::NoBegin { wanted } }
    })
}

/// What is wrong with the sections of a text, looked at as the library does, line by line.
fn sections(text: &[u8], wanted: Wanted) -> Option<PemError> {
    // The section that is open: its line, its label, its base64.
    let mut open: Option<(usize, &[u8], Vec<u8>)> = None;
    let mut other = None;
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let (number, line) = (index + 1, line.trim_ascii_end());
        if let Some(rest) = line.strip_prefix(BEGIN) {
            if contains(rest, b"\\n") || contains(rest, b"\\r") {
                return Some(PemError::EscapedNewlines { line: number });
            }
            let Some(label) = rest.strip_suffix(b"-----") else {
                let is_whole = contains(rest, b"-----");
                return Some(match is_whole {
                    true => PemError::OneLine { line: number },
                    false => PemError::BadBegin { line: number },
                });
            };
            if contains(label, b"-----") {
                return Some(PemError::OneLine { line: number });
            }
            if let Some((line, ..)) = open {
                return Some(PemError::NoEnd { line });
            }
            open = Some((number, label, Vec::new()));
            continue;
        }
        let Some((begin, label, body)) = &mut open else {
            // Indented, or behind something else: no section begins there.
            if contains(line, BEGIN) {
                return Some(PemError::BadBegin { line: number });
            }
            continue;
        };
        if let Some(rest) = line.strip_prefix(b"-----END ") {
            let ends = rest.strip_prefix(*label).is_some_and(|rest| rest.starts_with(b"-----"));
            if !ends {
                return Some(PemError::NoEnd { line: *begin });
            }
            if STANDARD.decode(&*body).is_err() {
                return Some(PemError::NotBase64 { line: *begin });
            }
            if !is_wanted(label, wanted) {
                other = other.or(Some((*begin, *label)));
            }
            open = None;
            continue;
        }
        body.extend(line.iter().filter(|byte| !byte.is_ascii_whitespace()));
    }
    if let Some((line, ..)) = open {
        return Some(PemError::NoEnd { line });
    }
    let (line, label) = other?;
    if label == b"ENCRYPTED PRIVATE KEY" && wanted == Wanted::PrivateKey {
        return Some(PemError::Encrypted { line });
    }
    Some(PemError::Other { line, found: kind(label), wanted })
}

fn is_wanted(label: &[u8], wanted: Wanted) -> bool {
    match wanted {
        Wanted::Certificates => label == b"CERTIFICATE",
        Wanted::PrivateKey => {
            matches!(label, b"PRIVATE KEY" | b"RSA PRIVATE KEY" | b"EC PRIVATE KEY")
        }
    }
}

fn kind(label: &[u8]) -> &'static str {
    match label {
        b"CERTIFICATE" => "a certificate",
        b"PRIVATE KEY" | b"RSA PRIVATE KEY" | b"EC PRIVATE KEY" => "a private key",
        b"ENCRYPTED PRIVATE KEY" => "an encrypted private key",
        b"PUBLIC KEY" | b"RSA PUBLIC KEY" => "a public key",
        b"CERTIFICATE REQUEST" | b"NEW CERTIFICATE REQUEST" => "a request for a certificate",
        b"X509 CRL" => "a list of revoked certificates",
        b"OPENSSH PRIVATE KEY" => "a private key of OpenSSH, which TLS does not use",
        b"DH PARAMETERS" | b"EC PARAMETERS" => "parameters alone",
        _ => "a section of a label that is not known",
    }
}

fn is_base64_of_pem(text: &[u8]) -> bool {
    let packed: Vec<u8> =
        text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).take(64).collect();
    let whole = &packed[..packed.len() / 4 * 4];
    STANDARD.decode(whole).is_ok_and(|decoded| decoded.starts_with(BEGIN))
}

fn contains(text: &[u8], what: &[u8]) -> bool {
    text.windows(what.len()).any(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["a.example.org".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn what_is_wrong_with_a_key_is_said_with_its_line_and_nothing_of_it() {
        let (cert, key) = made();
        let utf16: Vec<u8> = key.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let body = key.lines().nth(1).unwrap();
        let cases: &[(&str, Vec<u8>, &str)] = &[
            ("empty", b" \n".to_vec(), "it is empty"),
            ("escaped", key.replace('\n', "\\n").into(), "line 1: the newlines of this PEM"),
            ("escaped behind", format!("#\n{}", key.replace('\n', "\\n")).into(), "line 2: the n"),
            ("one line", key.replace('\n', "").into(), "line 1: this PEM has no newlines"),
            ("one line, blanks", key.replace('\n', " ").into(), "line 1: this PEM has no newlines"),
            ("cut", key[..key.len() / 2].into(), "line 1: what begins here has no `-----END"),
            ("cut in base64", key.replace(&body[61..], "").into(), "base64 up to its end"),
            ("cut to whole base64", key.replace(&body[..4], "").into(), "no private key that TLS"),
            ("label", key.replace("PRIVATE KEY", "PRIVAT KEY").into(), "label that is not known"),
            ("end", key.replace("END PRIVATE", "END RSA PRIVATE").into(), "the labels differ"),
            ("begin", key.replacen("KEY-----", "KEY----", 1).into(), "no whole `-----BEGIN"),
            ("indented", key.replace("-----BEGIN", " -----BEGIN").into(), "no whole `-----BEGIN"),
            ("base64", STANDARD.encode(&key).into(), "decode it once more"),
            ("BOM", format!("\u{feff}{key}").into(), "byte order mark"),
            ("UTF-16", utf16.clone(), "UTF-16"),
            ("UTF-16 with BOM", [b"\xff\xfe".to_vec(), utf16].concat(), "UTF-16"),
            ("DER", private_key(key.as_bytes()).unwrap().secret_der().to_vec(), "it is DER"),
            (
                "certificate",
                cert.clone().into(),
                "line 1: this is a certificate, and a private key",
            ),
            ("encrypted", key.replace("PRIVATE", "ENCRYPTED PRIVATE").into(), "a passphrase"),
            ("other", b"hello".to_vec(), "it has no `-----BEGIN PRIVATE KEY"),
        ];
        for (what, text, words) in cases {
            let error = private_key(text).and_then(|key| check_key(&key)).unwrap_err();
            assert!(error.to_string().contains(words), "{what}: {error}");
            assert!(!error.to_string().contains(&body[..8]), "{what}: {error}");
        }
        let error = certificates(key.as_bytes(), 9).unwrap_err().to_string();
        assert!(error.contains("this is a private key, and a certificate is meant"), "{error}");
    }

    #[test]
    fn what_is_unusual_but_right_is_read() {
        let (cert, key) = made();
        for key in [
            key.replace('\n', "\r\n"),
            key.trim_end().to_owned(),
            format!("{key}{key}"),
            format!("{}{key}", key.trim_end()),
            format!("# a key\n{cert}{key}"),
        ] {
            check_key(&private_key(key.as_bytes()).unwrap()).unwrap();
        }
        let both = certificates(format!("{key}{cert}{cert}").as_bytes(), 2).unwrap();
        assert_eq!(both.len(), 2);
        check_authorities(both).unwrap();
        let three = certificates(cert.repeat(3).as_bytes(), 2);
        assert_eq!(three.unwrap_err(), PemError::TooMany { limit: 2 });
    }

    #[test]
    fn a_key_of_another_certificate_is_told() {
        let ((cert, key), (_, other)) = (made(), made());
        let pair = |cert: &str, key: &str| {
            check_pair(certificates(cert.as_bytes(), 9)?, private_key(key.as_bytes())?)
        };
        assert_eq!(pair(&cert, &key), Ok(()));
        assert_eq!(pair(&cert, &other), Err(PemError::Mismatch));
        let bad = cert.replace(cert.lines().nth(1).unwrap(), "QUJD");
        assert_eq!(pair(&bad, &key), Err(PemError::NotACertificate { number: 1 }));
    }
}
