//! The event of a downstream crate: a name and bytes.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::check_len;
use crate::{EventError, Printable, limits};

/// An event of a downstream crate, which defines the kind and the payload. The delivery guarantees
/// are the same as for other events.
///
/// ```
/// use mailmesh_events::Custom;
///
/// let event = Custom::encode("acme.greylist", &("192.0.2.7", 300))?;
/// let (address, seconds): (String, u32) = event.decode()?;
/// assert_eq!((address.as_str(), seconds), ("192.0.2.7", 300));
/// # Ok::<(), mailmesh_events::EventError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "UncheckedCustom")]
pub struct Custom {
    kind: Arc<str>,
    payload: Bytes,
}

/// The fields of a [`Custom`] event as JSON has them.
#[derive(Deserialize)]
struct UncheckedCustom {
    kind: Arc<str>,
    payload: Bytes,
}

impl TryFrom<UncheckedCustom> for Custom {
    type Error = EventError;

    fn try_from(fields: UncheckedCustom) -> Result<Self, EventError> {
        Self::new(fields.kind, fields.payload)
    }
}

impl Custom {
    /// An event with this kind and payload.
    ///
    /// # Errors
    /// [`EventError::Empty`] for an empty kind; [`EventError::TooLong`] past
    /// [`limits::CUSTOM_KIND_LEN`] or [`limits::CUSTOM_PAYLOAD_LEN`].
    pub fn new(kind: impl Into<Arc<str>>, payload: impl Into<Bytes>) -> Result<Self, EventError> {
        let (kind, payload) = (kind.into(), payload.into());
        if kind.is_empty() {
            return Err(EventError::Empty { what: "the kind of a custom event" });
        }
        check_len("the kind of a custom event", kind.len(), limits::CUSTOM_KIND_LEN)?;
        check_len("the payload of a custom event", payload.len(), limits::CUSTOM_PAYLOAD_LEN)?;
        Ok(Self { kind, payload })
    }

    /// An event with `value` in MessagePack as its payload. Structs are encoded as arrays.
    ///
    /// # Errors
    /// [`EventError::Custom`] if the value does not serialise, and those of [`new`](Self::new).
    pub fn encode<T: Serialize>(kind: impl Into<Arc<str>>, value: &T) -> Result<Self, EventError> {
        let kind = kind.into();
        let payload = rmp_serde::to_vec(value)
            .map_err(|e| EventError::Custom { kind: kind.to_string(), why: e.to_string() })?;
        Self::new(kind, payload)
    }

    /// Decodes the value that [`encode`](Self::encode) encoded.
    ///
    /// # Errors
    /// [`EventError::Custom`] if the payload does not decode as `T`.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, EventError> {
        rmp_serde::from_slice(&self.payload)
            .map_err(|e| EventError::Custom { kind: self.kind.to_string(), why: e.to_string() })
    }

    /// The kind, as the downstream crate names it.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Custom({self})")
    }
}

impl fmt::Display for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` with {} bytes", Printable(self.kind()), self.payload.len())
    }
}
