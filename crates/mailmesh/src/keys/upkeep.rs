//! The work on its keys that a node does every second.

use std::collections::BTreeMap;
use std::sync::Arc;

use mailmesh_codec::KeyId;
use mailmesh_events::KeyAction;

use super::service::KeyService;
use super::trials::Step;

/// Drops keys whose grace period has ended, and changes the sealing key if the members seal with
/// another. Runs every second.
pub(crate) fn tick(service: &Arc<KeyService>) {
    service.keyring.tick();
    follow_majority(service);
    try_other_keys(service);
}

/// Adopts the key of the majority.
fn follow_majority(service: &Arc<KeyService>) {
    if let Some(key) = service.majority.lasting(majority_key(service)) {
        adopt(service, key);
    }
}

/// Activates the key that the other nodes seal with, unless an activation is under way. The work
/// runs in the background, because the disk may hang.
fn adopt(service: &Arc<KeyService>, key: KeyId) {
    if !service.trials.begin_activation() {
        return;
    }
    tracing::warn!("the other nodes seal with cluster key {key}; this node adopts it");
    let service = service.clone();
    tokio::spawn(async move {
        let done = service.act(KeyAction::Activate(key)).await;
        if let Err(error) = &done {
            tracing::error!(%error, "the cluster key was not activated; this is retried");
        }
        service.trials.end_activation(done.is_err());
    });
}

/// The key that more nodes seal with than with this node's key, if this node has it. In a tie the
/// key of the oldest node wins.
fn majority_key(service: &KeyService) -> Option<KeyId> {
    let keyring = &service.keyring;
    let ours = keyring.active_id();
    let peer_keys = service.peer_keys.all();
    let mut votes = BTreeMap::from([(ours.0, 1_usize)]);
    for key in peer_keys.values() {
        *votes.entry(key.0).or_default() += 1;
    }
    let own = votes.remove(&ours.0).unwrap_or(0);
    let (key, count) = votes.into_iter().max_by_key(|(_, count)| *count)?;
    let key = KeyId(key);
    let is_of_oldest = || {
        let mut oldest_first = service.oldest_first().into_iter();
        oldest_first.find_map(|node| {
            peer_keys.get(&node).copied().or((node == service.identity.incarnation).then_some(ours))
        }) == Some(key)
    };
    let adopts = count > own || count == own && is_of_oldest();
    (adopts && keyring.ids().contains(&key)).then_some(key)
}

/// Tries other keys while no member answers.
fn try_other_keys(service: &Arc<KeyService>) {
    let keys = &service.keyring;
    let (ids, trial) = (keys.ids(), keys.trial());
    if service.replication.time.has_an_answer() {
        service.trials.on_answer();
        if let Some(trial) = trial {
            activate_trial(service, trial);
        }
        return;
    }
    let others = ids.get(1..).unwrap_or_default();
    match service.trials.next_step(others, trial, service.majority.is_pinned()) {
        Step::Wait => {}
        Step::Try(id) => {
            tracing::info!("no other node answers; trying cluster key {id} for a while");
            keys.seal_with(Some(id));
        }
        Step::Revert => keys.seal_with(None),
    }
}

/// A member has answered during a trial. If a member seals with the tried key, the node activates
/// the key. If a member seals with the former key, the trial ends. Until one is known, the trial
/// goes on.
fn activate_trial(service: &Arc<KeyService>, trial: KeyId) {
    let keys = &service.keyring;
    let peer_keys: Vec<KeyId> = service.peer_keys.all().into_values().collect();
    if peer_keys.contains(&keys.active_id()) {
        keys.seal_with(None);
    } else if peer_keys.contains(&trial) {
        adopt(service, trial);
    }
}
