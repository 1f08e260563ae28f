//! Puts the certificates of a text in the order of a chain: each before its issuer.

use rustls::crypto::ring::default_provider;
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::der::{SEQUENCE, expect};
use super::error::PemError;
use super::facts::CertificateFacts;
use super::keys::KeyKind;
use super::warning::PemWarning;

/// A certificate of a text.
pub(super) struct Member<'a> {
    pub(super) der: &'a CertificateDer<'static>,
    parsed: X509Certificate<'a>,
    pub(super) facts: CertificateFacts,
}

impl<'a> Member<'a> {
    /// The certificate that is number `number` of a text, from 1.
    pub(super) fn of(der: &'a CertificateDer<'static>, number: usize) -> Result<Self, PemError> {
        let not_one = || PemError::NotACertificate { number };
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|_| not_one())?;
        let facts = CertificateFacts::of_parsed(&parsed).ok_or_else(not_one)?;
        if rest.is_empty() { Ok(Self { der, parsed, facts }) } else { Err(not_one()) }
    }

    /// The certificate's public key, as `SubjectPublicKeyInfo` in DER.
    pub(super) fn public_key(&self) -> &[u8] {
        self.parsed.public_key().raw
    }

    fn is_named_by(&self, other: &Self) -> bool {
        self.parsed.subject().as_raw() == other.parsed.issuer().as_raw()
    }

    /// Whether both are certificates of one key and name by one issuer.
    fn is_renewal_of(&self, other: &Self) -> bool {
        let (own, others) = (&self.parsed, &other.parsed);
        self.public_key() == other.public_key()
            && own.subject().as_raw() == others.subject().as_raw()
            && own.issuer().as_raw() == others.issuer().as_raw()
    }

    /// Whether its key signed the other, as far as that can be found out.
    fn signed(&self, other: &Self) -> bool {
        let is_signed = || verify(self, other).or_else(|| self.has_key_of(other));
        self.is_named_by(other) && is_signed().unwrap_or(true)
    }

    /// Whether it is the root of an authority.
    pub(super) fn is_root(&self) -> bool {
        self.facts.is_self_issued && self.signed(self)
    }

    /// Whether its key is the one that the other says that it was signed by.
    fn has_key_of(&self, other: &Self) -> Option<bool> {
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

/// Whether the key of `issuer` made the signature of `signed`; `None` if no algorithm that is
/// here can tell.
fn verify(issuer: &Member<'_>, signed: &Member<'_>) -> Option<bool> {
    // Of an RSA key of another size no signature is verified, good or not.
    if matches!(issuer.facts.key, KeyKind::Rsa { bits } if !(2048..=8192).contains(&bits)) {
        return None;
    }
    let (key, _) = expect(issuer.public_key(), SEQUENCE)?;
    let (key_algorithm, _) = expect(key, SEQUENCE)?;
    // A certificate: what is signed, the algorithm, the signature.
    let (certificate, _) = expect(signed.der, SEQUENCE)?;
    let (_, behind) = expect(certificate, SEQUENCE)?;
    let (algorithm, _) = expect(behind, SEQUENCE)?;
    let algorithms = default_provider().signature_verification_algorithms.all;
    let mut fitting = algorithms.iter().filter(|known| {
        known.public_key_alg_id().as_ref() == key_algorithm
            && known.signature_alg_id().as_ref() == algorithm
    });
    let public_key = &issuer.parsed.public_key().subject_public_key.data;
    let message = signed.parsed.tbs_certificate.as_ref();
    let signature = &signed.parsed.signature_value.data;
    let first = fitting.next()?.verify_signature(public_key, message, signature);
    Some(
        first.is_ok()
            || fitting.any(|a| a.verify_signature(public_key, message, signature).is_ok()),
    )
}

/// The leaf of a key among the members: one that signs no others rather than an authority's, then
/// one with DNS names, then the one issued last. What else has the key is left out.
pub(super) fn leaf(members: &[Member<'_>], public_key: &[u8]) -> Option<usize> {
    let of_key = |index: &usize| members[*index].public_key() == public_key;
    let rank = |index: &usize| {
        let facts = &members[*index].facts;
        // Of two alike, the first.
        let has_names = !facts.dns_names.is_empty();
        (!facts.is_authority, has_names, facts.not_before, std::cmp::Reverse(*index))
    };
    (0..members.len()).filter(of_key).max_by_key(rank)
}

/// The members that belong to the leaf, in their order: it, its issuer, and so on; then the other
/// ways to a root that cross-signed authorities have.
pub(super) fn order(members: &[Member<'_>], leaf: usize) -> (Vec<usize>, Vec<PemWarning>) {
    let mut walk = Walk::new(members, leaf);
    walk.run();
    let warnings = walk.warnings(leaf);
    (walk.chain, warnings)
}

/// The walk from a leaf up to its roots. Members are named by their index.
struct Walk<'a> {
    members: &'a [Member<'a>],
    /// For each member, whether it is the copy of an earlier one.
    copies: Vec<bool>,
    chain: Vec<usize>,
    /// Issuers of members of the chain that are left for when the way up has ended.
    others: Vec<usize>,
    roots: Vec<usize>,
    /// Members that another one, of the same authority and issuer, outlasts.
    older: Vec<usize>,
}

impl<'a> Walk<'a> {
    fn new(members: &'a [Member<'a>], leaf: usize) -> Self {
        let is_copy =
            |index: usize| (0..index).any(|other| members[other].der == members[index].der);
        let copies = (0..members.len()).map(is_copy).collect();
        let (others, roots, older) = (Vec::new(), Vec::new(), Vec::new());
        Self { members, copies, chain: vec![leaf], others, roots, older }
    }

    fn run(&mut self) {
        let mut at = 0;
        while at < self.chain.len() {
            let mut ways = self.ways_up(self.chain[at]).into_iter();
            let way = ways.next();
            self.others.extend(ways);
            at += 1;
            if let Some(way) = way {
                self.chain.push(way);
            } else if at == self.chain.len() && !self.others.is_empty() {
                self.chain.push(self.others.remove(0));
            }
        }
    }

    /// The issuers of a member that the walk has not seen, those that end later first. Roots and
    /// older certificates of one authority are set aside.
    fn ways_up(&mut self, index: usize) -> Vec<usize> {
        let (members, current) = (self.members, &self.members[index]);
        let is_new = |index: &usize| {
            let known = [&self.chain, &self.others, &self.roots, &self.older];
            let is_known = known.iter().any(|known| known.contains(index));
            !is_known && !self.copies[*index] && members[*index].signed(current)
        };
        // Nothing signs a root but itself.
        let mut issuers: Vec<usize> = match current.is_root() {
            true => Vec::new(),
            false => (0..members.len()).filter(is_new).collect(),
        };
        issuers.sort_by_key(|index| std::cmp::Reverse(members[*index].facts.not_after));
        let (roots, next): (Vec<_>, Vec<_>) =
            issuers.into_iter().partition(|index| members[*index].is_root());
        self.roots.extend(roots);
        let mut ways: Vec<usize> = Vec::new();
        for index in next {
            match ways.iter().any(|way| members[*way].is_renewal_of(&members[index])) {
                true => self.older.push(index),
                false => ways.push(index),
            }
        }
        ways
    }

    /// The warnings about the order, each member that is left out, and a missing issuer.
    fn warnings(&self, leaf: usize) -> Vec<PemWarning> {
        let mut warnings = Vec::new();
        let is_in_order = self.chain.windows(2).all(|pair| pair[0] < pair[1]);
        if !is_in_order {
            warnings.push(PemWarning::OrderMended);
        }
        let left_out = (0..self.members.len()).filter(|index| !self.chain.contains(index));
        warnings.extend(left_out.map(|index| self.left_out(index, leaf)));
        let is_alone = self.chain.len() == 1 && self.roots.is_empty();
        if is_alone && !self.members[leaf].is_root() {
            let issuer = self.members[leaf].facts.issuer.clone();
            warnings.push(PemWarning::IssuerMissing { issuer });
        }
        warnings
    }

    /// The warning about a member that is left out.
    fn left_out(&self, index: usize, leaf: usize) -> PemWarning {
        let member = &self.members[index];
        let (subject, end) = (member.facts.subject.clone(), member.facts.not_after);
        if self.copies[index] {
            PemWarning::DuplicateLeftOut { subject }
        } else if self.older.contains(&index) {
            PemWarning::OlderLeftOut { subject, end }
        } else if self.roots.contains(&index) {
            PemWarning::RootLeftOut { subject }
        } else if member.public_key() == self.members[leaf].public_key() {
            PemWarning::OtherLeafLeftOut { subject, end }
        } else {
            let is_namesake = self.chain.iter().any(|taken| {
                let taken = &self.members[*taken];
                !taken.is_root() && member.is_named_by(taken)
            });
            PemWarning::UnrelatedLeftOut { subject, is_namesake }
        }
    }
}
