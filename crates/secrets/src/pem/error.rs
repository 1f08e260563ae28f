//! The errors of reading a PEM text.

use super::keys::KeyKind;
use super::kinds::Found;

/// The content that a PEM text is meant to have.
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

/// The reason why a text holds no certificate or private key, without a part of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PemError {
    /// The text is empty.
    #[error("it is empty")]
    Empty,
    /// The data is no text.
    #[error("it is {}, and PEM is meant{found}", found.what())]
    Binary {
        /// The kind of the data found.
        found: Found,
    },
    /// Base64 once too often.
    #[error("it is the base64 of a PEM text, and the text itself is meant; decode it once more")]
    Base64OfPem,
    /// Base64 without labels.
    #[error(
        "it is base64 alone, of {}; put the line {} before it, and the one with END behind it",
        found.what(), wanted.begin()
    )]
    Base64Alone {
        /// The kind of the decoded data.
        found: Found,
        /// The kind that was expected.
        wanted: Wanted,
    },
    /// Encoded for a URL.
    #[error("it is percent-encoded, as in a URL (%20, %0A); give the text itself")]
    PercentEncoded,
    /// No line that begins a section.
    #[error("it has no {}; is it the right file?", .wanted.begin())]
    NoBegin {
        /// The kind that was expected.
        wanted: Wanted,
    },
    /// A section of another kind than expected.
    #[error("line {line}: this is {}, and {} is meant here{found}", found.what(), wanted.name())]
    Other {
        /// The line where the section begins or ends, from 1.
        line: usize,
        /// The kind of the data found.
        found: Found,
        /// The kind that was expected.
        wanted: Wanted,
    },
    /// Protected by a passphrase.
    #[error(
        "line {line}: the key is encrypted, and a server asks for no passphrase; decrypt it with \
         `openssl pkey -in FILE -out FILE.plain`"
    )]
    Encrypted {
        /// The line where the section begins or ends, from 1.
        line: usize,
    },
    /// A line that begins a section, damaged.
    #[error("line {line}: this is no whole `-----BEGIN ...-----`; are there five hyphens each?")]
    BadBegin {
        /// The line where the section begins or ends, from 1.
        line: usize,
    },
    /// The text ends within a section.
    #[error(
        "line {line}: what begins here has no `-----END ...-----` line of the same label; the \
         text is cut short, or the labels differ"
    )]
    NoEnd {
        /// The line where the section begins or ends, from 1.
        line: usize,
    },
    /// A section of which the beginning is missing.
    #[error("line {line}: what ends here has no `-----BEGIN ...-----` line; its begin is cut off")]
    StrayEnd {
        /// The line where the section begins or ends, from 1.
        line: usize,
    },
    /// Not base64.
    #[error(
        "line {line}: what begins here is not base64 up to its end; it is damaged or cut short"
    )]
    NotBase64 {
        /// The line where the section begins or ends, from 1.
        line: usize,
    },
    /// Base64 of something that is no certificate.
    #[error("certificate {number} of the text is no X.509 certificate; it is damaged or cut short")]
    NotACertificate {
        /// The position of the certificate in the text, from 1.
        number: usize,
    },
    /// Base64 of something that is no key.
    #[error("its base64 is no private key; it is damaged, cut short, or of another label")]
    NotAKey,
    /// A key of a kind that cannot be used.
    #[error(
        "the key is {kind}, which TLS cannot use here; ask for a certificate with a key that it \
         can: ECDSA P-256 or P-384, RSA of 2048 to 4096 bits, Ed25519"
    )]
    KeyKind {
        /// The kind of the key.
        kind: KeyKind,
    },
    /// A key of a usable kind that cannot be used.
    #[error(
        "the key is {kind}, but damaged or without its public part; `openssl pkey -in FILE -out \
         FILE.pem` writes it anew if it is whole"
    )]
    KeyDamaged {
        /// The kind of the key.
        kind: KeyKind,
    },
    /// The key of another certificate.
    #[error(
        "the private key does not belong to the certificate; give the key that the certificate was \
         requested with"
    )]
    Mismatch,
    /// More certificates than the limit.
    #[error("it has more than {limit} certificates; give the certificate and its issuers alone")]
    TooMany {
        /// The most certificates that are read.
        limit: usize,
    },
}
