//! Orders the certificates of a text as a chain: each certificate before its issuer.

use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm};
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::der::{SEQUENCE, expect};
use super::error::PemError;
use super::info::CertificateInfo;
use super::key_kind::KeyKind;
use super::warning::PemWarning;

/// A certificate of the text, parsed.
pub(super) struct Member<'a> {
    pub(super) der: &'a CertificateDer<'static>,
    parsed: X509Certificate<'a>,
    pub(super) info: CertificateInfo,
}

impl<'a> Member<'a> {
    /// Parses the certificate at position `number` of the text, from 1.
    pub(super) fn of(der: &'a CertificateDer<'static>, number: usize) -> Result<Self, PemError> {
        let invalid = || PemError::NotACertificate { number };
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|_| invalid())?;
        let info = CertificateInfo::of_parsed(&parsed).ok_or_else(invalid)?;
        if rest.is_empty() { Ok(Self { der, parsed, info }) } else { Err(invalid()) }
    }

    /// The certificate's public key, as `SubjectPublicKeyInfo` in DER.
    pub(super) fn public_key(&self) -> &[u8] {
        self.parsed.public_key().raw
    }

    fn is_named_issuer_of(&self, other: &Self) -> bool {
        self.parsed.subject().as_raw() == other.parsed.issuer().as_raw()
    }

    /// Whether both have the same key, subject and issuer.
    fn is_renewal_of(&self, other: &Self) -> bool {
        let (own, others) = (&self.parsed, &other.parsed);
        self.public_key() == other.public_key()
            && own.subject().as_raw() == others.subject().as_raw()
            && own.issuer().as_raw() == others.issuer().as_raw()
    }

    /// Whether the key of this certificate signed the other. If the signature cannot be verified,
    /// the key identifiers decide; without them, the issuer's name.
    fn signed(&self, other: &Self) -> bool {
        let is_signed = || verify(self, other).or_else(|| self.matches_key_id_of(other));
        self.is_named_issuer_of(other) && is_signed().unwrap_or(true)
    }

    /// Whether the certificate is self-signed.
    pub(super) fn is_root(&self) -> bool {
        self.info.is_self_issued && self.signed(self)
    }

    /// Whether this certificate's subject key identifier is the other's authority key identifier
    /// (RFC 5280, section 4.2.1); `None` if one of them is missing.
    fn matches_key_id_of(&self, other: &Self) -> Option<bool> {
        let own = self.parsed.extensions().iter().find_map(|extension| {
            match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0),
                _ => None,
            }
        })?;
        let signer = other.parsed.extensions().iter().find_map(|extension| {
            match extension.parsed_extension() {
                ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref(),
                _ => None,
            }
        })?;
        Some(own == signer.0)
    }
}

/// Whether the key of `issuer` made the signature of `signed`; `None` if no available algorithm can
/// verify it.
fn verify(issuer: &Member<'_>, signed: &Member<'_>) -> Option<bool> {
    // No signature by an RSA key of another size verifies, valid or not.
    if matches!(issuer.info.key, KeyKind::Rsa { bits } if !(2048..=8192).contains(&bits)) {
        return None;
    }
    let (key, _) = expect(issuer.public_key(), SEQUENCE)?;
    let (key_algorithm, _) = expect(key, SEQUENCE)?;
    // A certificate: the signed part, the algorithm, the signature.
    let (certificate, _) = expect(signed.der, SEQUENCE)?;
    let (_, rest) = expect(certificate, SEQUENCE)?;
    let (algorithm, _) = expect(rest, SEQUENCE)?;
    let algorithms = default_provider().signature_verification_algorithms.all;
    let mut fitting = algorithms.iter().filter(|known| {
        known.public_key_alg_id().as_ref() == key_algorithm
            && known.signature_alg_id().as_ref() == algorithm
    });
    let public_key = &issuer.parsed.public_key().subject_public_key.data;
    let message = signed.parsed.tbs_certificate.as_ref();
    let signature = &signed.parsed.signature_value.data;
    let verifies = |algorithm: &&dyn SignatureVerificationAlgorithm| {
        algorithm.verify_signature(public_key, message, signature).is_ok()
    };
    let first = fitting.next()?;
    Some(verifies(first) || fitting.any(verifies))
}

/// The leaf with this public key. Of several it prefers one that is not an authority, then one with
/// DNS names, then one that is valid `now` seconds after 1970, then the first.
pub(super) fn leaf(members: &[Member<'_>], public_key: &[u8], now: Option<i64>) -> Option<usize> {
    let of_key = |index: &usize| members[*index].public_key() == public_key;
    let rank = |index: &usize| {
        let info = &members[*index].info;
        let has_names = !info.dns_names.is_empty();
        let is_valid = now.is_none_or(|now| (info.not_before..info.not_after).contains(&now));
        (!info.is_authority, has_names, is_valid, std::cmp::Reverse(*index))
    };
    (0..members.len()).filter(of_key).max_by_key(rank)
}

/// Whether a member is an authority that signed another certificate, which is none.
pub(super) fn is_issuer(members: &[Member<'_>], index: usize) -> bool {
    let issuer = &members[index];
    let is_its_leaf = |other: &Member<'_>| {
        !other.info.is_authority && other.der != issuer.der && issuer.signed(other)
    };
    issuer.info.is_authority && members.iter().any(is_its_leaf)
}

/// The chain of a leaf.
pub(super) struct Chain {
    /// The indexes of the leaf, its issuer, and so on without the root. The alternative issuers of
    /// cross-signed authorities follow at the end.
    pub(super) order: Vec<usize>,
    /// Warnings about the order, and about members that are left out or missing.
    pub(super) warnings: Vec<PemWarning>,
}

/// Orders the chain of the member at index `leaf`.
pub(super) fn order(members: &[Member<'_>], leaf: usize) -> Chain {
    let mut walk = ChainWalk::new(members, leaf);
    walk.run();
    let warnings = walk.warnings(leaf);
    Chain { order: walk.chain, warnings }
}

/// A walk from a leaf up to its roots. Members are named by their index.
struct ChainWalk<'a> {
    members: &'a [Member<'a>],
    /// For each member, whether it is a copy of an earlier one.
    copies: Vec<bool>,
    chain: Vec<usize>,
    /// Further issuers of members of the chain. The walk continues with them once the current path
    /// has ended.
    alternatives: Vec<usize>,
    roots: Vec<usize>,
    /// Members that were renewed: another one has the same key, subject and issuer, and ends later.
    superseded: Vec<usize>,
}

impl<'a> ChainWalk<'a> {
    fn new(members: &'a [Member<'a>], leaf: usize) -> Self {
        let is_copy =
            |index: usize| (0..index).any(|other| members[other].der == members[index].der);
        let copies = (0..members.len()).map(is_copy).collect();
        let (alternatives, roots, superseded) = (Vec::new(), Vec::new(), Vec::new());
        Self { members, copies, chain: vec![leaf], alternatives, roots, superseded }
    }

    fn run(&mut self) {
        let mut at = 0;
        while at < self.chain.len() {
            let mut issuers = self.next_issuers(self.chain[at]).into_iter();
            let issuer = issuers.next();
            self.alternatives.extend(issuers);
            at += 1;
            if let Some(issuer) = issuer {
                self.chain.push(issuer);
            } else if at == self.chain.len() && !self.alternatives.is_empty() {
                self.chain.push(self.alternatives.remove(0));
            }
        }
    }

    /// The issuers of a member that the walk has not seen, the latest `notAfter` first. Roots and
    /// superseded certificates are recorded in their own lists.
    fn next_issuers(&mut self, index: usize) -> Vec<usize> {
        let (members, current) = (self.members, &self.members[index]);
        let is_new = |index: &usize| {
            let known = [&self.chain, &self.alternatives, &self.roots, &self.superseded];
            let is_known = known.iter().any(|known| known.contains(index));
            !is_known && !self.copies[*index] && members[*index].signed(current)
        };
        // A root has no issuer but itself.
        let mut issuers: Vec<usize> = match current.is_root() {
            true => Vec::new(),
            false => (0..members.len()).filter(is_new).collect(),
        };
        issuers.sort_by_key(|index| std::cmp::Reverse(members[*index].info.not_after));
        let (roots, next): (Vec<_>, Vec<_>) =
            issuers.into_iter().partition(|index| members[*index].is_root());
        self.roots.extend(roots);
        let mut chosen: Vec<usize> = Vec::new();
        for index in next {
            match chosen.iter().any(|other| members[*other].is_renewal_of(&members[index])) {
                true => self.superseded.push(index),
                false => chosen.push(index),
            }
        }
        chosen
    }

    /// Warnings about the order, about each member that is left out, and about a missing issuer.
    fn warnings(&self, leaf: usize) -> Vec<PemWarning> {
        let mut warnings = Vec::new();
        if !self.is_in_order() {
            warnings.push(PemWarning::OrderMended);
        }
        let left_out = (0..self.members.len()).filter(|index| !self.chain.contains(index));
        warnings.extend(left_out.map(|index| self.left_out(index, leaf)));
        let is_alone = self.chain.len() == 1 && self.roots.is_empty();
        if is_alone && !self.members[leaf].is_root() {
            let issuer = self.members[leaf].info.issuer.clone();
            warnings.push(PemWarning::IssuerMissing { issuer });
        }
        warnings
    }

    /// Whether the text has the certificates in the order of the chain, or in another one in which
    /// each precedes its issuers: a cross-signed authority has several.
    fn is_in_order(&self) -> bool {
        let is_issued_before = |issuer: usize, index: usize| {
            issuer < index && self.members[issuer].signed(&self.members[index])
        };
        let mut windows = self.chain.windows(2);
        windows.all(|pair| pair[0] < pair[1])
            || (self.chain.iter().all(|index| self.chain[0] <= *index)
                && self.chain.iter().all(|index| {
                    !self.chain.iter().any(|issuer| is_issued_before(*issuer, *index))
                }))
    }

    /// The warning about a member that is left out.
    fn left_out(&self, index: usize, leaf: usize) -> PemWarning {
        let member = &self.members[index];
        let (subject, end) = (member.info.subject.clone(), member.info.not_after);
        if self.copies[index] {
            PemWarning::DuplicateLeftOut { subject }
        } else if self.superseded.contains(&index) {
            PemWarning::OlderLeftOut { subject, end }
        } else if self.roots.contains(&index) {
            PemWarning::RootLeftOut { subject }
        } else if member.public_key() == self.members[leaf].public_key() {
            PemWarning::OtherLeafLeftOut { subject, end }
        } else {
            let is_same_name = self.chain.iter().any(|index| {
                let in_chain = &self.members[*index];
                !in_chain.is_root() && member.is_named_issuer_of(in_chain)
            });
            PemWarning::UnrelatedLeftOut { subject, is_same_name }
        }
    }
}
