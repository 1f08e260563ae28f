//! The keys that a node accepts, of which the first seals.

use std::fmt::Write;
use std::str::FromStr;

use mailmesh_events::limits;
use zeroize::Zeroizing;

use crate::{ClusterKey, CodecError, KeyId};

/// The accepted keys of a cluster, of which the first seals. Several keys at a time allow key
/// rotation without an interruption.
///
/// ```
/// use mailmesh_codec::{ClusterKey, Keyring};
///
/// let (old, new) = (ClusterKey::generate()?, ClusterKey::generate()?);
/// let mut ring = Keyring::new(old.clone());
/// ring.add(new.clone())?; // on every node, then
/// ring.activate("mail", new.id("mail"))?; // on every node, then
/// ring.retire("mail", old.id("mail"))?;
/// assert_eq!(ring.ids("mail"), [new.id("mail")]);
/// # Ok::<(), mailmesh_codec::CodecError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Keyring {
    /// Never empty.
    keys: Vec<ClusterKey>,
}

impl Keyring {
    /// A key ring with one key, which seals.
    #[must_use]
    pub fn new(key: ClusterKey) -> Self {
        Self { keys: vec![key] }
    }

    /// Writes the text that `parse` reads.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let room = 128 + 64 * self.keys.len();
        let mut text = Zeroizing::new(String::with_capacity(room));
        text.push_str(
            "# The first cluster key seals, the others are accepted: mailmesh key list\n",
        );
        for key in &self.keys {
            // Writing to a string cannot fail.
            let _infallible = writeln!(text, "{}", *key.to_text());
        }
        text
    }

    /// The sealing key.
    #[must_use]
    pub fn active(&self) -> &ClusterKey {
        &self.keys[0]
    }

    /// All keys, the sealing key first.
    #[must_use]
    pub fn keys(&self) -> &[ClusterKey] {
        &self.keys
    }

    /// The ids of all keys, the sealing key first.
    #[must_use]
    pub fn ids(&self, cluster: &str) -> Vec<KeyId> {
        self.keys.iter().map(|key| key.id(cluster)).collect()
    }

    /// Adds a key; `false` if the ring has it already.
    ///
    /// # Errors
    /// [`CodecError::TooManyKeys`] past [`limits::CLUSTER_KEYS`].
    pub fn add(&mut self, key: ClusterKey) -> Result<bool, CodecError> {
        if self.keys.iter().any(|held| held.id("") == key.id("")) {
            return Ok(false);
        }
        if self.keys.len() >= limits::CLUSTER_KEYS {
            return Err(CodecError::TooManyKeys { limit: limits::CLUSTER_KEYS });
        }
        self.keys.push(key);
        Ok(true)
    }

    /// Makes a key the sealing key; `false` if it is already.
    ///
    /// # Errors
    /// [`CodecError::UnknownKey`].
    pub fn activate(&mut self, cluster: &str, id: KeyId) -> Result<bool, CodecError> {
        let at = self.find(cluster, id).ok_or(CodecError::UnknownKey { id })?;
        let key = self.keys.remove(at);
        self.keys.insert(0, key);
        Ok(at > 0)
    }

    /// Removes a key and returns it; `None` if the ring does not have it.
    ///
    /// # Errors
    /// [`CodecError::KeyIsActive`].
    pub fn retire(&mut self, cluster: &str, id: KeyId) -> Result<Option<ClusterKey>, CodecError> {
        match self.find(cluster, id) {
            Some(0) => Err(CodecError::KeyIsActive { id }),
            Some(at) => Ok(Some(self.keys.remove(at))),
            None => Ok(None),
        }
    }

    fn find(&self, cluster: &str, id: KeyId) -> Option<usize> {
        self.keys.iter().position(|key| key.id(cluster) == id)
    }
}

impl FromStr for Keyring {
    type Err = CodecError;

    /// Parses one key per line (as [`ClusterKey`] parses it); the first key seals. Empty lines and
    /// lines that begin with `#` are ignored.
    ///
    /// # Errors
    /// [`CodecError::BadKey`], [`CodecError::TooManyKeys`].
    fn from_str(text: &str) -> Result<Self, CodecError> {
        let lines = text.lines().map(str::trim);
        let mut keys = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let first = keys.next().ok_or(CodecError::BadKey { why: "it is empty" })?;
        let mut ring = Self::new(first.parse::<ClusterKey>()?);
        for key in keys {
            ring.add(key.parse::<ClusterKey>()?)?;
        }
        Ok(ring)
    }
}

impl From<ClusterKey> for Keyring {
    fn from(key: ClusterKey) -> Self {
        Self::new(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> ClusterKey {
        ClusterKey::from_bytes(&std::array::from_fn(|i| i as u8 ^ n))
    }

    #[test]
    fn a_key_ring_round_trips_through_text() {
        let mut ring = Keyring::new(key(1));
        assert!(ring.add(key(2)).unwrap() && !ring.add(key(1)).unwrap());
        let again = ring.to_text().parse::<Keyring>().unwrap();
        assert_eq!(again.ids("mail"), [key(1).id("mail"), key(2).id("mail")]);
        // A bare key, as `mailmesh key generate` prints it, is a ring with one key.
        assert_eq!(key(3).to_text().parse::<Keyring>().unwrap().ids("x"), [key(3).id("x")]);
        assert!(!format!("{ring:?}").contains(&**key(1).to_text()));
    }

    #[test]
    fn empty_and_invalid_key_rings_are_refused() {
        for (text, why) in [("", "empty"), ("# only\n\n", "empty"), ("secret", "neither base64")] {
            let error = text.parse::<Keyring>().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        let five: String = (1..=5).map(|n| format!("{}\n", *key(n).to_text())).collect();
        assert_eq!(five.parse::<Keyring>().unwrap_err(), CodecError::TooManyKeys { limit: 4 });
    }

    #[test]
    fn the_sealing_key_cannot_be_retired() {
        let mut ring = Keyring::new(key(1));
        let [one, two] = [1, 2].map(|n| key(n).id("mail"));
        assert_eq!(ring.activate("mail", two).unwrap_err(), CodecError::UnknownKey { id: two });
        ring.add(key(2)).unwrap();
        assert!(ring.activate("mail", two).unwrap() && !ring.activate("mail", two).unwrap());
        assert_eq!(ring.active().id("mail"), two);
        assert_eq!(ring.retire("mail", two).unwrap_err(), CodecError::KeyIsActive { id: two });
        assert_eq!(ring.retire("mail", one).unwrap().map(|key| key.id("mail")), Some(one));
        assert!(ring.retire("mail", one).unwrap().is_none());
    }
}
