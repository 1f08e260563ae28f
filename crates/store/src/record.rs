//! One change that a commit writes.

use std::fmt;

/// The new value of a key, or the removal of its record, within
/// [`MAX_KEY_LEN`](crate::MAX_KEY_LEN) and [`MAX_VALUE_LEN`](crate::MAX_VALUE_LEN).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Record {
    /// The key.
    pub key: Vec<u8>,
    /// The new value; `None` removes the record.
    pub value: Option<Vec<u8>>,
}

impl Record {
    /// Sets the value of a key.
    #[must_use]
    pub fn set(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Self { key: key.into(), value: Some(value.into()) }
    }

    /// Removes the record of a key. A commit ignores a key without a record.
    #[must_use]
    pub fn remove(key: impl Into<Vec<u8>>) -> Self {
        Self { key: key.into(), value: None }
    }
}

/// Shows lengths only: the store does not know which bytes are a secret.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value_len = self.value.as_ref().map(Vec::len);
        f.debug_struct("Record")
            .field("key_len", &self.key.len())
            .field("value_len", &value_len)
            .finish()
    }
}
