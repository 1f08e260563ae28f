//! Makes a node seal with the key that the majority of nodes seals with, if it has that key. A node
//! may differ because it was off during an activation, missed it, or started with its keys in
//! another order.

use std::time::Duration;

use mailmesh_codec::KeyId;
use mailmesh_transport::LogThrottle;
use parking_lot::Mutex;
use tokio::time::Instant;

/// A node adopts the majority's key after this time. An activation reaches all nodes within a
/// second.
const ADOPT_AFTER: Duration = Duration::from_secs(5);
/// After a local activation the node keeps its key for this time, whatever the others seal with.
const PIN_TIME: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
pub(super) struct MajorityKey(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The majority's key, and since when it has differed from this node's.
    majority: Option<(KeyId, Instant)>,
    pinned_until: Option<Instant>,
    log: LogThrottle,
}

impl MajorityKey {
    /// The operator has activated a key on this node alone.
    pub(super) fn pin(&self) {
        self.0.lock().pinned_until = Some(Instant::now() + PIN_TIME);
    }

    /// Whether this node keeps its key although the others seal with another.
    pub(super) fn is_pinned(&self) -> bool {
        self.0.lock().pinned_until.is_some_and(|until| Instant::now() < until)
    }

    /// The majority's key, if the majority has sealed with it for long enough to adopt it.
    pub(super) fn lasting(&self, key: Option<KeyId>) -> Option<KeyId> {
        let mut state = self.0.lock();
        let now = Instant::now();
        state.pinned_until.take_if(|until| *until <= now);
        let since = match (key, state.majority) {
            (Some(key), Some((before, since))) if key == before => since,
            _ => now,
        };
        state.majority = key.map(|key| (key, since));
        let is_lasting = key.is_some() && now.duration_since(since) >= ADOPT_AFTER;
        if is_lasting && state.pinned_until.is_some() {
            if state.log.is_ready() {
                tracing::warn!(
                    "this node seals with another cluster key than the others, as the operator \
                     requested; mirrors are not compared until all nodes seal with one key \
                     (`mailmesh key list`)"
                );
            }
            return None;
        }
        key.filter(|_| is_lasting)
    }
}
