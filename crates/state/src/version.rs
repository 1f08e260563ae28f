//! The version of an entry: its stamp and content. How fingerprints identify it, and which of two
//! versions wins.
//!
//! No two honest changes of a key have the same stamp. A lying member can give one stamp to two
//! contents and send each to other nodes. Mirrors must detect that they differ, and agree on one.

use std::cmp::Ordering;

use mailmesh_events::{Change, RuleDetails, Stamp, UnixMillis};
use ring::digest::{Context, SHA256};

use crate::planted::{Fault, planted};

/// The first half of a SHA-256 hash. Members know the fingerprint key, so a keyed hash would not
/// keep a member from making two contents with the same hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ContentHash([u8; 16]);

impl ContentHash {
    /// The hash of a sequence of parts, each prefixed by its length.
    fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        let mut hash = [0; 16];
        let all = context.finish();
        hash.iter_mut().zip(all.as_ref()).for_each(|(byte, hashed)| *byte = *hashed);
        Self(hash)
    }

    /// The hash of a rule's reason and origin.
    pub(crate) fn of_text(details: &RuleDetails) -> Self {
        Self::of([details.reason().as_bytes(), details.origin().as_bytes()])
    }

    /// The hash of an entry that is not a network. The private key of a certificate is left out: it
    /// belongs to the leaf, so two keys could only differ in their encoding.
    pub(crate) fn of_other(change: &Change) -> Self {
        match change {
            Change::Certificate(change) => {
                let certificate = change.certificate.iter();
                Self::of(certificate.flat_map(|it| it.chain()).map(AsRef::as_ref))
            }
            Change::Value(change) => change.value.as_ref().map_or_else(Self::default, |value| {
                let end = value.expires.map(|end| end.0.to_le_bytes());
                let end = end.as_ref().map_or(&[][..], |end| end);
                Self::of([&value.payload()[..], end])
            }),
            _ => Self::default(),
        }
    }
}

/// The content of an entry, with its long parts hashed once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Removed,
    Network { text: ContentHash, added: UnixMillis, expires: Option<UnixMillis> },
    Other(ContentHash),
}

/// The stamp and content of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) stamp: Stamp,
    pub(crate) content: Content,
}

impl Version {
    /// The bytes that fingerprints hash, the same on every platform.
    pub(crate) fn bytes(&self) -> [u8; 49] {
        let (kind, ContentHash(hash), added, expires) = match self.content {
            Content::Removed => (0, ContentHash::default(), 0, 0),
            Content::Network { text, added, expires: None } => (1, text, added.0, 0),
            Content::Network { text, added, expires: Some(end) } => (2, text, added.0, end.0),
            Content::Other(hash) => (3, hash, 0, 0),
        };
        let mut bytes = [kind; 49];
        bytes[..16].copy_from_slice(&hash);
        let numbers = [self.stamp.time(), self.stamp.node().0, added, expires];
        for (place, number) in bytes[16..].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }
}

/// Compares two changes of one key: the greater wins on every node. The later stamp is greater.
/// Honest nodes never make two changes of a key with equal stamps. For equal stamps an entry is
/// greater than a removal, then the entry that expires later, so that the losing entry does not
/// outlast the winner; then the contents are compared.
#[must_use]
pub fn compare_changes(one: &Change, other: &Change) -> Ordering {
    one.stamp().cmp(&other.stamp()).then_with(|| compare_contents(one, other))
}

fn compare_contents(one: &Change, other: &Change) -> Ordering {
    /// An entry without an expiry is greater than all others.
    fn end(expires: Option<UnixMillis>) -> (bool, Option<UnixMillis>) {
        (expires.is_none(), expires)
    }
    if planted(Fault::FirstContentStays) {
        return Ordering::Equal;
    }
    match (one, other) {
        (Change::Network(one), Change::Network(other)) => {
            let [one, other] = [&one.details, &other.details].map(|details| {
                let it = details.as_deref()?;
                Some((end(it.expires), it.added, it.reason(), it.origin()))
            });
            one.cmp(&other)
        }
        (Change::Certificate(one), Change::Certificate(other)) => {
            let [one, other] = [&one.certificate, &other.certificate].map(|certificate| {
                let it = certificate.as_deref()?;
                Some((it.not_before(), it.not_after(), it.chain()))
            });
            one.cmp(&other)
        }
        (Change::Value(one), Change::Value(other)) => {
            let [one, other] = [&one.value, &other.value].map(|value| {
                let value = value.as_deref()?;
                Some((end(value.expires), value.payload()))
            });
            one.cmp(&other)
        }
        _ => Ordering::Equal,
    }
}
