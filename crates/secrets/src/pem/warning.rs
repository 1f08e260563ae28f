//! Warnings about corrections, omissions, and properties that clients may reject.

use std::fmt;

use super::error::Expected;
use super::key_kind::KeyKind;
use super::time::rfc3339;

/// A warning about something that was corrected or left out, or that clients may not accept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PemWarning {
    /// The text was UTF-16.
    Utf16 {
        /// Which of the two texts.
        input: Expected,
    },
    /// Lines began with `>`, as programs for mail quote a text.
    Quoted {
        /// Which of the two texts.
        input: Expected,
    },
    /// Newlines were missing, or written as `\n`.
    NewlinesRestored {
        /// Which of the two texts.
        input: Expected,
        /// The line of the first section without newlines, from 1.
        line: usize,
    },
    /// The certificates were not in the order of the chain.
    OrderMended,
    /// A root was left out, because clients have their own copy.
    RootLeftOut {
        /// The subject of the certificate.
        subject: String,
    },
    /// A second copy of a certificate was left out.
    DuplicateLeftOut {
        /// The subject of the certificate.
        subject: String,
    },
    /// A certificate was left out, because the chain has a renewal of it.
    OlderLeftOut {
        /// The subject of the certificate.
        subject: String,
        /// The `notAfter` of the certificate, in seconds since 1970.
        end: i64,
    },
    /// A certificate that signed no member of the chain was left out.
    UnrelatedLeftOut {
        /// The subject of the certificate.
        subject: String,
        /// Whether a member names it as its issuer, although another key signed that member.
        is_same_name: bool,
    },
    /// Another certificate for the key of the leaf was left out.
    OtherLeafLeftOut {
        /// The subject of the certificate.
        subject: String,
        /// The `notAfter` of the certificate, in seconds since 1970.
        end: i64,
    },
    /// A private key that does not belong to the leaf was left out.
    OtherKeyLeftOut {
        /// The line where the key begins, from 1.
        line: usize,
        /// The kind of the key.
        kind: KeyKind,
    },
    /// The text has a leaf, but not the authority that issued it.
    IssuerMissing {
        /// The issuer of the leaf.
        issuer: String,
    },
    /// The common name is not among the DNS names, so clients do not accept it.
    NameOnlyInCommonName {
        /// The common name.
        name: String,
    },
    /// The leaf names IP addresses, by which the server cannot select a certificate.
    AddressesNotServed {
        /// The addresses, separated by commas.
        addresses: String,
    },
    /// Names of the leaf are not DNS names, so no client asks for them.
    NamesNotServed {
        /// The first of these names, separated by commas.
        names: String,
    },
    /// The leaf has names whose encoding is invalid.
    NamesNotRead {
        /// The number of such names.
        count: usize,
    },
    /// The leaf is signed by its own key.
    SelfSigned,
    /// The leaf is an authority (`CA:TRUE`).
    LeafIsAuthority,
    /// The leaf is not for servers: its `extendedKeyUsage` has no `serverAuth`.
    NotForServers,
    /// The `keyUsage` of the leaf has no `digitalSignature`.
    NoDigitalSignature,
    /// The leaf has expired.
    LeafExpired {
        /// The `notAfter` of the certificate, in seconds since 1970.
        end: i64,
    },
    /// The leaf is not yet valid.
    LeafNotYetValid {
        /// The `notBefore` of the certificate, in seconds since 1970.
        start: i64,
    },
    /// Another member of the chain has expired.
    MemberExpired {
        /// The subject of the certificate.
        subject: String,
        /// The `notAfter` of the certificate, in seconds since 1970.
        end: i64,
    },
    /// Another member of the chain is not yet valid.
    MemberNotYetValid {
        /// The subject of the certificate.
        subject: String,
        /// The `notBefore` of the certificate, in seconds since 1970.
        start: i64,
    },
}

impl PemWarning {
    /// Which of the two texts the warning is about.
    #[must_use]
    pub fn input(&self) -> Expected {
        match self {
            Self::Utf16 { input }
            | Self::Quoted { input }
            | Self::NewlinesRestored { input, .. } => *input,
            Self::OtherKeyLeftOut { .. } => Expected::PrivateKey,
            _ => Expected::Certificates,
        }
    }
}

impl fmt::Display for PemWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Utf16 { .. } => f.write_str("the text is UTF-16; most servers read UTF-8 only"),
            Self::Quoted { .. } => {
                f.write_str("lines begin with `>`, as in a quoted mail; the marks are left out")
            }
            Self::NewlinesRestored { line, .. } => {
                write!(f, "line {line}: the newlines of this PEM were missing; they are restored")
            }
            Self::OrderMended => f.write_str(
                "the certificates were not in order; each now precedes its issuer, and the \
                 certificate of the key is the first",
            ),
            Self::RootLeftOut { subject } => {
                write!(f, "the root ({subject}) is left out: clients use their own copy of it")
            }
            Self::DuplicateLeftOut { subject } => {
                write!(f, "a second copy of the certificate of {subject} is left out")
            }
            Self::OlderLeftOut { subject, end } => write!(
                f,
                "a certificate of {subject} until {} is left out: another one expires later",
                rfc3339(*end)
            ),
            Self::UnrelatedLeftOut { subject, is_same_name: false } => {
                write!(f, "the certificate of {subject} is left out: it signs none of the others")
            }
            Self::UnrelatedLeftOut { subject, is_same_name: true } => write!(
                f,
                "the certificate of {subject} is left out: another certificate names it as its \
                 issuer, but is signed by another key"
            ),
            Self::OtherLeafLeftOut { subject, end } => write!(
                f,
                "another certificate of the same key ({subject}, until {}) is left out",
                rfc3339(*end)
            ),
            Self::OtherKeyLeftOut { line, kind } => write!(
                f,
                "line {line}: the private key here ({kind}) is left out: the certificate has \
                 another key"
            ),
            Self::IssuerMissing { issuer } => write!(
                f,
                "the certificate of its issuer ({issuer}) is missing; unless that is a root, \
                 give the whole chain (often called fullchain.pem)"
            ),
            Self::NameOnlyInCommonName { name } => write!(
                f,
                "the name {name} is not served: it is only in the common name (CN), which clients \
                 ignore; request a certificate with it in the subjectAltName (DNS:{name})"
            ),
            Self::AddressesNotServed { addresses } => write!(
                f,
                "the certificate is not found by its addresses ({addresses}), only by its names: \
                 a client does not send the address that it connects to"
            ),
            Self::NamesNotServed { names } => write!(
                f,
                "these names are not served, since no client asks for them: {names}; other \
                 scripts than ASCII are written as A-labels (xn--...)"
            ),
            Self::NamesNotRead { count } => write!(
                f,
                "{count} of its names cannot be read and are not served; write names with \
                 non-ASCII characters as A-labels (xn--...)"
            ),
            Self::SelfSigned => f.write_str(
                "the certificate is signed by its own key: clients trust it only if they are \
                 configured to",
            ),
            Self::LeafIsAuthority => f.write_str(
                "the certificate may sign others (CA:TRUE), and some clients refuse this for a \
                 server; create a certificate without CA:TRUE",
            ),
            Self::NotForServers => f.write_str(
                "clients refuse the certificate: its extendedKeyUsage has no serverAuth; request \
                 one for a server",
            ),
            Self::NoDigitalSignature => f.write_str(
                "some clients refuse the certificate: its keyUsage has no digitalSignature; \
                 request one for a server",
            ),
            Self::LeafExpired { end } => write!(f, "the certificate expired at {}", rfc3339(*end)),
            Self::LeafNotYetValid { start } => {
                write!(f, "the certificate is not valid before {}", rfc3339(*start))
            }
            Self::MemberExpired { subject, end } => write!(
                f,
                "the certificate of {subject} in the chain expired at {}; ask the authority for \
                 its current one",
                rfc3339(*end)
            ),
            Self::MemberNotYetValid { subject, start } => write!(
                f,
                "the certificate of {subject} in the chain is not valid before {}",
                rfc3339(*start)
            ),
        }
    }
}
