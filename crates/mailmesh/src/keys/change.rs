//! Changes of the cluster keys, each a builder that is carried out when it is awaited.

use std::pin::Pin;

use mailmesh_codec::{ClusterKey, CodecError, KeyId};
use mailmesh_delivery::NodeName;
use mailmesh_events::{KeyAction, KeySecret, KeysHeld};
use zeroize::Zeroizing;

use super::{Keys, names};
use crate::KeyError;

type Done<'a, T> = Pin<Box<dyn Future<Output = Result<T, KeyError>> + Send + 'a>>;

/// Adds a cluster key; see [`Keys::add`]. Does nothing until it is awaited, which gives the key's
/// fingerprint.
#[derive(Debug)]
#[must_use = "the key is added when this is awaited"]
pub struct AddKey<'a> {
    keys: Keys<'a>,
    key: ClusterKey,
    is_here: bool,
}

impl<'a> AddKey<'a> {
    pub(super) fn new(keys: Keys<'a>, key: ClusterKey) -> Self {
        Self { keys, key, is_here: false }
    }

    /// Only this node accepts the key. If no member answers this node, it tries at once whether the
    /// others seal with this key, and adopts the key if they do.
    pub fn here(mut self) -> Self {
        self.is_here = true;
        self
    }

    async fn run(self) -> Result<KeyId, KeyError> {
        let Self { keys, key, is_here } = self;
        let service = keys.service()?;
        let id = key.id(&service.cluster);
        let add = || KeyAction::Add(secret(&key));
        if is_here {
            keys.act(add()).await?;
            service.trials.on_added(id);
            return Ok(id);
        }
        if service.keyring.was_retired(id) {
            return Err(KeyError::Retired { id });
        }
        keys.act(add()).await?;
        keys.act_on_others(&add()).await?;
        Ok(id)
    }
}

impl<'a> IntoFuture for AddKey<'a> {
    type Output = Result<KeyId, KeyError>;
    type IntoFuture = Done<'a, KeyId>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// Activates a cluster key; see [`Keys::activate`]. Does nothing until it is awaited.
#[derive(Debug)]
#[must_use = "the key is activated when this is awaited"]
pub struct ActivateKey<'a> {
    keys: Keys<'a>,
    id: KeyId,
    is_here: bool,
}

impl<'a> ActivateKey<'a> {
    pub(super) fn new(keys: Keys<'a>, id: KeyId) -> Self {
        Self { keys, id, is_here: false }
    }

    /// Only this node seals with the key. For ten minutes it keeps the key even if the others seal
    /// with another; then it adopts theirs.
    pub fn here(mut self) -> Self {
        self.is_here = true;
        self
    }

    async fn run(self) -> Result<(), KeyError> {
        let Self { keys, id, is_here } = self;
        let service = keys.service()?;
        if is_here {
            service.majority.pin();
            return keys.act(KeyAction::Activate(id)).await;
        }
        if !service.keyring.ids().contains(&id) {
            return Err(CodecError::UnknownKey { id }.into());
        }
        let held = keys.ask_all(&KeyAction::List).await?;
        let lack = held.iter().filter(|(_, held)| !held.keys.contains(&id));
        let nodes = names(lack.map(|(node, _)| node));
        if !nodes.is_empty() {
            return Err(KeyError::Missing { id, nodes });
        }
        keys.act_on_others(&KeyAction::Activate(id)).await?;
        keys.act(KeyAction::Activate(id)).await
    }
}

impl<'a> IntoFuture for ActivateKey<'a> {
    type Output = Result<(), KeyError>;
    type IntoFuture = Done<'a, ()>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// Retires a cluster key; see [`Keys::retire`]. Does nothing until it is awaited.
#[derive(Debug)]
#[must_use = "the key is retired when this is awaited"]
pub struct RetireKey<'a> {
    keys: Keys<'a>,
    id: KeyId,
    is_here: bool,
    is_forced: bool,
}

impl<'a> RetireKey<'a> {
    pub(super) fn new(keys: Keys<'a>, id: KeyId) -> Self {
        Self { keys, id, is_here: false, is_forced: false }
    }

    /// Only this node drops the key.
    pub fn here(mut self) -> Self {
        self.is_here = true;
        self
    }

    /// Drops the key even if a restart would take a node out of the cluster, because no file keeps
    /// its active key.
    pub fn force(mut self) -> Self {
        self.is_forced = true;
        self
    }

    async fn run(self) -> Result<(), KeyError> {
        let Self { keys, id, is_here, is_forced } = self;
        let service = keys.service()?;
        let own =
            async || Ok::<_, KeyError>((service.identity.name.clone(), service.held().await?));
        if is_here {
            if !is_forced {
                all_keep_active(&[own().await?])?;
            }
            return keys.act(KeyAction::Retire(id)).await;
        }
        let mut held = keys.ask_all(&KeyAction::List).await?;
        held.push(own().await?);
        if !held.iter().any(|(_, held)| held.keys.contains(&id)) {
            return Err(CodecError::UnknownKey { id }.into());
        }
        let seal = held.iter().filter(|(_, held)| held.keys.first() == Some(&id));
        let nodes = names(seal.map(|(node, _)| node));
        if !nodes.is_empty() {
            return Err(KeyError::InUse { id, nodes });
        }
        if !is_forced {
            all_keep_active(&held)?;
        }
        keys.act_on_others(&KeyAction::Retire(id)).await?;
        let done = keys.act(KeyAction::Retire(id)).await;
        if done.is_err()
            && let Some(key) = service.keyring.secret(id)
        {
            // This node still has the key: it was activated here in the meantime, or certificates
            // on disk need it. The nodes that dropped it get it back; the caller needs the first
            // error.
            let _first_error_counts = keys.act_on_others(&KeyAction::Add(secret(&key))).await;
        }
        done
    }
}

impl<'a> IntoFuture for RetireKey<'a> {
    type Output = Result<(), KeyError>;
    type IntoFuture = Done<'a, ()>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// Refuses to continue if a node would lose its active key at a restart.
fn all_keep_active(held: &[(NodeName, KeysHeld)]) -> Result<(), KeyError> {
    let lacking = || held.iter().filter(|(_, held)| !held.keeps_active);
    let Some(id) = lacking().find_map(|(_, held)| held.keys.first()) else { return Ok(()) };
    let nodes = names(lacking().map(|(node, _)| node));
    Err(KeyError::NotKept { id: *id, nodes })
}

fn secret(key: &ClusterKey) -> KeySecret {
    KeySecret::new(Zeroizing::new(*key.as_bytes()))
}
