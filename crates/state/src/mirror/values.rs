//! Named values of downstream crates.

use std::sync::Arc;

use mailmesh_events::{Change, ChangeKey, UnixMillis, Value, ValueChange, ValueKey};

use super::Mirror;
use crate::StateError;

impl Mirror {
    /// Sets a value. The caller sends the change to the other nodes.
    ///
    /// # Errors
    /// [`StateError::AlreadyExpired`], [`StateError::Full`], [`StateError::Superseded`],
    /// [`StateError::InvalidStamp`].
    pub fn set_value(
        &self,
        key: ValueKey,
        value: Value,
        now: UnixMillis,
    ) -> Result<Change, StateError> {
        self.change_value(key, Some(Arc::new(value)), now)
    }

    /// Removes a value, leaving a tombstone.
    ///
    /// # Errors
    /// [`StateError::NotFound`], [`StateError::Superseded`], [`StateError::InvalidStamp`].
    pub fn remove_value(&self, key: ValueKey, now: UnixMillis) -> Result<Change, StateError> {
        self.change_value(key, None, now)
    }

    fn change_value(
        &self,
        key: ValueKey,
        value: Option<Arc<Value>>,
        now: UnixMillis,
    ) -> Result<Change, StateError> {
        let mut writer = self.writer.write();
        let changed = ChangeKey::Value(key.clone());
        if value.is_none() && !writer.entries.is_live(&changed) {
            return Err(StateError::NotFound { key: key.to_string() });
        }
        let stamp = writer.stamp(&changed, now);
        self.put_local(&mut writer, Change::Value(ValueChange::new(key, stamp, value)), now)
    }

    /// The value of a key, if it is live at `now`.
    #[must_use]
    pub fn value(&self, key: &ValueKey, now: UnixMillis) -> Option<Arc<Value>> {
        self.values.get(key, now)
    }

    /// The values that are live at `now` in the namespace of `first`, sorted by key, from the key
    /// `first` on.
    #[must_use]
    pub fn values_from(&self, first: &ValueKey, now: UnixMillis) -> Vec<(ValueKey, Arc<Value>)> {
        self.values.from(first, now)
    }
}
