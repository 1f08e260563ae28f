//! The errors of reading a PEM text.

use super::data_kind::DataKind;
use super::key_kind::KeyKind;

/// The content that a PEM text is expected to have. There are only these two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expected {
    /// One certificate or more.
    Certificates,
    /// A private key.
    PrivateKey,
}

impl Expected {
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

/// The reason why a text has no usable certificate or private key. It contains no part of the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PemError {
    /// The text is empty.
    #[error("it is empty")]
    Empty,
    /// The data is binary, not text.
    #[error("it is {}, and PEM is expected{found}", found.what())]
    Binary {
        /// The kind of the data found.
        found: DataKind,
    },
    /// The PEM text was encoded in base64 once more.
    #[error("it is the base64 of a PEM text, and the text itself is expected; decode it once more")]
    Base64OfPem,
    /// Base64 without the PEM labels.
    #[error(
        "it is base64 alone, of {}; put the line {} before it, and the END line after it",
        found.what(), expected.begin()
    )]
    Base64Alone {
        /// The kind of the decoded data.
        found: DataKind,
        /// The kind that was expected.
        expected: Expected,
    },
    /// The text is percent-encoded, as in a URL.
    #[error("it is percent-encoded, as in a URL (%20, %0A); give the text itself")]
    PercentEncoded,
    /// The text has no PEM section.
    #[error("it has no {}; is it the right file?", .expected.begin())]
    NoBegin {
        /// The kind that was expected.
        expected: Expected,
    },
    /// A section has another kind than expected.
    #[error(
        "line {line}: this is {}, and {} is expected here{found}",
        found.what(), expected.name()
    )]
    Other {
        /// The line where the section begins or ends, from 1.
        line: usize,
        /// The kind of the data found.
        found: DataKind,
        /// The kind that was expected.
        expected: Expected,
    },
    /// The key is encrypted with a passphrase.
    #[error(
        "line {line}: the key is encrypted, and a server cannot ask for a passphrase; decrypt it \
         with `openssl pkey -in FILE -out FILE.plain`"
    )]
    Encrypted {
        /// The line where the section begins or ends, from 1.
        line: usize,
    },
    /// The line that begins a section is damaged.
    #[error(
        "line {line}: this `-----BEGIN ...-----` is incomplete; it needs five hyphens at each end"
    )]
    BadBegin {
        /// The line where the section begins or ends, from 1.
        line: usize,
    },
    /// A section has no end.
    #[error(
        "line {line}: the section that begins here has no `-----END ...-----` line with the same \
         label; the text is truncated, or the labels differ"
    )]
    NoEnd {
        /// The line where the section begins or ends, from 1.
        line: usize,
    },
    /// A section has no beginning.
    #[error("line {line}: the section that ends here has no `-----BEGIN ...-----` line")]
    StrayEnd {
        /// The line where the section begins or ends, from 1.
        line: usize,
    },
    /// A section is not base64.
    #[error("line {line}: the section that begins here is not base64; it is damaged or truncated")]
    NotBase64 {
        /// The line where the section begins or ends, from 1.
        line: usize,
    },
    /// The content of a certificate section is not a certificate.
    #[error(
        "certificate {number} of the text is not an X.509 certificate; it is damaged or truncated"
    )]
    NotACertificate {
        /// The position of the certificate in the text, from 1.
        number: usize,
    },
    /// The content of a key section is not a key.
    #[error("its base64 is not a private key; it is damaged or truncated, or the label is wrong")]
    NotAKey,
    /// TLS cannot use keys of this kind here.
    #[error(
        "the key is {kind}, which TLS cannot use here; request a certificate for another key: \
         ECDSA P-256 or P-384, RSA of 2048 to 4096 bits, Ed25519"
    )]
    KeyKind {
        /// The kind of the key.
        kind: KeyKind,
    },
    /// The key has a usable kind, but cannot be loaded.
    #[error(
        "the key is {kind}, but damaged: its parts do not fit together; give an intact copy of it"
    )]
    KeyDamaged {
        /// The kind of the key.
        kind: KeyKind,
    },
    /// The key has a usable kind, but a form that cannot be loaded.
    #[error(
        "the key is {kind} with {reason}, which cannot be used here; request a certificate for \
         another key: ECDSA P-256 or P-384, RSA of 2048 to 4096 bits, Ed25519"
    )]
    KeyForm {
        /// The kind of the key.
        kind: KeyKind,
        /// The property of the key that prevents its use.
        reason: &'static str,
    },
    /// A key on an elliptic curve lacks its public part.
    #[error(
        "the key is {kind} without its public part, which is needed here; `openssl ec -in FILE \
         -out FILE.pem` adds it"
    )]
    PublicPartMissing {
        /// The kind of the key.
        kind: KeyKind,
    },
    /// The public part of a key on an elliptic curve is a compressed point.
    #[error(
        "the key is {kind} with a compressed public part, which cannot be read here; `openssl ec \
         -in FILE -conv_form uncompressed -out FILE.pem` rewrites it"
    )]
    PointCompressed {
        /// The kind of the key.
        kind: KeyKind,
    },
    /// TLS here refuses a certificate.
    #[error("certificate {number} of the text cannot be used here: {reason}")]
    Refused {
        /// The position of the certificate in the text, from 1.
        number: usize,
        /// The reason, and what to do.
        reason: String,
    },
    /// The key belongs to none of the certificates.
    #[error(
        "the private key does not belong to the certificate; give the key that the certificate was \
         requested with"
    )]
    Mismatch,
    /// The key belongs to an authority of the chain, and not to the certificate.
    #[error(
        "this is the key of the authority that signed the certificate, which no server needs; give \
         the key that the certificate was requested with"
    )]
    AuthorityKey,
    /// The text has too many certificates.
    #[error("it has more than {limit} certificates; give only the certificate and its issuers")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// The text has too many sections, of whatever kind.
    #[error("it has more than {limit} sections; give only the certificates or the key")]
    TooManySections {
        /// The limit.
        limit: usize,
    },
}
