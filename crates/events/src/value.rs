//! Values of a downstream crate, replicated as the mirror's own entries are.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};

use crate::error::bounded;
use crate::{EventError, Printable, Stamp, UnixMillis, limits};

/// A key within a namespace of values.
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
    /// The key `name` of a namespace. Name a namespace after the crate that has it.
    ///
    /// # Errors
    /// [`EventError::Namespace`] unless it is of `a-z`, `0-9`, `.`, `-` and `_`, and at most
    /// [`limits::NAMESPACE_LEN`] bytes; [`EventError::TooLong`] for a name past
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
        bounded("the name of a value", name.len(), limits::VALUE_NAME_LEN)?;
        Ok(Self { namespace, name })
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name within it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name within it, shared.
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

/// A value: bytes that its namespace understands.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Value {
    payload: Bytes,
    /// When it ends; `None` means when it is removed.
    pub expires: Option<UnixMillis>,
}

impl Value {
    /// A value of these bytes, without end.
    ///
    /// # Errors
    /// [`EventError::TooLong`] past [`limits::VALUE_LEN`].
    pub fn new(payload: impl Into<Bytes>) -> Result<Self, EventError> {
        let payload = payload.into();
        bounded("a value", payload.len(), limits::VALUE_LEN)?;
        Ok(Self { payload, expires: None })
    }

    /// `value` as MessagePack, with the names of its fields: a newer version may add some.
    ///
    /// # Errors
    /// [`EventError::Value`] if it does not serialise, and those of [`new`](Self::new).
    pub fn encode<T: Serialize>(value: &T) -> Result<Self, EventError> {
        let payload = rmp_serde::to_vec_named(value)
            .map_err(|error| EventError::Value { why: error.to_string() })?;
        Self::new(payload)
    }

    /// What [`encode`](Self::encode) put in.
    ///
    /// # Errors
    /// [`EventError::Value`] if the bytes are no `T`.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, EventError> {
        rmp_serde::from_slice(&self.payload)
            .map_err(|error| EventError::Value { why: error.to_string() })
    }

    /// Sets when it ends.
    #[must_use]
    pub fn expiring_at(mut self, expires: UnixMillis) -> Self {
        self.expires = Some(expires);
        self
    }

    /// Its bytes.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// Whether it has ended at `now`.
    #[must_use]
    pub fn is_expired(&self, now: UnixMillis) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }
}

/// Not its bytes: they may be a secret.
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
    /// Not its bytes: they may be a secret.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A value was set or removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ValueChange {
    /// Of which key.
    pub key: ValueKey,
    /// When, and by whom.
    pub stamp: Stamp,
    /// The value; `None` if it was removed.
    pub value: Option<Arc<Value>>,
}

impl fmt::Display for ValueChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{} is {value}", self.key),
            None => write!(f, "{} is removed", self.key),
        }
    }
}
