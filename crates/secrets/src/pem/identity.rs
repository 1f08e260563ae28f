//! Reads a certificate with its chain and its key, in the layouts and encodings that operators and
//! other programs produce.

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::chain::{self, Member};
use super::error::{PemError, Wanted};
use super::facts::CertificateFacts;
use super::keys::{self, KeyKind};
use super::read::{Items, Read};
use super::warning::PemWarning;

/// Most certificates of a text, with those that are left out.
const MEMBERS: usize = 512;

/// A certificate, its chain and its key.
pub struct Identity {
    /// The chain, leaf first, without the root.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's private key.
    pub key: Zeroizing<PrivateKeyDer<'static>>,
    /// The fields of each certificate of the chain, in the same order; never empty.
    pub members: Vec<CertificateFacts>,
    /// The warnings about what was mended or left out.
    pub warnings: Vec<PemWarning>,
}

/// Does not show the key.
impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("members", &self.members).finish_non_exhaustive()
    }
}

/// The error of reading a certificate with its key, and the text that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct IdentityError {
    /// The kind of the text.
    pub of: Wanted,
    /// The reason why the text is refused.
    pub error: PemError,
}

/// Reads a certificate: its chain of one text and its key of another, which may be the same text.
///
/// The leaf is the certificate of the key, wherever it stands; its issuers follow by name and
/// signature. Of several keys, the first that has a certificate is taken. Certificates that do not
/// belong to the chain are left out, with a warning each. A chain has at most `limit` certificates.
///
/// # Errors
/// [`IdentityError`].
pub fn identity(chain: &[u8], key: &[u8], limit: usize) -> Result<Identity, IdentityError> {
    let of_chain = |error| IdentityError { of: Wanted::Certificates, error };
    let of_key = |error| IdentityError { of: Wanted::PrivateKey, error };
    let Read { items: certificates, mut warnings } =
        super::read::certificates(chain, MEMBERS).map_err(of_chain)?;
    let Read { items: mut keys, warnings: of_keys } = super::read::keys(key).map_err(of_key)?;
    let members = members(&certificates).map_err(of_chain)?;
    let (taken, leaf) = pair(&keys, &members).map_err(of_key)?;
    let (order, mut left_out) = chain::order(&members, leaf);
    if order.len() > limit {
        return Err(of_chain(PemError::TooMany { limit }));
    }
    warnings.extend(of_keys);
    warnings.append(&mut left_out);
    let (line, key) = &keys[taken];
    warnings.extend(keys.iter().filter(|(other, _)| other != line).filter_map(|(line, other)| {
        let kind = KeyKind::of_private(other);
        let is_same = other.secret_der() == key.secret_der();
        (!is_same).then_some(PemWarning::OtherKeyLeftOut { line: *line, kind })
    }));
    of_leaf(&members[leaf], &mut warnings);
    Ok(Identity {
        chain: order.iter().map(|index| members[*index].der.clone()).collect(),
        key: keys.swap_remove(taken).1,
        members: order.iter().map(|index| members[*index].facts.clone()).collect(),
        warnings,
    })
}

impl Identity {
    /// The warnings of dates: members that are over or not valid yet `now` seconds after 1970.
    pub fn dates(&self, now: i64) -> impl Iterator<Item = PemWarning> {
        self.members.iter().enumerate().filter_map(move |(index, member)| {
            let (subject, start, end) =
                (member.subject.clone(), member.not_before, member.not_after);
            match (index, end <= now || end <= start, start > now) {
                (0, true, _) => Some(PemWarning::LeafEnded { end }),
                (0, _, true) => Some(PemWarning::LeafNotYetValid { start }),
                (_, true, _) => Some(PemWarning::MemberEnded { subject, end }),
                (_, _, true) => Some(PemWarning::MemberNotYetValid { subject, start }),
                _ => None,
            }
        })
    }
}

fn members<'a>(certificates: &'a [CertificateDer<'static>]) -> Result<Vec<Member<'a>>, PemError> {
    let numbered = certificates.iter().enumerate();
    numbered.map(|(index, der)| Member::of(der, index + 1)).collect()
}

/// The first key that has a certificate, and that certificate.
fn pair(keys: &Items, members: &[Member<'_>]) -> Result<(usize, usize), PemError> {
    let mut first = None;
    let mut any_usable = false;
    for (index, (_, key)) in keys.iter().enumerate() {
        match keys::public_key(key) {
            Ok(public_key) => {
                any_usable = true;
                if let Some(leaf) = chain::leaf(members, &public_key) {
                    return Ok((index, leaf));
                }
            }
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(first.filter(|_| !any_usable).unwrap_or(PemError::Mismatch))
}

/// Warnings about how clients will treat the leaf.
fn of_leaf(leaf: &Member<'_>, warnings: &mut Vec<PemWarning>) {
    let facts = &leaf.facts;
    if let Some(name) = &facts.common_name
        && !facts.dns_names.is_empty()
        && is_host(name)
        && !facts.dns_names.iter().any(|dns| plain(dns) == plain(name))
    {
        warnings.push(PemWarning::NameOnlyInCommonName { name: name.clone() });
    }
    if !facts.addresses.is_empty() && !facts.dns_names.is_empty() {
        let addresses: Vec<_> = facts.addresses.iter().take(8).map(ToString::to_string).collect();
        warnings.push(PemWarning::AddressesNotServed { addresses: addresses.join(", ") });
    }
    if facts.unreadable_names > 0 {
        warnings.push(PemWarning::NamesNotRead { count: facts.unreadable_names });
    }
    if leaf.is_root() {
        warnings.push(PemWarning::SelfSigned);
    }
    if facts.is_authority {
        warnings.push(PemWarning::LeafIsAuthority);
    }
}

/// Whether a common name looks like one of a host, and not of a person or an organisation.
fn is_host(name: &str) -> bool {
    let is_of_host = |c: char| c.is_alphanumeric() || "-._*".contains(c);
    name.contains('.') && name.chars().all(is_of_host)
}

fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_lowercase()
}
