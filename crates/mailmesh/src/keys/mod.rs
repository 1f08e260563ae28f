//! The cluster keys: which node has which, and how a rotation replaces one.

mod change;
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
use mailmesh_events::{KeyAction, KeysHeld};
use serde::{Serialize, Serializer};

pub(crate) use node_keyring::NodeKeyring;
pub(crate) use peer_keys::PeerKeys;
pub(crate) use service::KeyService;

pub use change::{ActivateKey, AddKey, RetireKey};

use crate::KeyError;

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
/// leaked, copy the new key to every node by hand ([`AddKey::here`]) instead.
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
    /// [`KeyError::OpenMesh`] without a cluster key, [`KeyError::Busy`], [`KeyError::Stopped`].
    pub async fn list(&self) -> Result<Vec<NodeKeys>, KeyError> {
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

    /// Makes every node accept a key. Awaiting the returned [`AddKey`] carries it out.
    ///
    /// # Errors
    /// [`KeyError::OpenMesh`] without a cluster key; [`KeyError::Retired`]; [`KeyError::Refused`]
    /// if this node has too many keys; [`KeyError::RefusedBy`] and [`KeyError::Unanswered`] if
    /// another node failed: repeat the call.
    pub fn add(&self, key: ClusterKey) -> AddKey<'a> {
        AddKey::new(*self, key)
    }

    /// Makes every node seal with a key that all accept. Awaiting the returned [`ActivateKey`]
    /// carries it out.
    ///
    /// # Errors
    /// [`KeyError::OpenMesh`] without a cluster key; [`KeyError::Refused`] if this node lacks the
    /// key; [`KeyError::Missing`] if another node lacks it; [`KeyError::RefusedBy`],
    /// [`KeyError::Unanswered`].
    pub fn activate(&self, id: KeyId) -> ActivateKey<'a> {
        ActivateKey::new(*self, id)
    }

    /// Makes every node drop a key that none seals with. Frames sealed with it are still accepted
    /// for 10 s. Awaiting the returned [`RetireKey`] carries it out.
    ///
    /// # Errors
    /// [`KeyError::OpenMesh`] without a cluster key; [`KeyError::Refused`] if no node has the key,
    /// or this node seals with it; [`KeyError::InUse`] if another node seals with it;
    /// [`KeyError::NotKept`] if a node would lose its active key at a restart;
    /// [`KeyError::RefusedBy`], [`KeyError::Unanswered`].
    pub fn retire(&self, id: KeyId) -> RetireKey<'a> {
        RetireKey::new(*self, id)
    }

    /// A key of this node, for a backup or for a node that lacks it: the key with this fingerprint,
    /// or the active key if `id` is `None`.
    ///
    /// # Errors
    /// [`KeyError::OpenMesh`] without a cluster key; [`KeyError::Refused`] if this node lacks the
    /// key.
    pub fn export(&self, id: Option<KeyId>) -> Result<ClusterKey, KeyError> {
        let keyring = &self.service()?.keyring;
        let id = id.or_else(|| keyring.ids().first().copied()).ok_or(KeyError::OpenMesh)?;
        keyring.secret(id).ok_or_else(|| mailmesh_codec::CodecError::UnknownKey { id }.into())
    }

    fn service(&self) -> Result<&'a Arc<KeyService>, KeyError> {
        self.service.ok_or(KeyError::OpenMesh)
    }

    /// Acts on this node.
    async fn act(&self, action: KeyAction) -> Result<(), KeyError> {
        self.service()?.act(action).await
    }

    /// Acts on all other nodes.
    async fn act_on_others(&self, action: &KeyAction) -> Result<(), KeyError> {
        for (node, held) in self.ask_all(action).await? {
            if let Some(why) = held.refused {
                return Err(KeyError::RefusedBy { node: node.to_string(), why });
            }
        }
        Ok(())
    }

    async fn ask_all(&self, action: &KeyAction) -> Result<Vec<(NodeName, KeysHeld)>, KeyError> {
        let answers = self.ask(action).await?;
        let silent = answers.iter().filter(|(_, held)| held.is_none());
        let nodes = names(silent.map(|(node, _)| node));
        if !nodes.is_empty() {
            return Err(KeyError::Unanswered { nodes });
        }
        Ok(answers.into_iter().filter_map(|(node, held)| held.map(|held| (node, held))).collect())
    }

    /// The answer of each member, or `None` for a member that did not answer.
    async fn ask(&self, action: &KeyAction) -> Result<Vec<(NodeName, Option<KeysHeld>)>, KeyError> {
        let service = self.service()?;
        let members: BTreeMap<Incarnation, NodeName> = service.direct.member_names();
        let asked = members.keys().copied().collect();
        let answers = service.requests.ask(&service.direct, asked, action).await;
        let mut answers = answers.ok_or(KeyError::Busy)?;
        let mut all: Vec<_> =
            members.into_iter().map(|(peer, name)| (name, answers.remove(&peer))).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(all)
    }
}

fn names<'n>(nodes: impl Iterator<Item = &'n NodeName>) -> String {
    nodes.map(NodeName::as_str).collect::<Vec<_>>().join(", ")
}
