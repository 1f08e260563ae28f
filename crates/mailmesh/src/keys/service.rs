//! Acts on a node's keys: answers requests of members one at a time, away from the receive path,
//! because an action writes a file and recomputes fingerprints.

use std::sync::Arc;

use mailmesh_delivery::{Identity, Incarnation};
use mailmesh_events::{Certificate, ChangeKey, KeyAction, KeyMessage, KeysHeld, limits};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::majority::MajorityKey;
use super::node_keyring::{KeyUpdate, NodeKeyring};
use super::peer_keys::PeerKeys;
use super::requests::OutgoingRequests;
use super::trials::KeyTrials;
use crate::direct_sender::DirectSender;
use crate::persister::Persister;
use crate::replication::Replication;
use crate::{KeyError, MirrorError, Stopped};

/// Requests of members that may wait. Members repeat requests that do not fit.
const MAX_QUEUED: usize = 64;

/// A key request of a member.
#[derive(Debug)]
pub(crate) struct KeyRequest {
    from: Incarnation,
    number: u32,
    action: KeyAction,
}

#[derive(Debug)]
pub(crate) struct KeyService {
    pub(super) identity: Identity,
    /// The name of the cluster, from which key fingerprints are derived.
    pub(super) cluster: String,
    pub(super) keyring: Arc<NodeKeyring>,
    /// The keys that the members seal with.
    pub(super) peer_keys: Arc<PeerKeys>,
    pub(super) replication: Arc<Replication>,
    pub(super) direct: DirectSender,
    /// This node's requests to members.
    pub(super) requests: OutgoingRequests,
    /// Tracks whether the members seal with another key.
    pub(super) majority: MajorityKey,
    /// Tries other keys while no member answers.
    pub(super) trials: KeyTrials,
    /// Requests of members.
    queue: mpsc::Sender<KeyRequest>,
    /// Held while the fingerprints of the mirror are recomputed.
    rekeying: Mutex<()>,
}

impl KeyService {
    /// The service, and the requests that [`work`](Self::work) answers.
    pub(crate) fn new(
        identity: Identity,
        cluster: String,
        (keyring, peer_keys): (Arc<NodeKeyring>, Arc<PeerKeys>),
        replication: Arc<Replication>,
        direct: DirectSender,
    ) -> (Arc<Self>, mpsc::Receiver<KeyRequest>) {
        let (queue, incoming) = mpsc::channel(MAX_QUEUED);
        let service = Self {
            identity,
            cluster,
            keyring,
            peer_keys,
            replication,
            direct,
            requests: OutgoingRequests::default(),
            majority: MajorityKey::default(),
            trials: KeyTrials::default(),
            queue,
            rekeying: Mutex::new(()),
        };
        (Arc::new(service), incoming)
    }

    /// Fingerprint of the active key.
    pub(crate) fn active_id(&self) -> Option<String> {
        self.keyring.ids().first().map(ToString::to_string)
    }

    /// Queues a member's request, or records a member's answer to a request of this node. A member
    /// repeats a request that does not fit into the queue.
    pub(crate) fn on_message(&self, from: Incarnation, message: KeyMessage) {
        match message {
            KeyMessage::Request { number, action } => {
                let _full = self.queue.try_send(KeyRequest { from, number, action });
            }
            KeyMessage::Answer { number, held } => self.requests.on_answer(from, number, held),
            _ => {}
        }
    }

    /// Answers requests until the node stops.
    pub(crate) async fn work(self: Arc<Self>, mut queue: mpsc::Receiver<KeyRequest>) {
        while let Some(KeyRequest { from, number, action }) = queue.recv().await {
            let done = self.act(action).await;
            let Ok(held) = self.held().await else { return };
            let refused = done.err().map(|error| shorten(error.to_string()));
            let held = KeysHeld { refused, ..held };
            self.direct.send([(from, KeyMessage::Answer { number, held })]);
        }
    }

    /// The keys of this node.
    pub(super) async fn held(&self) -> Result<KeysHeld, KeyError> {
        let keyring = self.keyring.clone();
        let held = tokio::task::spawn_blocking(move || keyring.held());
        held.await.map_err(|_| Stopped::ShutDown.into())
    }

    /// Carries out an action on this node. Runs to its end even if the caller drops the future.
    pub(super) async fn act(self: &Arc<Self>, action: KeyAction) -> Result<(), KeyError> {
        if action == KeyAction::List {
            return Ok(());
        }
        if matches!(action, KeyAction::Retire(_))
            && let Some(persister) = &self.replication.persister
        {
            // Stored certificates that were sealed with the key must be resealed before the key
            // goes.
            let saved = match self.write_certificates_again(persister) {
                Ok(()) => persister.saved().await,
                Err(error) => Err(error),
            };
            saved.map_err(|error| match error {
                MirrorError::Stopped(stopped) => stopped.into(),
                MirrorError::NotSaved { why } => KeyError::StillNeeded { why },
                error => KeyError::StillNeeded { why: error.to_string() },
            })?;
        }
        let service = self.clone();
        let done = tokio::task::spawn_blocking(move || service.act_blocking(&action));
        done.await.unwrap_or(Err(Stopped::ShutDown.into()))
    }

    fn act_blocking(self: &Arc<Self>, action: &KeyAction) -> Result<(), KeyError> {
        let update = self.keyring.act(action)?;
        if update == KeyUpdate::Unchanged {
            return Ok(());
        }
        let persister = self.replication.persister.as_ref();
        if let Some(persister) = persister {
            persister.note_keys();
        }
        let ids = self.keyring.ids().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        if update == KeyUpdate::Activated {
            tracing::info!("another cluster key seals now; all keys: {ids}");
            // Withheld content is resealed before the old key is retired, at the latest.
            let _excludes_withheld =
                persister.map(|persister| self.write_certificates_again(persister));
            self.rekey_in_background();
        } else {
            tracing::info!("cluster keys (the first one seals): {ids}");
        }
        Ok(())
    }

    fn write_certificates_again(&self, persister: &Persister) -> Result<(), MirrorError> {
        let held = self.replication.mirror.certificates();
        let key = |held: &Arc<Certificate>| ChangeKey::Certificate(held.names().clone());
        if persister.write_again(held.iter().map(key)) {
            return Ok(());
        }
        let why = "stored content from before a long absence is not in use yet; try again in 10 s";
        Err(MirrorError::NotSaved { why: why.to_owned() })
    }

    /// Recomputes the mirror's fingerprints. Mirrors compare again once all nodes use the same
    /// fingerprint key.
    fn rekey_in_background(self: &Arc<Self>) {
        let service = self.clone();
        tokio::task::spawn_blocking(move || {
            // Runs one at a time, so that the last run uses the present key.
            let _turn = service.rekeying.lock();
            service.replication.rekey(service.keyring.mirror_key());
        });
    }

    /// This node and the members, sorted by start time, oldest first.
    pub(super) fn oldest_first(&self) -> Vec<Incarnation> {
        let own = (self.identity.started_ms, self.identity.incarnation);
        let peers = self.direct.peers();
        let others = peers.iter().map(|(peer, _)| (peer.started_ms, peer.incarnation));
        let mut all: Vec<_> = others.chain([own]).collect();
        all.sort_unstable();
        all.into_iter().map(|(_, incarnation)| incarnation).collect()
    }
}

fn shorten(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(limits::TEXT_LEN));
    text
}
