//! The cluster keys: which node has which, and how a rotation replaces one.

mod file;
mod majority;
mod node_keyring;
mod peer_keys;
mod requests;
mod service;
mod trials;
pub(crate) mod upkeep;

use std::collections::BTreeMap;
use std::sync::Arc;

use mailmesh_codec::{ClusterKey, KeyId};
use mailmesh_delivery::{Incarnation, NodeName};
use mailmesh_events::{KeyAction, KeySecret, KeysHeld};
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

pub(crate) use node_keyring::NodeKeyring;
pub(crate) use peer_keys::PeerKeys;
pub(crate) use service::KeyService;

use crate::Error;

/// The keys of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NodeKeys {
    /// Name of the node.
    pub node: NodeName,
    /// Fingerprints. The first key seals (unless the node is trying another one); all are accepted.
    #[serde(serialize_with = "as_texts")]
    pub keys: Vec<KeyId>,
    /// The key file of the node has these keys, so that they survive a restart.
    pub kept: bool,
    /// The active key survives a restart, from the key file or from the initial configuration.
    pub keeps_active: bool,
    /// The node could write a new key to its key file.
    pub keeps_new: bool,
    /// The node answered. If not, nothing is known about its keys.
    pub answered: bool,
}

fn as_texts<S: Serializer>(keys: &[KeyId], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(keys.iter().map(ToString::to_string))
}

/// The cluster keys. A rotation has three steps: every node accepts the new key
/// ([`add`](Self::add)), every node seals with it ([`activate`](Self::activate)), every node drops
/// the old key ([`retire`](Self::retire)). Each step acts on all members, reports the nodes that
/// failed, and may be repeated.
///
/// A key that is added crosses the network sealed with the active key. If the active key has
/// leaked, copy the new key to every node by hand ([`add_here`](Self::add_here)) instead.
///
/// The futures are not cancel-safe: if one is dropped, some nodes may have changed their keys.
/// Repeat the step.
#[derive(Debug, Clone, Copy)]
pub struct Keys<'a> {
    /// `None` without a cluster key.
    service: Option<&'a Arc<KeyService>>,
}

impl<'a> Keys<'a> {
    pub(crate) fn new(service: Option<&'a Arc<KeyService>>) -> Self {
        Self { service }
    }

    /// The keys of each node, with this node first. Waits up to 5 s for answers.
    ///
    /// # Errors
    /// [`Error::OpenMesh`] without a cluster key, [`Error::ShutDown`], [`Error::Busy`].
    pub async fn list(&self) -> Result<Vec<NodeKeys>, Error> {
        let answers = self.ask(&KeyAction::List).await?;
        let service = self.service()?;
        let own = (service.identity.name.clone(), Some(service.held().await?));
        let all = std::iter::once(own).chain(answers);
        Ok(all
            .map(|(node, held)| {
                let answered = held.is_some();
                let KeysHeld { keys, kept, keeps_active, keeps_new, .. } = held.unwrap_or_default();
                NodeKeys { node, keys, kept, keeps_active, keeps_new, answered }
            })
            .collect())
    }

    /// Makes every node accept a key; returns its fingerprint.
    ///
    /// # Errors
    /// [`Error::OpenMesh`] without a cluster key; [`Error::KeyRetired`]; [`Error::Codec`] if this
    /// node has too many keys; [`Error::KeysRefused`] and [`Error::KeysUnanswered`] if another node
    /// failed: repeat the call.
    pub async fn add(&self, key: ClusterKey) -> Result<KeyId, Error> {
        let service = self.service()?;
        let id = key.id(&service.cluster);
        if service.keyring.was_retired(id) {
            return Err(Error::KeyRetired { id });
        }
        self.act(KeyAction::Add(secret(&key))).await?;
        self.act_on_others(&KeyAction::Add(secret(&key))).await?;
        Ok(id)
    }

    /// Makes this node alone accept a key. If no member answers this node, it tries at once whether
    /// the others seal with this key, and adopts the key if they do.
    ///
    /// # Errors
    /// [`Error::OpenMesh`] without a cluster key; [`Error::Codec`] if this node has too many keys.
    pub async fn add_here(&self, key: ClusterKey) -> Result<KeyId, Error> {
        self.act(KeyAction::Add(secret(&key))).await?;
        let service = self.service()?;
        let id = key.id(&service.cluster);
        service.trials.on_added(id);
        Ok(id)
    }

    /// Makes every node seal with a key that all accept.
    ///
    /// # Errors
    /// [`Error::OpenMesh`] without a cluster key; [`Error::Codec`] if this node lacks the key;
    /// [`Error::KeyMissing`] if another node lacks it; [`Error::KeysRefused`],
    /// [`Error::KeysUnanswered`].
    pub async fn activate(&self, id: KeyId) -> Result<(), Error> {
        if !self.service()?.keyring.ids().contains(&id) {
            return Err(mailmesh_codec::CodecError::UnknownKey { id }.into());
        }
        let held = self.ask_all(&KeyAction::List).await?;
        let lack = held.iter().filter(|(_, held)| !held.keys.contains(&id));
        let nodes = names(lack.map(|(node, _)| node));
        if !nodes.is_empty() {
            return Err(Error::KeyMissing { id, nodes });
        }
        self.act_on_others(&KeyAction::Activate(id)).await?;
        self.act(KeyAction::Activate(id)).await
    }

    /// Makes this node seal with a key that it accepts. For ten minutes the node keeps the key even
    /// if the others seal with another; then it adopts theirs.
    ///
    /// # Errors
    /// [`Error::OpenMesh`] without a cluster key; [`Error::Codec`] if this node lacks the key.
    pub async fn activate_here(&self, id: KeyId) -> Result<(), Error> {
        self.service()?.majority.pin();
        self.act(KeyAction::Activate(id)).await
    }

    /// Makes this node alone drop a key.
    ///
    /// # Errors
    /// [`Error::OpenMesh`] without a cluster key; [`Error::Codec`] if this node seals with the key;
    /// [`Error::KeyNotKept`] if this node would lose its active key at a restart.
    pub async fn retire_here(&self, id: KeyId) -> Result<(), Error> {
        let service = self.service()?;
        let own = (service.identity.name.clone(), service.held().await?);
        all_keep_active(&[own])?;
        self.retire_here_forced(id).await
    }

    /// Same as [`retire_here`](Self::retire_here), even if a restart would take this node out of
    /// the cluster.
    ///
    /// # Errors
    /// [`Error::OpenMesh`] without a cluster key; [`Error::Codec`] if this node seals with the key.
    pub async fn retire_here_forced(&self, id: KeyId) -> Result<(), Error> {
        self.act(KeyAction::Retire(id)).await
    }

    /// Makes every node drop a key that none seals with. Frames sealed with it are still accepted
    /// for 10 s.
    ///
    /// # Errors
    /// [`Error::OpenMesh`] without a cluster key; [`Error::Codec`] if no node has the key;
    /// [`Error::KeyInUse`] if a node seals with it; [`Error::KeyNotKept`] if a node would lose its
    /// active key at a restart; [`Error::KeysRefused`], [`Error::KeysUnanswered`].
    pub async fn retire(&self, id: KeyId) -> Result<(), Error> {
        self.retire_if(id, all_keep_active).await
    }

    /// Same as [`retire`](Self::retire), even if a restart would take a node out of the cluster
    /// because no file keeps its active key.
    ///
    /// # Errors
    /// Those of [`retire`](Self::retire) except [`Error::KeyNotKept`].
    pub async fn retire_forced(&self, id: KeyId) -> Result<(), Error> {
        self.retire_if(id, |_| Ok(())).await
    }

    /// A key of this node, for a backup or for a node that lacks it: the key with this fingerprint,
    /// or the active key if `id` is `None`.
    ///
    /// # Errors
    /// [`Error::OpenMesh`] without a cluster key; [`Error::Codec`] if this node lacks the key.
    pub fn export(&self, id: Option<KeyId>) -> Result<ClusterKey, Error> {
        let keyring = &self.service()?.keyring;
        let id = id.or_else(|| keyring.ids().first().copied()).ok_or(Error::OpenMesh)?;
        keyring.secret(id).ok_or_else(|| mailmesh_codec::CodecError::UnknownKey { id }.into())
    }

    async fn retire_if(
        &self,
        id: KeyId,
        check: impl Fn(&[(NodeName, KeysHeld)]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut held = self.ask_all(&KeyAction::List).await?;
        let service = self.service()?;
        held.push((service.identity.name.clone(), service.held().await?));
        if !held.iter().any(|(_, held)| held.keys.contains(&id)) {
            return Err(mailmesh_codec::CodecError::UnknownKey { id }.into());
        }
        let seal = held.iter().filter(|(_, held)| held.keys.first() == Some(&id));
        let nodes = names(seal.map(|(node, _)| node));
        if !nodes.is_empty() {
            return Err(Error::KeyInUse { id, nodes });
        }
        check(&held)?;
        self.act_on_others(&KeyAction::Retire(id)).await?;
        let done = self.act(KeyAction::Retire(id)).await;
        if done.is_err()
            && let Some(key) = service.keyring.secret(id)
        {
            // The key was activated on this node in the meantime: the nodes that dropped it get it
            // back.
            self.act_on_others(&KeyAction::Add(secret(&key))).await?;
        }
        done
    }

    fn service(&self) -> Result<&'a Arc<KeyService>, Error> {
        self.service.ok_or(Error::OpenMesh)
    }

    /// Acts on this node.
    async fn act(&self, action: KeyAction) -> Result<(), Error> {
        self.service()?.act(action).await
    }

    /// Acts on all other nodes.
    async fn act_on_others(&self, action: &KeyAction) -> Result<(), Error> {
        for (node, held) in self.ask_all(action).await? {
            if let Some(why) = held.refused {
                return Err(Error::KeysRefused { node: node.to_string(), why });
            }
        }
        Ok(())
    }

    async fn ask_all(&self, action: &KeyAction) -> Result<Vec<(NodeName, KeysHeld)>, Error> {
        let answers = self.ask(action).await?;
        let silent = answers.iter().filter(|(_, held)| held.is_none());
        let nodes = names(silent.map(|(node, _)| node));
        if !nodes.is_empty() {
            return Err(Error::KeysUnanswered { nodes });
        }
        Ok(answers.into_iter().filter_map(|(node, held)| held.map(|held| (node, held))).collect())
    }

    /// The answer of each member, or `None` for a member that did not answer.
    async fn ask(&self, action: &KeyAction) -> Result<Vec<(NodeName, Option<KeysHeld>)>, Error> {
        let service = self.service()?;
        let members: BTreeMap<Incarnation, NodeName> = service.direct.member_names();
        let asked = members.keys().copied().collect();
        let answers = service.requests.ask(&service.direct, asked, action).await;
        let mut answers = answers.ok_or(Error::Busy)?;
        let mut all: Vec<_> =
            members.into_iter().map(|(peer, name)| (name, answers.remove(&peer))).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(all)
    }
}

/// Refuses to continue if a node would lose its active key at a restart.
fn all_keep_active(held: &[(NodeName, KeysHeld)]) -> Result<(), Error> {
    let lacking = || held.iter().filter(|(_, held)| !held.keeps_active);
    let Some(id) = lacking().find_map(|(_, held)| held.keys.first()) else { return Ok(()) };
    let nodes = names(lacking().map(|(node, _)| node));
    Err(Error::KeyNotKept { id: *id, nodes })
}

fn secret(key: &ClusterKey) -> KeySecret {
    KeySecret::new(Zeroizing::new(*key.as_bytes()))
}

fn names<'n>(nodes: impl Iterator<Item = &'n NodeName>) -> String {
    nodes.map(NodeName::as_str).collect::<Vec<_>>().join(", ")
}
