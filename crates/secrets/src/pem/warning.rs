//! The warnings about a certificate that was mended, or a part of which was left out.

use std::fmt;

use super::error::Wanted;
use super::facts::moment;
use super::keys::KeyKind;

/// A warning about something that was mended or left out, or that clients will treat otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PemWarning {
    /// The text was UTF-16.
    Utf16 {
        /// The kind of the text.
        of: Wanted,
    },
    /// Newlines were missing, or written as `\n`.
    NewlinesRestored {
        /// The kind of the text.
        of: Wanted,
        /// The line of the first section that had none, from 1.
        line: usize,
    },
    /// The chain was not in its order.
    OrderMended,
    /// A certificate of a root, which clients have themselves.
    RootLeftOut {
        /// The subject of the certificate.
        subject: String,
    },
    /// A certificate that is there twice.
    DuplicateLeftOut {
        /// The subject of the certificate.
        subject: String,
    },
    /// An older certificate of the same authority, by the same issuer, as one that is taken.
    OlderLeftOut {
        /// The subject of the certificate.
        subject: String,
        /// The `notAfter` of the certificate, in seconds since 1970.
        end: i64,
    },
    /// A certificate that signed no other of the chain.
    UnrelatedLeftOut {
        /// The subject of the certificate.
        subject: String,
        /// Whether a member names it as its issuer, though another key signed that member.
        is_namesake: bool,
    },
    /// Another certificate of the same key.
    OtherLeafLeftOut {
        /// The subject of the certificate.
        subject: String,
        /// The `notAfter` of the certificate, in seconds since 1970.
        end: i64,
    },
    /// A private key that is not the one of the certificate.
    OtherKeyLeftOut {
        /// The line where it begins, from 1.
        line: usize,
        /// The kind of the key.
        kind: KeyKind,
    },
    /// The leaf alone, of an authority that is not in the text.
    IssuerMissing {
        /// The issuer of the leaf.
        issuer: String,
    },
    /// The common name is not among the names that are served.
    NameOnlyInCommonName {
        /// The common name.
        name: String,
    },
    /// The leaf names addresses too, which no client asks for by name.
    AddressesNotServed {
        /// The addresses, separated by commas.
        addresses: String,
    },
    /// Names of the leaf that no client asks for: they are no DNS names.
    NamesNotServed {
        /// The first of them, separated by commas.
        names: String,
    },
    /// Names of the leaf that cannot be read.
    NamesNotRead {
        /// The number of such names.
        count: usize,
    },
    /// The leaf is signed by its own key.
    SelfSigned,
    /// The leaf may sign other certificates.
    LeafIsAuthority,
    /// The leaf is over.
    LeafEnded {
        /// The `notAfter` of the certificate, in seconds since 1970.
        end: i64,
    },
    /// The leaf is not valid yet.
    LeafNotYetValid {
        /// The `notBefore` of the certificate, in seconds since 1970.
        start: i64,
    },
    /// Another member of the chain is over.
    MemberEnded {
        /// The subject of the certificate.
        subject: String,
        /// The `notAfter` of the certificate, in seconds since 1970.
        end: i64,
    },
    /// Another member of the chain is not valid yet.
    MemberNotYetValid {
        /// The subject of the certificate.
        subject: String,
        /// The `notBefore` of the certificate, in seconds since 1970.
        start: i64,
    },
}

impl PemWarning {
    /// The kind of the text that the warning is about.
    #[must_use]
    pub fn of(&self) -> Wanted {
        match self {
            Self::Utf16 { of } | Self::NewlinesRestored { of, .. } => *of,
            Self::OtherKeyLeftOut { .. } => Wanted::PrivateKey,
            _ => Wanted::Certificates,
        }
    }
}

impl fmt::Display for PemWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Utf16 { .. } => f.write_str("the text is UTF-16; most servers read UTF-8 only"),
            Self::NewlinesRestored { line, .. } => {
                write!(f, "line {line}: the newlines of this PEM were missing; they are restored")
            }
            Self::OrderMended => f.write_str(
                "the certificates were not in order; each now stands before its issuer, the one \
                 of the key first",
            ),
            Self::RootLeftOut { subject } => {
                write!(f, "the root ({subject}) is left out: clients use their own copy of it")
            }
            Self::DuplicateLeftOut { subject } => {
                write!(f, "a second copy of the certificate of {subject} is left out")
            }
            Self::OlderLeftOut { subject, end } => write!(
                f,
                "a certificate of {subject} until {} is left out: there is one that ends later",
                moment(*end)
            ),
            Self::UnrelatedLeftOut { subject, is_namesake: false } => {
                write!(f, "the certificate of {subject} is left out: it signs none of the others")
            }
            Self::UnrelatedLeftOut { subject, is_namesake: true } => write!(
                f,
                "the certificate of {subject} is left out: another names it as its issuer, but \
                 is signed by another key"
            ),
            Self::OtherLeafLeftOut { subject, end } => write!(
                f,
                "another certificate of the same key ({subject}, until {}) is left out",
                moment(*end)
            ),
            Self::OtherKeyLeftOut { line, kind } => write!(
                f,
                "line {line}: the private key here ({kind}) is left out: the certificate has \
                 another"
            ),
            Self::IssuerMissing { issuer } => write!(
                f,
                "the certificate of its issuer ({issuer}) is missing; unless that is a root, \
                 give the whole chain (often called fullchain.pem)"
            ),
            Self::NameOnlyInCommonName { name } => write!(
                f,
                "the name {name} is not served: it is only in the common name (CN), which clients \
                 do not look at; ask the authority for a certificate with it in the \
                 subjectAltName (DNS:{name})"
            ),
            Self::AddressesNotServed { addresses } => write!(
                f,
                "the certificate is not found by its addresses ({addresses}), only by its names: \
                 a client does not say which address it connects to"
            ),
            Self::NamesNotServed { names } => write!(
                f,
                "these names are not served, since no client asks for them: {names}; other \
                 scripts than ASCII are written as A-labels (xn--...)"
            ),
            Self::NamesNotRead { count } => write!(
                f,
                "{count} of its names cannot be read and are not served; other scripts than ASCII \
                 are written as A-labels (xn--...)"
            ),
            Self::SelfSigned => f.write_str(
                "the certificate is signed by its own key: clients trust it only if they are told \
                 to",
            ),
            Self::LeafIsAuthority => f.write_str(
                "the certificate may sign others (CA:TRUE), and some clients refuse such a one of \
                 a server; make one without",
            ),
            Self::LeafEnded { end } => write!(f, "the certificate ended at {}", moment(*end)),
            Self::LeafNotYetValid { start } => {
                write!(f, "the certificate is not valid before {}", moment(*start))
            }
            Self::MemberEnded { subject, end } => write!(
                f,
                "the certificate of {subject} in the chain ended at {}; ask the authority for the \
                 present one",
                moment(*end)
            ),
            Self::MemberNotYetValid { subject, start } => write!(
                f,
                "the certificate of {subject} in the chain is not valid before {}",
                moment(*start)
            ),
        }
    }
}
