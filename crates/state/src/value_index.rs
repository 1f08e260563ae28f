//! Values by key, for lookups.

use std::collections::BTreeMap;
use std::sync::Arc;

use mailmesh_events::{UnixMillis, Value, ValueChange, ValueKey};
use parking_lot::RwLock;

/// Values by key, for lookups. A reader waits for a writer for one insertion at most.
#[derive(Debug, Default)]
pub(crate) struct ValueIndex {
    by_key: RwLock<BTreeMap<ValueKey, Arc<Value>>>,
}

impl ValueIndex {
    pub(crate) fn set(&self, change: &ValueChange) {
        let mut map = self.by_key.write();
        match &change.value {
            Some(value) => map.insert(change.key.clone(), value.clone()),
            None => map.remove(&change.key),
        };
    }

    pub(crate) fn remove(&self, key: &ValueKey) {
        self.by_key.write().remove(key);
    }

    pub(crate) fn get(&self, key: &ValueKey, now: UnixMillis) -> Option<Arc<Value>> {
        self.by_key.read().get(key).filter(|value| !value.is_expired(now)).cloned()
    }

    /// The live values in the namespace of `first`, from that key on.
    pub(crate) fn from(&self, first: &ValueKey, now: UnixMillis) -> Vec<(ValueKey, Arc<Value>)> {
        let map = self.by_key.read();
        let of_namespace =
            map.range(first..).take_while(|(key, _)| key.namespace() == first.namespace());
        let live = of_namespace.filter(|(_, value)| !value.is_expired(now));
        live.map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}
