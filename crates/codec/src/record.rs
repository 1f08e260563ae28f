//! Entries of the mirror as records of a store: the key's bytes, and a value.

use std::net::IpAddr;

use mailmesh_events::{Change, ChangeKey, Event, Rule};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::seal::derive;
use crate::{ClusterKey, CodecError, Keyring, decode_events, encode_event};

/// A key as bytes, another for each key.
#[must_use]
pub fn encode_change_key(key: &ChangeKey) -> Vec<u8> {
    match key {
        ChangeKey::Network(rule, network) => {
            let mut bytes = vec![match rule {
                Rule::Block => 0,
                Rule::Allow => 1,
            }];
            match network.address() {
                IpAddr::V4(address) => bytes.extend(address.octets()),
                IpAddr::V6(address) => bytes.extend(address.octets()),
            }
            bytes.push(network.prefix_len());
            bytes
        }
        ChangeKey::Certificate(names) => {
            let mut bytes = vec![2];
            for name in names.iter() {
                bytes.extend(name.as_bytes());
                bytes.push(0);
            }
            bytes
        }
        ChangeKey::Value(key) => {
            // No name of a namespace has a zero in it.
            [&[3], key.namespace().as_bytes(), &[0], key.name().as_bytes()].concat()
        }
        other => {
            // A sort of key that this version does not have.
            format!("\u{ff}{other:?}").into_bytes()
        }
    }
}

/// A change as it is in an event. Certificates have their private key in it, in the clear:
/// see [`Vault`].
///
/// # Errors
/// [`CodecError`] if it cannot be encoded.
pub fn encode_change(change: &Change) -> Result<Zeroizing<Vec<u8>>, CodecError> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(96));
    encode_event(&Event::from(change.clone()), &mut bytes)?;
    Ok(bytes)
}

/// The change of [`encode_change`].
///
/// # Errors
/// [`CodecError`] if it is none.
pub fn decode_change(bytes: &[u8]) -> Result<Change, CodecError> {
    match decode_events(bytes, 1).next() {
        Some(Ok(Event::Network(change))) => Ok(Change::Network(change)),
        Some(Ok(Event::Certificate(change))) => Ok(Change::Certificate(change)),
        Some(Ok(Event::Value(change))) => Ok(Change::Value(change)),
        Some(Ok(_)) => Err(CodecError::Type { what: "a change of the mirror" }),
        Some(Err(error)) => Err(error),
        None => Err(CodecError::Truncated { what: "a change of the mirror" }),
    }
}

/// Seals what is kept on a disk: AES-256-GCM with a key derived from the cluster's, a random
/// nonce before each value, and the record's key as associated data, so that a value fits its
/// own record only.
///
/// Random nonces allow 2^32 values under one key (NIST SP 800-38D, section 8.3).
///
/// ```
/// use mailmesh_codec::{ClusterKey, Vault};
///
/// let vault = Vault::keyed(&ClusterKey::generate()?, "mail");
/// let sealed = vault.seal(b"key", b"secret")?;
/// assert_eq!(vault.open(b"key", &sealed)?.as_slice(), b"secret");
/// assert!(vault.open(b"another", &sealed).is_err());
/// # Ok::<(), mailmesh_codec::CodecError>(())
/// ```
#[derive(Debug)]
pub struct Vault {
    /// The first seals.
    keys: Vec<LessSafeKey>,
}

impl Vault {
    /// Seals and opens with a key derived from the cluster's.
    #[must_use]
    pub fn keyed(key: &ClusterKey, cluster: &str) -> Self {
        Self { keys: vec![derive(&key.prk(cluster), &[b"store"])] }
    }

    /// Seals with a key derived from the ring's that seals, and opens with those of all.
    #[must_use]
    pub fn with_keys(ring: &Keyring, cluster: &str) -> Self {
        let derived = |key: &ClusterKey| derive(&key.prk(cluster), &[b"store"]);
        Self { keys: ring.keys().iter().map(derived).collect() }
    }

    /// Seals a value under a record's key.
    ///
    /// # Errors
    /// [`CodecError::NoRandom`].
    pub fn seal(&self, name: &[u8], value: &[u8]) -> Result<Vec<u8>, CodecError> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| CodecError::NoRandom)?;
        let mut sealed = Vec::with_capacity(NONCE_LEN + value.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(value);
        let tag = self.keys[0].seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(name),
            &mut sealed[NONCE_LEN..],
        );
        sealed.extend_from_slice(tag.map_err(|_| CodecError::NotAuthentic)?.as_ref());
        Ok(sealed)
    }

    /// Opens what was sealed under a record's key.
    ///
    /// # Errors
    /// [`CodecError::Truncated`], [`CodecError::NotAuthentic`]: another key sealed it, or it
    /// was altered.
    pub fn open(&self, name: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, CodecError> {
        let Some((nonce, value)) = sealed.split_first_chunk::<NONCE_LEN>() else {
            return Err(CodecError::Truncated { what: "a sealed value" });
        };
        for key in &self.keys {
            let mut value = Zeroizing::new(value.to_vec());
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let opened = key.open_in_place(nonce, Aad::from(name), &mut value);
            if let Ok(len) = opened.map(|opened| opened.len()) {
                value.truncate(len);
                return Ok(value);
            }
        }
        Err(CodecError::NotAuthentic)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use mailmesh_events::{Block, NetworkChange, NodeId, Stamp, UnixMillis};

    use super::*;

    #[test]
    fn keys_differ_and_changes_come_back() {
        let texts = ["10.0.0.0/8", "10.0.0.0/9", "a00::/16", "a00::/8", "10.0.0.0/32"];
        let networks = texts.map(|text| text.parse().unwrap());
        let keys = networks.iter().flat_map(|network| {
            [Rule::Block, Rule::Allow].map(|rule| ChangeKey::Network(rule, *network))
        });
        let names = ["a.example b.example", "a.example", "b.example"];
        let names = names.map(|text| {
            ChangeKey::Certificate(mailmesh_events::DomainNames::new(text.split(' ')).unwrap())
        });
        let keys: Vec<_> = keys.chain(names).collect();
        let bytes: BTreeSet<_> = keys.iter().map(encode_change_key).collect();
        assert_eq!(bytes.len(), keys.len());

        let stamp = Stamp::new(UnixMillis(5), 0, NodeId(1));
        let block = Some(Arc::new(Block::new("spam", UnixMillis(4)).unwrap()));
        for block in [block, None] {
            let network = networks[0];
            let change =
                Change::Network(NetworkChange { rule: Rule::Block, network, stamp, block });
            assert_eq!(decode_change(&encode_change(&change).unwrap()).unwrap(), change);
        }
    }

    #[test]
    fn what_is_no_change_is_refused() {
        let mut signal = Vec::new();
        encode_event(&mailmesh_events::QueueSignal::Refresh.into(), &mut signal).unwrap();
        for bytes in [&b""[..], b"\xff\xff", &signal] {
            decode_change(bytes).unwrap_err();
        }
        let vault = Vault::keyed(&ClusterKey::generate().unwrap(), "mail");
        let sealed = vault.seal(b"k", b"value").unwrap();
        assert_ne!(sealed, vault.seal(b"k", b"value").unwrap());
        for len in 0..sealed.len() {
            vault.open(b"k", &sealed[..len]).unwrap_err();
        }
        let other = Vault::keyed(&ClusterKey::generate().unwrap(), "mail");
        assert_eq!(other.open(b"k", &sealed).unwrap_err(), CodecError::NotAuthentic);
    }
}
