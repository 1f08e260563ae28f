//! What nodes say to each other of the cluster's keys.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

/// A cluster key on its way to another node. Wiped when dropped; never shown by `Debug`.
#[derive(Clone)]
pub struct KeySecret(Arc<Zeroizing<[u8; 32]>>);

impl KeySecret {
    /// Of these bytes.
    #[must_use]
    pub fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(Arc::new(bytes))
    }

    /// Its bytes. Do not copy them where they are not wiped.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for KeySecret {
    /// Takes as long wherever the two differ.
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0.iter()).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
    }
}

impl Eq for KeySecret {}

impl fmt::Debug for KeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySecret(..)")
    }
}

/// What a node is asked to do with its keys, and to tell them afterwards. Keys are named by
/// their fingerprints.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyAction {
    /// Nothing.
    List,
    /// Accept this one.
    Add(KeySecret),
    /// Seal with this one.
    Activate([u8; 8]),
    /// Accept this one no more.
    Retire([u8; 8]),
}

/// The keys of a node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeysHeld {
    /// Fingerprints: the first seals, the others are accepted. At most
    /// [`limits::KEYS`](crate::limits::KEYS).
    pub keys: Vec<[u8; 8]>,
    /// They are in a file of this node, so that it has them after a restart.
    pub kept: bool,
    /// Whether a restart restores the sealing key; [`kept`](Self::kept) if the node did not
    /// report it.
    pub keeps_active: bool,
    /// Whether a key that the node is given now would be in its file; [`kept`](Self::kept) if
    /// the node did not report it.
    pub keeps_new: bool,
    /// Why what was asked was not done; at most
    /// [`limits::TEXT_LEN`](crate::limits::TEXT_LEN) bytes.
    pub refused: Option<String>,
}
