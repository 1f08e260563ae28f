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

    /// Its public key, as `SubjectPublicKeyInfo` in DER.
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
    let is_copy = |index: usize| (0..index).any(|other| members[other].der == members[index].der);
    let copies: Vec<bool> = (0..members.len()).map(is_copy).collect();
    let mut chain = vec![leaf];
    let (mut roots, mut older) = (Vec::new(), Vec::new());
    let mut at = 0;
    // The way up; once that ends, from the others that signed a member of it.
    let mut others: Vec<usize> = Vec::new();
    while at < chain.len() {
        let current = &members[chain[at]];
        let is_new = |index: &usize| {
            let member = &members[*index];
            let is_known =
                [&chain, &others, &roots, &older].iter().any(|known| known.contains(index));
            !is_known && !copies[*index] && member.signed(current)
        };
        let mut issuers: Vec<usize> = (0..members.len()).filter(is_new).collect();
        if current.is_root() {
            // Nothing signs a root but itself.
            issuers.clear();
        }
        issuers.sort_by_key(|index| std::cmp::Reverse(members[*index].facts.not_after));
        let (found, next): (Vec<_>, Vec<_>) =
            issuers.into_iter().partition(|index| members[*index].is_root());
        roots.extend(found);
        // Those that end later come first: of one authority, by one issuer, one will do.
        let mut ways: Vec<usize> = Vec::new();
        for index in next {
            match ways.iter().any(|way| members[*way].is_renewal_of(&members[index])) {
                true => older.push(index),
                false => ways.push(index),
            }
        }
        let mut ways = ways.into_iter();
        let way = ways.next();
        others.extend(ways);
        at += 1;
        if let Some(way) = way {
            chain.push(way);
        } else if at == chain.len() && !others.is_empty() {
            chain.push(others.remove(0));
        }
    }
    let mut warnings = Vec::new();
    let is_in_order = chain.windows(2).all(|pair| pair[0] < pair[1]);
    if !is_in_order {
        warnings.push(PemWarning::OrderMended);
    }
    for (index, member) in members.iter().enumerate().filter(|(index, _)| !chain.contains(index)) {
        let subject = member.facts.subject.clone();
        warnings.push(if copies[index] {
            PemWarning::DuplicateLeftOut { subject }
        } else if older.contains(&index) {
            PemWarning::OlderLeftOut { subject, end: member.facts.not_after }
        } else if roots.contains(&index) {
            PemWarning::RootLeftOut { subject }
        } else if member.public_key() == members[leaf].public_key() {
            PemWarning::OtherLeafLeftOut { subject, end: member.facts.not_after }
        } else {
            let is_namesake = chain.iter().any(|taken| {
                let taken = &members[*taken];
                !taken.is_root() && member.is_named_by(taken)
            });
            PemWarning::UnrelatedLeftOut { subject, is_namesake }
        });
    }
    let facts = &members[leaf].facts;
    let is_alone = chain.len() == 1 && roots.is_empty();
    if is_alone && !members[leaf].is_root() {
        warnings.push(PemWarning::IssuerMissing { issuer: facts.issuer.clone() });
    }
    (chain, warnings)
}
