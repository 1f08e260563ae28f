//! The secret of a cluster, its text form, and the key id that nodes show for it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::{CodecError, KeyId};

/// The secret of a cluster: 32 random bytes, the same on every node. `Debug` does not show it.
/// Clones share one allocation, which is wiped when the last of them is dropped. Keys are compared
/// by their [`id`](Self::id): comparing secrets takes a time that depends on their bytes.
///
/// ```
/// use mailmesh_codec::ClusterKey;
///
/// let key = ClusterKey::generate()?;
/// let again: ClusterKey = key.to_text().parse()?;
/// assert_eq!(key.id("mail"), again.id("mail"));
/// # Ok::<(), mailmesh_codec::CodecError>(())
/// ```
// Behind a pointer: a move leaves a copy of the bytes behind, and a vector moves its elements when
// it grows or removes one.
#[derive(Clone)]
pub struct ClusterKey(Arc<Zeroizing<[u8; 32]>>);

impl ClusterKey {
    /// A new random key.
    ///
    /// # Errors
    /// [`CodecError::NoRandom`].
    pub fn generate() -> Result<Self, CodecError> {
        let mut bytes = Zeroizing::new([0; 32]);
        SystemRandom::new().fill(bytes.as_mut()).map_err(|_| CodecError::NoRandom)?;
        Ok(Self::from_bytes(&bytes))
    }

    /// A key of these bytes. The caller wipes its own copy.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        let mut key = Arc::new(Zeroizing::new([0; 32]));
        Arc::make_mut(&mut key).copy_from_slice(bytes);
        Self(key)
    }

    /// The bytes of the key. Copies must go to memory that is wiped.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key in base64.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.0.as_slice()))
    }

    /// The public id of the key in `cluster`. It is derived, and reveals nothing about the key.
    #[must_use]
    pub fn id(&self, cluster: &str) -> KeyId {
        KeyId(self.derive(cluster, b"id"))
    }

    /// The key of the mirror's hashes. It is secret, so that nobody outside the cluster can
    /// construct colliding content.
    #[must_use]
    pub fn mirror_key(&self, cluster: &str) -> [u8; 16] {
        self.derive(cluster, b"mirror")
    }

    /// The secret that nodes prove to each other when they connect. Its holder can connect to the
    /// nodes of `cluster`, but cannot compute the cluster key.
    #[must_use]
    pub fn link_secret(&self, cluster: &str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.derive(cluster, b"links"))
    }

    fn derive<const N: usize>(&self, cluster: &str, purpose: &[u8]) -> [u8; N] {
        let mut out = [0; N];
        // HKDF fails only for outputs longer than 255 hashes.
        let _infallible =
            self.prk(cluster).expand(&[purpose], Length(N)).and_then(|okm| okm.fill(&mut out));
        out
    }

    /// HKDF-Extract (RFC 5869) with the cluster's name as salt.
    pub(crate) fn prk(&self, cluster: &str) -> Prk {
        let salt = [b"mailmesh 1 ", cluster.as_bytes()].concat();
        Salt::new(HKDF_SHA256, &salt).extract(self.0.as_slice())
    }
}

impl FromStr for ClusterKey {
    type Err = CodecError;

    /// Parses a key: 32 bytes in base64, as [`to_text`](Self::to_text) writes them, or 64
    /// hexadecimal digits. Surrounding white space is ignored.
    ///
    /// # Errors
    /// [`CodecError::BadKey`].
    fn from_str(text: &str) -> Result<Self, CodecError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(CodecError::BadKey { why: "it is empty" });
        }
        let bytes = if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            Zeroizing::new(from_hex(text))
        } else {
            let decoded = STANDARD.decode(text);
            // Base64 has no dots.
            let why = if text.starts_with(['/', '~']) || text.contains('.') {
                "it looks like a path; a file is {\"@type\": \"File\", \"filePath\": PATH}"
            } else {
                "it is neither base64 nor 64 hexadecimal digits"
            };
            Zeroizing::new(decoded.map_err(|_| CodecError::BadKey { why })?)
        };
        let key = <&[u8; 32]>::try_from(bytes.as_slice())
            .map_err(|_| CodecError::BadKey { why: "it is not 32 bytes long" })?;
        if key.iter().all(|byte| *byte == key[0]) {
            return Err(CodecError::BadKey { why: "all its bytes are the same" });
        }
        Ok(Self::from_bytes(key))
    }
}

/// The length of an HKDF output in bytes.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn from_hex(text: &str) -> Vec<u8> {
    let digit = |b: u8| (b as char).to_digit(16).unwrap_or(0) as u8;
    text.as_bytes().chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_says_why_a_text_is_not_a_key() {
        for (text, why) in [
            ("", "empty"),
            ("   ", "empty"),
            ("secret!", "neither base64"),
            ("/etc/mailmesh/cluster.key", "looks like a path"),
            ("c2hvcnQ=", "not 32 bytes"),
            (&"00".repeat(32), "all its bytes are the same"),
        ] {
            let error = text.parse::<ClusterKey>().unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("mailmesh key generate"), "{error}");
        }
    }

    #[test]
    fn hex_and_base64_parse_to_the_same_key() {
        let key = ClusterKey::from_bytes(&std::array::from_fn(|i| i as u8));
        let hex: String = (0..32).map(|i| format!("{i:02X}")).collect();
        let from_hex = format!(" {hex}\n").parse::<ClusterKey>().unwrap();
        assert_eq!(from_hex.to_text(), key.to_text());
        assert_eq!(format!("{key:?}"), "ClusterKey(..)");
    }

    #[test]
    fn derived_keys_differ_by_purpose_and_cluster() {
        let key = ClusterKey::from_bytes(&[3; 32]);
        assert_ne!(key.id("a"), key.id("b"));
        assert_ne!(key.id("a").0, key.mirror_key("a")[..8]);
        assert_ne!(key.link_secret("a"), key.link_secret("b"));
        assert_ne!(key.link_secret("a")[..16], key.mirror_key("a"));
    }
}
