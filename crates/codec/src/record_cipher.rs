//! Encryption at rest: values of a store, each bound to its record's key.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::seal::derive_key;
use crate::{ClusterKey, CodecError, Keyring};

/// Encrypts values at rest with AES-256-GCM, under a key derived from the cluster key.
///
/// A random nonce precedes each value, which allows 2^32 values under one key (NIST SP 800-38D,
/// section 8.3). The record's key is the associated data, so a value opens only in its own record.
///
/// ```
/// use mailmesh_codec::{ClusterKey, RecordCipher};
///
/// let cipher = RecordCipher::new(&ClusterKey::generate()?, "mail");
/// let sealed = cipher.seal(b"key", b"secret")?;
/// assert_eq!(cipher.open(b"key", &sealed)?.as_slice(), b"secret");
/// assert!(cipher.open(b"another", &sealed).is_err());
/// # Ok::<(), mailmesh_codec::CodecError>(())
/// ```
#[derive(Debug)]
pub struct RecordCipher {
    /// The first key seals.
    keys: Vec<LessSafeKey>,
}

impl RecordCipher {
    /// Seals and opens with one cluster key.
    #[must_use]
    pub fn new(key: &ClusterKey, cluster: &str) -> Self {
        Self { keys: vec![derive_key(&key.prk(cluster), &[b"store"])] }
    }

    /// Seals with the sealing key of a ring, and opens with any of its keys.
    #[must_use]
    pub fn from_keyring(ring: &Keyring, cluster: &str) -> Self {
        let derived = |key: &ClusterKey| derive_key(&key.prk(cluster), &[b"store"]);
        Self { keys: ring.keys().iter().map(derived).collect() }
    }

    /// Seals the value of a record.
    ///
    /// # Errors
    /// [`CodecError::NoRandom`].
    pub fn seal(&self, record_key: &[u8], value: &[u8]) -> Result<Vec<u8>, CodecError> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| CodecError::NoRandom)?;
        let mut sealed = Vec::with_capacity(NONCE_LEN + value.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(value);
        let tag = self.keys[0].seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(record_key),
            &mut sealed[NONCE_LEN..],
        );
        sealed.extend_from_slice(tag.map_err(|_| CodecError::NotAuthentic)?.as_ref());
        Ok(sealed)
    }

    /// Opens the value of a record.
    ///
    /// # Errors
    /// [`CodecError::Truncated`]; [`CodecError::NotAuthentic`] if another key sealed the value, it
    /// belongs to another record, or it was altered.
    pub fn open(&self, record_key: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, CodecError> {
        let Some((nonce, value)) = sealed.split_first_chunk::<NONCE_LEN>() else {
            return Err(CodecError::Truncated { what: "a sealed value" });
        };
        for key in &self.keys {
            let mut value = Zeroizing::new(value.to_vec());
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let opened = key.open_in_place(nonce, Aad::from(record_key), &mut value);
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
    use super::*;

    #[test]
    fn altered_and_truncated_values_do_not_open() {
        let cipher = RecordCipher::new(&ClusterKey::generate().unwrap(), "mail");
        let sealed = cipher.seal(b"k", b"value").unwrap();
        assert_ne!(sealed, cipher.seal(b"k", b"value").unwrap());
        for len in 0..sealed.len() {
            cipher.open(b"k", &sealed[..len]).unwrap_err();
        }
        let other = RecordCipher::new(&ClusterKey::generate().unwrap(), "mail");
        assert_eq!(other.open(b"k", &sealed).unwrap_err(), CodecError::NotAuthentic);
    }
}
