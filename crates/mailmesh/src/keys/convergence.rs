//! A node that seals with another key than the others, of those that it accepts, goes with
//! them: it was off while theirs was activated, did not hear of it, or started with its keys in
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

/// How long the others seal with another key before a node goes with them: an activation
/// reaches all within a second.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a node seals with a key that was activated on it alone, whatever the others do.
const PINNED: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
pub(super) struct Convergence(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The key of the others, and since when.
    differs: Option<(KeyId, Instant)>,
    pinned_until: Option<Instant>,
    log: LogThrottle,
}

impl Convergence {
    /// The operator has activated a key on this node alone.
    pub(super) fn pin(&self) {
        self.0.lock().pinned_until = Some(Instant::now() + PINNED);
    }

    /// Whether this node seals with a key whatever the others do.
    pub(super) fn is_pinned(&self) -> bool {
        self.0.lock().pinned_until.is_some_and(|until| Instant::now() < until)
    }

    /// Whether the others have sealed with this key for long enough.
    fn lasts(&self, key: Option<KeyId>) -> bool {
        let mut state = self.0.lock();
        let now = Instant::now();
        state.pinned_until.take_if(|until| *until <= now);
        let since = match (key, state.differs) {
            (Some(key), Some((before, since))) if key == before => since,
            _ => now,
        };
        state.differs = key.map(|key| (key, since));
        let lasts = key.is_some() && now.duration_since(since) >= PATIENCE;
        if lasts && state.pinned_until.is_some() {
            if state.log.is_ready() {
                tracing::warn!(
                    "this node seals with another cluster key than the others, as it was told to; \
                     mirrors are not compared until all seal with one (`mailmesh key list`)"
                );
            }
            return false;
        }
        lasts
    }
}

/// What is due every second.
pub(super) fn tick(service: &Arc<KeyService>) {
    if service.convergence.lasts(key_of_the_others(service))
        && let Some(key) = key_of_the_others(service)
    {
        tracing::warn!("the other nodes seal with cluster key {key}: so does this one from now on");
        let service = service.clone();
        tokio::spawn(async move {
            let done = service.act(KeyAction::Activate(key.0)).await;
            if let Err(error) = done {
                tracing::error!(%error, "the cluster key was not activated");
            }
        });
    }
}

/// The key that more of them seal with than with ours, if it is one of ours; of as many, the
/// one of the node that has run longest.
fn key_of_the_others(service: &KeyService) -> Option<KeyId> {
    let keyring = &service.keyring;
    let ours = keyring.active_fingerprint_key_id();
    let told: BTreeMap<_, u32> = service.replication.keys_of_peers().into_iter().collect();
    let mut votes = BTreeMap::from([(ours, 1_usize)]);
    for name in told.values() {
        *votes.entry(*name).or_default() += 1;
    }
    let own = votes.get(&ours).copied().unwrap_or(0);
    let most = votes.iter().filter(|(name, _)| **name != ours);
    let (name, count) = most.max_by_key(|(_, count)| **count)?;
    let is_elder = || {
        let mut elders = service.oldest_first().into_iter();
        elders.find_map(|who| {
            told.get(&who).copied().or((who == service.identity.incarnation).then_some(ours))
        }) == Some(*name)
    };
    let goes = *count > own || *count == own && is_elder();
    goes.then(|| keyring.id_by_fingerprint_key_id(*name)).flatten()
}
