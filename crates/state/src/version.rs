//! The version of an entry: its stamp and its content. How fingerprints tell it, and which of two
//! versions stands.
//!
//! No two honest changes have the same stamp. A member that lies can make two all the same, and
//! give each node another: mirrors must see that they differ, and agree on one.

use std::cmp::Ordering;

use mailmesh_events::{Block, Change, Stamp, UnixMillis};
use ring::digest::{Context, SHA256};

use crate::planted::{Fault, planted};

/// The first half of a SHA-256 hash. A member has the key of the fingerprints, so their own hash
/// would not keep it from making two contents that have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ContentHash([u8; 16]);

impl ContentHash {
    /// The hash of parts in their order, each with its length.
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

    /// Of why a network is blocked, and who asked for it.
    pub(crate) fn of_text(block: &Block) -> Self {
        Self::of([block.reason().as_bytes(), block.origin().as_bytes()])
    }

    /// Of what is no network. The key of a certificate is left out: it is checked to be the
    /// leaf's, so that two can differ in their encoding alone.
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

/// What an entry holds, of which all that is long is hashed once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Removed,
    Network { text: ContentHash, added: UnixMillis, expires: Option<UnixMillis> },
    Other(ContentHash),
}

/// A stamp and what an entry holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) stamp: Stamp,
    pub(crate) content: Content,
}

impl Version {
    /// The same bytes on every machine.
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

/// How two changes of one key compare: the greater stands, on every node. It is the one with the
/// later stamp. Of two with the same stamp, which no honest node makes, it is the entry before
/// its removal, then the one that ends later, so that the lesser does not outlast it; then what
/// they hold decides.
#[must_use]
pub fn compare_changes(one: &Change, other: &Change) -> Ordering {
    one.stamp().cmp(&other.stamp()).then_with(|| compare_contents(one, other))
}

fn compare_contents(one: &Change, other: &Change) -> Ordering {
    /// Without an end it ends last.
    fn end(expires: Option<UnixMillis>) -> (bool, Option<UnixMillis>) {
        (expires.is_none(), expires)
    }
    if planted(Fault::FirstContentStays) {
        return Ordering::Equal;
    }
    match (one, other) {
        (Change::Network(one), Change::Network(other)) => {
            let [one, other] = [&one.block, &other.block].map(|block| {
                let block = block.as_deref()?;
                Some((end(block.expires), block.added, block.reason(), block.origin()))
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
