//! Messages by which a node manages the cluster keys of another node.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::KeyId;

/// A cluster key in a message to another node. The bytes are wiped on drop; `Debug` does not show
/// them.
#[derive(Clone)]
pub struct KeySecret(Arc<Zeroizing<[u8; 32]>>);

impl KeySecret {
    /// Takes the 32 bytes of the key.
    #[must_use]
    pub fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(Arc::new(bytes))
    }

    /// The bytes of the key. Copies must go to memory that is wiped.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for KeySecret {
    /// Compares in constant time.
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

/// A request to change the cluster keys of a node. The node answers with a [`KeysHeld`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyAction {
    /// Change nothing, only report the keys.
    List,
    /// Accept frames sealed with this key too.
    Add(KeySecret),
    /// Seal frames with this key.
    Activate(KeyId),
    /// Stop accepting frames sealed with this key.
    Retire(KeyId),
}

/// The cluster keys that a node holds: its answer to a [`KeyAction`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeysHeld {
    /// The key ids, the sealing key first; the others are accepted. At most
    /// [`limits::CLUSTER_KEYS`](crate::limits::CLUSTER_KEYS).
    pub keys: Vec<KeyId>,
    /// Whether the keys are stored in a file of the node, so that a restart restores them.
    pub kept: bool,
    /// Whether a restart restores the sealing key; [`kept`](Self::kept) if the node did not
    /// report it.
    pub keeps_active: bool,
    /// Whether a key added now would be stored in that file; [`kept`](Self::kept) if the node did
    /// not report it.
    pub keeps_new: bool,
    /// Why the node did not do what the request asked; `None` if it did. At most
    /// [`limits::TEXT_LEN`](crate::limits::TEXT_LEN) bytes.
    pub refused: Option<String>,
}

/// A message about the cluster keys of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyMessage {
    /// Requests a list or a change of the receiver's cluster keys. A duplicate does no harm.
    Request {
        /// Identifies the request; echoed in the answer.
        number: u32,
        /// The requested change.
        action: KeyAction,
    },
    /// The answer to `Request`.
    Answer {
        /// The request it answers.
        number: u32,
        /// The keys of the responder after the request.
        held: KeysHeld,
    },
}
