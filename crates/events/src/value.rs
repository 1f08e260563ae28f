//! Values of downstream crates, replicated by the mirror like its own entries.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};

use crate::error::check_len;
use crate::{EventError, Printable, Stamp, UnixMillis, limits};

/// The key of a value: a namespace and a name within it.
///
/// ```
/// use mailmesh_events::ValueKey;
///
/// let key = ValueKey::new("acme.flags", "greylisting")?;
/// assert_eq!((key.namespace(), key.name()), ("acme.flags", "greylisting"));
/// assert!(ValueKey::new("Acme Flags", "greylisting").is_err());
/// # Ok::<(), mailmesh_events::EventError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ValueKey {
    namespace: Arc<str>,
    name: Arc<str>,
}

impl ValueKey {
    /// A key. Name the namespace after the crate that owns it, as in `acme.flags`.
    ///
    /// # Errors
    /// [`EventError::Namespace`] unless the namespace has 1 to [`limits::NAMESPACE_LEN`] characters
    /// of `a-z`, `0-9`, `.`, `-` and `_`; [`EventError::TooLong`] for a name past
    /// [`limits::VALUE_NAME_LEN`].
    pub fn new(
        namespace: impl Into<Arc<str>>,
        name: impl Into<Arc<str>>,
    ) -> Result<Self, EventError> {
        let (namespace, name) = (namespace.into(), name.into());
        let is_plain = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
        if !(1..=limits::NAMESPACE_LEN).contains(&namespace.len())
            || !namespace.bytes().all(is_plain)
        {
            let name = namespace.chars().take(80).collect();
            return Err(EventError::Namespace { name });
        }
        check_len("the name of a value", name.len(), limits::VALUE_NAME_LEN)?;
        Ok(Self { namespace, name })
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name within the namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name within the namespace, for a clone without a copy.
    #[must_use]
    pub fn shared_name(&self) -> &Arc<str> {
        &self.name
    }
}

impl fmt::Display for ValueKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, Printable(self.name()))
    }
}

/// The bytes of a value, in the encoding of its namespace, and its expiry.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Value {
    payload: Bytes,
    /// When the value expires; `None` if it stays until it is removed.
    pub expires: Option<UnixMillis>,
}

impl Value {
    /// A value of these bytes that does not expire.
    ///
    /// # Errors
    /// [`EventError::TooLong`] past [`limits::VALUE_LEN`].
    pub fn new(payload: impl Into<Bytes>) -> Result<Self, EventError> {
        let payload = payload.into();
        check_len("a value", payload.len(), limits::VALUE_LEN)?;
        Ok(Self { payload, expires: None })
    }

    /// Encodes `value` in MessagePack. Structs are maps with field names, so that a newer version
    /// may add fields.
    ///
    /// # Errors
    /// [`EventError::Value`] if it does not serialise, and the errors of [`new`](Self::new).
    pub fn encode<T: Serialize>(value: &T) -> Result<Self, EventError> {
        let payload = rmp_serde::to_vec_named(value)
            .map_err(|error| EventError::Value { why: error.to_string() })?;
        Self::new(payload)
    }

    /// Decodes the value that [`encode`](Self::encode) encoded.
    ///
    /// # Errors
    /// [`EventError::Value`] if the bytes do not decode as `T`.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, EventError> {
        rmp_serde::from_slice(&self.payload)
            .map_err(|error| EventError::Value { why: error.to_string() })
    }

    /// Sets when the value expires.
    #[must_use]
    pub fn with_expiry(mut self, expires: UnixMillis) -> Self {
        self.expires = Some(expires);
        self
    }

    /// The encoded bytes.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// Whether the value has expired at `now`.
    #[must_use]
    pub fn is_expired(&self, now: UnixMillis) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }
}

/// Shows the length only: the bytes may be a secret.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({self})")
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.payload.len())?;
        match self.expires {
            Some(at) => write!(f, ", until {at}"),
            None => Ok(()),
        }
    }
}

impl Serialize for Value {
    /// Serialises the length and expiry only: the bytes may be a secret.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A value was set or removed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub struct ValueChange {
    /// The key of the value.
    pub key: ValueKey,
    /// When, and on which node, the change was made.
    pub stamp: Stamp,
    /// The value; `None` if it was removed.
    pub value: Option<Arc<Value>>,
}

impl ValueChange {
    /// The change that `stamp` identifies: the key has this value, or was removed.
    #[must_use]
    pub fn new(key: ValueKey, stamp: Stamp, value: Option<Arc<Value>>) -> Self {
        Self { key, stamp, value }
    }
}

impl fmt::Display for ValueChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{} is {value}", self.key),
            None => write!(f, "{} is removed", self.key),
        }
    }
}
