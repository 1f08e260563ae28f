//! Reads a certificate with its chain and its key.

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::chain::{self, Chain, Member};
use super::error::{Expected, PemError};
use super::info::CertificateInfo;
use super::key_check::public_key;
use super::key_kind::KeyKind;
use super::read::{self, FoundKey, Read};
use super::refusal::refusal;
use super::warning::PemWarning;

/// Most certificates in a text, including those that are left out of the chain.
const MAX_CERTIFICATES: usize = 512;
/// Most addresses of a leaf that a warning names.
const MAX_SHOWN_ADDRESSES: usize = 8;

/// A certificate, its chain and its key.
#[non_exhaustive]
pub struct Identity {
    /// The chain, leaf first, without the root.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's private key.
    pub key: Zeroizing<PrivateKeyDer<'static>>,
    /// The fields of each certificate of the chain, in the same order; never empty.
    pub members: Vec<CertificateInfo>,
    /// Warnings about what was corrected or left out, and about the leaf.
    pub warnings: Vec<PemWarning>,
}

/// Shows the members only, not the key.
impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("members", &self.members).finish_non_exhaustive()
    }
}

/// The error of [`identity`], and the text that caused it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
#[non_exhaustive]
pub struct IdentityError {
    /// Which of the two texts caused the error.
    pub input: Expected,
    /// The fault in the text.
    pub error: PemError,
}

/// Reads a certificate chain from one text and its private key from another, which may be the same.
///
/// The leaf is the certificate of the key, wherever it stands in the text. Of several, one that is
/// valid `now` seconds after 1970 is preferred, then the first. Its issuers follow by name and
/// signature. Of several keys, the first that has a certificate is used. Certificates that
/// do not belong to the chain are left out, with a warning each.
///
/// # Errors
/// [`IdentityError`] if one of the texts cannot be read, the key has no certificate, or the chain
/// has more than `limit` certificates.
pub fn identity(
    chain: &[u8],
    key: &[u8],
    limit: usize,
    now: Option<i64>,
) -> Result<Identity, IdentityError> {
    let chain_error = |error| IdentityError { input: Expected::Certificates, error };
    let key_error = |error| IdentityError { input: Expected::PrivateKey, error };
    let Read { items: certificates, mut warnings } =
        read::certificates(chain, MAX_CERTIFICATES).map_err(chain_error)?;
    let Read { items: mut keys, warnings: key_warnings } = read::keys(key).map_err(key_error)?;
    let members = members(&certificates).map_err(chain_error)?;
    let Pair { key: taken, leaf } = pair(&keys, &members, now).map_err(key_error)?;
    if let Some(error) = refusal(members[leaf].der, leaf + 1) {
        return Err(chain_error(error));
    }
    let Chain { order, warnings: mut chain_warnings } = chain::order(&members, leaf);
    if order.len() > limit {
        return Err(chain_error(PemError::TooMany { limit }));
    }
    warnings.extend(key_warnings);
    warnings.append(&mut chain_warnings);
    let is_other = |other: &&FoundKey| other.key.secret_der() != keys[taken].key.secret_der();
    warnings.extend(keys.iter().filter(is_other).map(|other| PemWarning::OtherKeyLeftOut {
        line: other.line,
        kind: KeyKind::of_private(&other.key),
    }));
    leaf_warnings(&members[leaf], &mut warnings);
    Ok(Identity {
        chain: order.iter().map(|index| members[*index].der.clone()).collect(),
        key: keys.swap_remove(taken).key,
        members: order.iter().map(|index| members[*index].info.clone()).collect(),
        warnings,
    })
}

impl Identity {
    /// Warnings about members that have expired, or are not yet valid, `now` seconds after 1970.
    pub fn date_warnings(&self, now: i64) -> impl Iterator<Item = PemWarning> {
        self.members.iter().enumerate().filter_map(move |(index, member)| {
            let (subject, start, end) =
                (member.subject.clone(), member.not_before, member.not_after);
            match (index, end <= now || end <= start, start > now) {
                (0, true, _) => Some(PemWarning::LeafExpired { end }),
                (0, _, true) => Some(PemWarning::LeafNotYetValid { start }),
                (_, true, _) => Some(PemWarning::MemberExpired { subject, end }),
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

/// The indexes of a key and of its certificate.
struct Pair {
    key: usize,
    leaf: usize,
}

/// The first key that has a certificate. The key of an authority that signed another certificate of
/// the text is not meant.
fn pair(keys: &[FoundKey], members: &[Member<'_>], now: Option<i64>) -> Result<Pair, PemError> {
    let mut first_error = None;
    let (mut any_usable, mut any_authority) = (false, false);
    for (index, found) in keys.iter().enumerate() {
        match public_key(&found.key) {
            Ok(public_key) => {
                any_usable = true;
                match chain::leaf(members, &public_key, now) {
                    Some(leaf) if chain::is_issuer(members, leaf) => any_authority = true,
                    Some(leaf) => return Ok(Pair { key: index, leaf }),
                    None => {}
                }
            }
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    let mismatch = match any_authority {
        true => PemError::AuthorityKey,
        false => PemError::Mismatch,
    };
    Err(first_error.filter(|_| !any_usable).unwrap_or(mismatch))
}

/// Warnings about how clients will treat the leaf.
fn leaf_warnings(leaf: &Member<'_>, warnings: &mut Vec<PemWarning>) {
    let info = &leaf.info;
    if let Some(name) = &info.common_name
        && !info.dns_names.is_empty()
        && is_host(name)
        && !info.dns_names.iter().any(|dns| normalized(dns) == normalized(name))
    {
        warnings.push(PemWarning::NameOnlyInCommonName { name: name.clone() });
    }
    if !info.addresses.is_empty() && !info.dns_names.is_empty() {
        let addresses = info.addresses.iter().take(MAX_SHOWN_ADDRESSES);
        let addresses: Vec<_> = addresses.map(ToString::to_string).collect();
        warnings.push(PemWarning::AddressesNotServed { addresses: addresses.join(", ") });
    }
    if info.unreadable_names > 0 {
        warnings.push(PemWarning::NamesNotRead { count: info.unreadable_names });
    }
    if leaf.is_root() {
        warnings.push(PemWarning::SelfSigned);
    }
    if !info.is_for_servers {
        warnings.push(PemWarning::NotForServers);
    }
    if !info.may_sign {
        warnings.push(PemWarning::NoDigitalSignature);
    }
    if info.is_authority {
        warnings.push(PemWarning::LeafIsAuthority);
    }
}

/// Whether a common name looks like a host name, and not like a person or an organisation.
fn is_host(name: &str) -> bool {
    let is_host_char = |c: char| c.is_alphanumeric() || "-._*".contains(c);
    name.contains('.') && name.chars().all(is_host_char)
}

fn normalized(name: &str) -> String {
    name.trim_end_matches('.').to_lowercase()
}
