//! The keys of the cluster: which node has which, and how one takes another's place.

mod file;
mod majority;
mod node_keyring;
mod requests;
mod service;
mod trials;

use std::collections::BTreeMap;
use std::sync::Arc;

use mailmesh_codec::{ClusterKey, KeyId};
use mailmesh_delivery::{Incarnation, NodeName};
use mailmesh_events::{KeyAction, KeySecret, KeysHeld};
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

pub(crate) use node_keyring::NodeKeyring;
pub(crate) use service::KeyService;

use crate::Error;

/// The keys of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NodeKeys {
    /// The node.
    pub node: NodeName,
    /// Fingerprints: the first seals (not while another key is tried), the others are accepted.
    #[serde(serialize_with = "as_texts")]
    pub keys: Vec<KeyId>,
    /// They are in its file, so that it has them after a restart.
    pub kept: bool,
    /// A restart brings back the key that seals, whether from its file or from the
    /// configuration that it began with.
    pub keeps_active: bool,
    /// A key that it is given now would be in its file.
    pub keeps_new: bool,
    /// It told so; otherwise nothing is known.
    pub answered: bool,
}

fn as_texts<S: Serializer>(keys: &[KeyId], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(keys.iter().map(ToString::to_string))
}

/// The cluster's keys. All nodes have to have a new one before it seals, and all to seal with
/// it before the old one goes: [`add`](Self::add), [`activate`](Self::activate),
/// [`retire`](Self::retire), each of which does it on every node that is there, says which
/// did not, and may be done again.
///
/// A key that is added crosses the network sealed with the present one. If that one is in
/// wrong hands, put the new one on every node by hand ([`add_here`](Self::add_here)) instead.
#[derive(Debug, Clone, Copy)]
pub struct Keys<'a> {
    /// `None` for an open mesh.
    service: Option<&'a Arc<KeyService>>,
}

impl<'a> Keys<'a> {
    pub(crate) fn new(service: Option<&'a Arc<KeyService>>) -> Self {
        Self { service }
    }

    /// The keys of each node, this one's first.
    ///
    /// # Errors
    /// [`Error::OpenMesh`]; [`Error::ShutDown`]; [`Error::Busy`].
    pub async fn list(&self) -> Result<Vec<NodeKeys>, Error> {
        let answers = self.ask(&KeyAction::List).await?;
        let service = self.service()?;
        let own = (service.identity.name.clone(), Some(service.held().await?));
        let all = std::iter::once(own).chain(answers);
        Ok(all
            .map(|(node, held)| {
                let answered = held.is_some();
                let KeysHeld { keys, kept, keeps_active, keeps_new, .. } = held.unwrap_or_default();
                let keys = keys.into_iter().map(KeyId).collect();
                NodeKeys { node, keys, kept, keeps_active, keeps_new, answered }
            })
            .collect())
    }

    /// Has every node accept a key; gives its fingerprint.
    ///
    /// # Errors
    /// [`Error::OpenMesh`]; [`Error::KeyRetired`]; [`Error::Codec`] if there are too many;
    /// [`Error::KeysRefused`] and [`Error::KeysUnanswered`] if another node does not: do it
    /// again.
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

    /// Has this node accept a key, which no other is told of. A node that nobody answers tries at
    /// once whether others link and seal with it; if they do, so does this node from then on.
    ///
    /// # Errors
    /// [`Error::OpenMesh`]; [`Error::Codec`] if there are too many.
    pub async fn add_here(&self, key: ClusterKey) -> Result<KeyId, Error> {
        self.act(KeyAction::Add(secret(&key))).await?;
        let service = self.service()?;
        let id = key.id(&service.cluster);
        service.trials.on_added(id);
        Ok(id)
    }

    /// Has every node seal with a key that all accept.
    ///
    /// # Errors
    /// [`Error::OpenMesh`]; [`Error::Codec`] without such a key here; [`Error::KeyMissing`] if
    /// another node lacks it; [`Error::KeysRefused`], [`Error::KeysUnanswered`].
    pub async fn activate(&self, id: KeyId) -> Result<(), Error> {
        if !self.service()?.keyring.ids().contains(&id) {
            return Err(mailmesh_codec::CodecError::UnknownKey { id }.into());
        }
        let held = self.ask_all(&KeyAction::List).await?;
        let lack = held.iter().filter(|(_, held)| !held.keys.contains(&id.0));
        let nodes = names(lack.map(|(node, _)| node));
        if !nodes.is_empty() {
            return Err(Error::KeyMissing { id, nodes });
        }
        self.act_on_others(&KeyAction::Activate(id.0)).await?;
        self.act(KeyAction::Activate(id.0)).await
    }

    /// Has this node seal with a key that it accepts, whatever the others do: for ten minutes;
    /// after that it goes with them, if they seal with another.
    ///
    /// # Errors
    /// [`Error::OpenMesh`]; [`Error::Codec`] without such a key here.
    pub async fn activate_here(&self, id: KeyId) -> Result<(), Error> {
        self.service()?.majority.pin();
        self.act(KeyAction::Activate(id.0)).await
    }

    /// Has this node accept a key no more.
    ///
    /// # Errors
    /// [`Error::OpenMesh`]; [`Error::Codec`] if it seals with it; [`Error::KeyNotKept`] if a
    /// restart would not bring back the key that it seals with.
    pub async fn retire_here(&self, id: KeyId) -> Result<(), Error> {
        let service = self.service()?;
        let own = (service.identity.name.clone(), service.held().await?);
        all_keep_active(&[own])?;
        self.retire_here_forced(id).await
    }

    /// As [`retire_here`](Self::retire_here), also if a restart takes this node out of the
    /// cluster.
    ///
    /// # Errors
    /// [`Error::OpenMesh`]; [`Error::Codec`] if it seals with it.
    pub async fn retire_here_forced(&self, id: KeyId) -> Result<(), Error> {
        self.act(KeyAction::Retire(id.0)).await
    }

    /// Has every node accept a key no more that none seals with. What was sent before is
    /// accepted for 10 s.
    ///
    /// # Errors
    /// [`Error::OpenMesh`]; [`Error::KeyInUse`] if a node seals with it; [`Error::KeyNotKept`]
    /// if a node would not have the key that seals after a restart;
    /// [`Error::KeysRefused`], [`Error::KeysUnanswered`].
    pub async fn retire(&self, id: KeyId) -> Result<(), Error> {
        self.retire_if(id, all_keep_active).await
    }

    /// As [`retire`](Self::retire), also if a restart takes a node out of the cluster because it
    /// keeps the key that seals nowhere.
    ///
    /// # Errors
    /// Those of [`retire`](Self::retire), but for [`Error::KeyNotKept`].
    pub async fn retire_forced(&self, id: KeyId) -> Result<(), Error> {
        self.retire_if(id, |_| Ok(())).await
    }

    /// A key of this node, to be kept or given to a node that lacks it: the one of this
    /// fingerprint, or the one that seals.
    ///
    /// # Errors
    /// [`Error::OpenMesh`]; [`Error::Codec`] without such a key here.
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
        if !held.iter().any(|(_, held)| held.keys.contains(&id.0)) {
            return Err(mailmesh_codec::CodecError::UnknownKey { id }.into());
        }
        let seal = held.iter().filter(|(_, held)| held.keys.first() == Some(&id.0));
        let nodes = names(seal.map(|(node, _)| node));
        if !nodes.is_empty() {
            return Err(Error::KeyInUse { id, nodes });
        }
        check(&held)?;
        self.act_on_others(&KeyAction::Retire(id.0)).await?;
        let done = self.act(KeyAction::Retire(id.0)).await;
        if done.is_err()
            && let Some(key) = service.keyring.secret(id)
        {
            // Somebody has activated it meanwhile: those that gave it up get it back.
            self.act_on_others(&KeyAction::Add(secret(&key))).await?;
        }
        done
    }

    fn service(&self) -> Result<&'a Arc<KeyService>, Error> {
        self.service.ok_or(Error::OpenMesh)
    }

    /// Does it here.
    async fn act(&self, action: KeyAction) -> Result<(), Error> {
        self.service()?.act(action).await
    }

    /// Has all others do it.
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

    /// What each of the others answers, if it does.
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

/// Refuses what would leave a node without the key that seals once it restarts.
fn all_keep_active(held: &[(NodeName, KeysHeld)]) -> Result<(), Error> {
    let lacking = || held.iter().filter(|(_, held)| !held.keeps_active);
    let Some(id) = lacking().find_map(|(_, held)| held.keys.first()) else { return Ok(()) };
    let nodes = names(lacking().map(|(node, _)| node));
    Err(Error::KeyNotKept { id: KeyId(*id), nodes })
}

fn secret(key: &ClusterKey) -> KeySecret {
    KeySecret::new(Zeroizing::new(*key.bytes()))
}

fn names<'n>(nodes: impl Iterator<Item = &'n NodeName>) -> String {
    nodes.map(NodeName::as_str).collect::<Vec<_>>().join(", ")
}
