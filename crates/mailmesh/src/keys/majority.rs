//! Makes a node seal with the key that the majority of nodes seals with, if it has that key. A node
//! may differ because it was off during an activation, missed it, or started with its keys in
//! another order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mailmesh_codec::KeyId;
use mailmesh_events::KeyAction;
use mailmesh_transport::LogThrottle;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::service::KeyService;

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

    /// Whether the majority has sealed with this key for long enough to adopt it.
    fn is_lasting(&self, key: Option<KeyId>) -> bool {
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
                    "this node seals with another cluster key than the others, as the operator requested; \
                     mirrors are not compared until all nodes seal with one key (`mailmesh key list`)"
                );
            }
            return false;
        }
        is_lasting
    }
}

/// Runs every second.
pub(super) fn tick(service: &Arc<KeyService>) {
    if service.majority.is_lasting(majority_key(service))
        && let Some(key) = majority_key(service)
    {
        tracing::warn!("the other nodes seal with cluster key {key}; this node now adopts it");
        let service = service.clone();
        tokio::spawn(async move {
            let done = service.act(KeyAction::Activate(key.0)).await;
            if let Err(error) = done {
                tracing::error!(%error, "the cluster key was not activated");
            }
        });
    }
}

/// The key that more nodes seal with than with this node's key, if this node has it. In a tie the
/// key of the oldest node wins.
fn majority_key(service: &KeyService) -> Option<KeyId> {
    let keyring = &service.keyring;
    let ours = keyring.active_fingerprint_key_id();
    let peer_keys: BTreeMap<_, u32> = service.replication.keys_of_peers().into_iter().collect();
    let mut votes = BTreeMap::from([(ours, 1_usize)]);
    for name in peer_keys.values() {
        *votes.entry(*name).or_default() += 1;
    }
    let own = votes.get(&ours).copied().unwrap_or(0);
    let others = votes.iter().filter(|(name, _)| **name != ours);
    let (name, count) = others.max_by_key(|(_, count)| **count)?;
    let is_of_oldest = || {
        let mut oldest_first = service.oldest_first().into_iter();
        oldest_first.find_map(|node| {
            peer_keys.get(&node).copied().or((node == service.identity.incarnation).then_some(ours))
        }) == Some(*name)
    };
    let adopts = *count > own || *count == own && is_of_oldest();
    adopts.then(|| keyring.id_by_fingerprint_key_id(*name)).flatten()
}
