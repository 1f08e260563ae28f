//! What can be wrong with a PEM text.

use super::keys::KeyKind;
use super::kinds::Found;

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
    /// No text.
    #[error("it is {}, and PEM is meant{found}", found.what())]
    Binary {
        /// What it is.
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
        /// What it stands for.
        found: Found,
        /// What was looked for.
        wanted: Wanted,
    },
    /// Encoded for a URL.
    #[error("it is percent-encoded, as in a URL (%20, %0A); give the text itself")]
    PercentEncoded,
    /// No line that begins a section.
    #[error("it has no {}; is it the right file?", .wanted.begin())]
    NoBegin {
        /// What was looked for.
        wanted: Wanted,
    },
    /// Something else.
    #[error("line {line}: this is {}, and {} is meant here{found}", found.what(), wanted.name())]
    Other {
        /// The line, from 1.
        line: usize,
        /// What it is.
        found: Found,
        /// What was looked for.
        wanted: Wanted,
    },
    /// Protected by a passphrase.
    #[error(
        "line {line}: the key is encrypted, and a server asks for no passphrase; decrypt it with \
         `openssl pkey -in FILE -out FILE.plain`"
    )]
    Encrypted {
        /// The line, from 1.
        line: usize,
    },
    /// A line that begins a section, damaged.
    #[error("line {line}: this is no whole `-----BEGIN ...-----`; are there five hyphens each?")]
    BadBegin {
        /// The line, from 1.
        line: usize,
    },
    /// The text ends within a section.
    #[error(
        "line {line}: what begins here has no `-----END ...-----` line of the same label; the \
         text is cut short, or the labels differ"
    )]
    NoEnd {
        /// The line, from 1.
        line: usize,
    },
    /// A section of which the beginning is missing.
    #[error("line {line}: what ends here has no `-----BEGIN ...-----` line; its begin is cut off")]
    StrayEnd {
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
    /// Base64 of something that is no key.
    #[error("its base64 is no private key; it is damaged, cut short, or of another label")]
    NotAKey,
    /// A key of a kind that cannot be used.
    #[error(
        "the key is {kind}, which TLS cannot use here; ask for a certificate with a key that it \
         can: ECDSA P-256 or P-384, RSA of 2048 to 4096 bits, Ed25519"
    )]
    KeyKind {
        /// Its kind.
        kind: KeyKind,
    },
    /// A key of a usable kind that cannot be used.
    #[error(
        "the key is {kind}, but damaged or without its public part; `openssl pkey -in FILE -out \
         FILE.pem` writes it anew if it is whole"
    )]
    KeyDamaged {
        /// Its kind.
        kind: KeyKind,
    },
    /// The key of another certificate.
    #[error(
        "the private key does not belong to the certificate; give the key that the certificate was \
         requested with"
    )]
    Mismatch,
    /// More than is read.
    #[error("it has more than {limit} certificates; give the certificate and its issuers alone")]
    TooMany {
        /// The bound.
        limit: usize,
    },
}
