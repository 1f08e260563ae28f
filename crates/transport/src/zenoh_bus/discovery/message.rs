//! The two messages of discovery. Both carry a MAC (HMAC-SHA-256, RFC 2104) with a key derived from
//! the cluster key. Length, magic and tag are checked first; nothing else is parsed before the MAC
//! is verified.
//!
//! ```text
//! magic "mmd2" | tag [8] | kind u8 | nonce [16] | zid [16] | ...                | MAC [32]
//! kind 1, a question:                              count u8 | count x zid's first 8 bytes
//! kind 2, an answer:                               count u8 | count x address
//! address: 4 | [4] | port u16   or   6 | [16] | port u16
//! ```
//!
//! The tag identifies the cluster (a hash of its name, not a secret). It separates a node that
//! lacks its cluster's key from a node that hears another cluster.
//!
//! An answer repeats the nonce of its question, so a recorded answer is useless: the sender of an
//! answer holds the key now, and the addresses are its own.

use std::net::SocketAddr;

use ring::hmac;

use crate::address_bytes::{put, take, take_address};
use crate::bus::ClusterTag;

const MAGIC: &[u8; 4] = b"mmd2";
const QUESTION: u8 = 1;
const ANSWER: u8 = 2;
/// Length of a MAC.
const MAC_LEN: usize = 32;
/// Maximum number of addresses in an answer.
pub(super) const MAX_ADDRESSES: usize = 16;
/// Maximum number of nodes that a question asks not to answer. Further nodes answer needlessly.
pub(super) const MAX_KNOWN: usize = 100;
/// Maximum message length: it fits into one Ethernet packet.
pub(super) const MAX_LEN: usize = 1_200;

/// Minimum message length.
const MIN_LEN: usize = MAGIC.len() + 8 + 1 + 16 + 16 + 1 + MAC_LEN;

pub(super) type Nonce = [u8; 16];
pub(super) type Zid = [u8; 16];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) nonce: Nonce,
    /// The Zenoh session, or the node id at the gate, of the sender.
    pub(super) zid: Zid,
    pub(super) body: Body,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Body {
    /// Asks nodes to answer. Nodes whose id begins with one of `known` need not.
    Question { known: Vec<[u8; 8]> },
    /// The sender can be dialed at these addresses.
    Answer { addresses: Vec<SocketAddr> },
}

/// Identifies a message: its kind, nonce and sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct MessageId {
    kind: u8,
    pub(super) nonce: Nonce,
    pub(super) zid: Zid,
}

impl Message {
    /// The id of a message with a [valid header](Self::has_valid_header), before its MAC is
    /// verified.
    pub(super) fn id(bytes: &[u8]) -> Option<MessageId> {
        let mut rest = bytes.get(MAGIC.len() + size_of::<ClusterTag>()..)?;
        let [kind] = take(&mut rest)?;
        Some(MessageId { kind, nonce: take(&mut rest)?, zid: take(&mut rest)? })
    }

    /// Encodes the message. Entries past the maximum are left out.
    pub(super) fn encode(&self, tag: ClusterTag, key: &hmac::Key) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(MAX_LEN);
        bytes.extend(MAGIC);
        bytes.extend(tag);
        let kind = if matches!(self.body, Body::Question { .. }) { QUESTION } else { ANSWER };
        bytes.push(kind);
        bytes.extend(self.nonce);
        bytes.extend(self.zid);
        match &self.body {
            Body::Question { known } => {
                let known = &known[..known.len().min(MAX_KNOWN)];
                bytes.push(known.len() as u8);
                known.iter().for_each(|zid| bytes.extend(zid));
            }
            Body::Answer { addresses } => {
                let addresses = &addresses[..addresses.len().min(MAX_ADDRESSES)];
                bytes.push(addresses.len() as u8);
                addresses.iter().for_each(|address| put(&mut bytes, *address));
            }
        }
        let mac = hmac::sign(key, &bytes);
        bytes.extend(mac.as_ref());
        bytes
    }

    /// Whether the datagram has the length, magic and tag of a message of the cluster.
    pub(super) fn has_valid_header(bytes: &[u8], tag: ClusterTag) -> bool {
        let is_of_cluster = bytes.strip_prefix(MAGIC).is_some_and(|rest| rest.starts_with(&tag));
        (MIN_LEN..=MAX_LEN).contains(&bytes.len()) && is_of_cluster
    }

    /// Verifies and decodes a datagram, and finds the key that signed it.
    pub(super) fn decode(bytes: &[u8], tag: ClusterTag, keys: &[hmac::Key]) -> Decoded {
        if !Self::has_valid_header(bytes, tag) {
            return Decoded::Nothing;
        }
        let (signed, mac) = bytes.split_at(bytes.len() - MAC_LEN);
        let Some(key) = keys.iter().position(|key| hmac::verify(key, signed, mac).is_ok()) else {
            return Decoded::OtherKey;
        };
        let message = Self::read(&signed[MAGIC.len() + tag.len()..]);
        message.map_or(Decoded::Nothing, |message| Decoded::Message(message, key))
    }

    fn read(mut rest: &[u8]) -> Option<Self> {
        let [kind] = take(&mut rest)?;
        let (nonce, zid) = (take(&mut rest)?, take(&mut rest)?);
        let [count] = take(&mut rest)?;
        let body = match kind {
            QUESTION if usize::from(count) <= MAX_KNOWN => {
                let known = (0..count).map(|_| take(&mut rest)).collect::<Option<_>>()?;
                Body::Question { known }
            }
            ANSWER if usize::from(count) <= MAX_ADDRESSES => {
                let addresses =
                    (0..count).map(|_| take_address(&mut rest)).collect::<Option<_>>()?;
                Body::Answer { addresses }
            }
            _ => return None,
        };
        rest.is_empty().then_some(Self { nonce, zid, body })
    }
}

/// For the fuzzer: decodes arbitrary bytes, as a stranger's datagram and as a message signed by a
/// holder of the key.
///
/// # Panics
/// If a decoded message changes when it is encoded again.
#[doc(hidden)]
pub fn fuzz_datagram(bytes: &[u8]) {
    let (tag, key) = (*b"fuzzing.", hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]));
    let keys = [hmac::Key::new(hmac::HMAC_SHA256, &[8; 32]), key];
    let _refused = Message::decode(bytes, tag, &keys);
    let mut signed = [MAGIC.as_slice(), &tag, bytes].concat();
    let mac = hmac::sign(&keys[1], &signed);
    signed.extend(mac.as_ref());
    if let Decoded::Message(message, at) = Message::decode(&signed, tag, &keys) {
        assert_eq!((at, &message.encode(tag, &keys[1])), (1, &signed));
    }
}

/// The result of decoding a datagram.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decoded {
    /// Not a message of this cluster.
    Nothing,
    /// A message of this cluster that was modified, or that none of the keys signed.
    OtherKey,
    /// A message, and the index of its key.
    Message(Message, usize),
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;

    const TAG: ClusterTag = [7; 8];

    fn key(n: u8) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &[n; 32])
    }

    fn any_message() -> impl Strategy<Value = Message> {
        let known = prop::collection::vec(any::<[u8; 8]>(), 0..=MAX_KNOWN);
        let addresses = prop::collection::vec(any::<(IpAddr, u16)>(), 0..=MAX_ADDRESSES);
        let body = prop_oneof![
            known.prop_map(|known| Body::Question { known }),
            addresses.prop_map(|addresses| Body::Answer {
                addresses: addresses.into_iter().map(Into::into).collect()
            }),
        ];
        (any::<Nonce>(), any::<Zid>(), body).prop_map(|(nonce, zid, body)| Message {
            nonce,
            zid,
            body,
        })
    }

    proptest! {
        #[test]
        fn only_holders_of_the_key_decode_a_message(message in any_message()) {
            let bytes = message.encode(TAG, &key(2));
            prop_assert!((MIN_LEN..=MAX_LEN).contains(&bytes.len()));
            let decoded = Message::decode(&bytes, TAG, &[key(1), key(2)]);
            prop_assert_eq!(decoded, Decoded::Message(message, 1));
            prop_assert_eq!(Message::decode(&bytes, TAG, &[key(1)]), Decoded::OtherKey);
            prop_assert_eq!(Message::decode(&bytes, [8; 8], &[key(2)]), Decoded::Nothing);
        }

        #[test]
        fn a_modified_or_truncated_message_is_refused(
            message in any_message(), at in any::<prop::sample::Index>(), bit in 0u32..8,
        ) {
            let mut bytes = message.encode(TAG, &key(1));
            let at = at.index(bytes.len());
            let is_read = |bytes: &[u8]| {
                matches!(Message::decode(bytes, TAG, &[key(1)]), Decoded::Message(..))
            };
            prop_assert!(!is_read(&bytes[..at]));
            bytes[at] ^= 1 << bit;
            prop_assert!(!is_read(&bytes));
        }

        /// A holder of the key may sign malformed messages too.
        #[test]
        fn any_signed_bytes_decode_exactly_or_not_at_all(
            signed in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut bytes = [MAGIC.as_slice(), &TAG, &signed].concat();
            let mac = hmac::sign(&key(1), &bytes);
            bytes.extend(mac.as_ref());
            if let Decoded::Message(message, _) = Message::decode(&bytes, TAG, &[key(1)]) {
                prop_assert_eq!(message.encode(TAG, &key(1)), bytes);
            }
        }
    }
}
