//! Binds a store to a cluster and its keys, by two notes in the store.

use mailmesh_codec::KeyId;
use mailmesh_store::{Store, StoreError};

use super::StoreContext;

/// Note with the cluster's name.
const CLUSTER_NOTE: &str = "cluster";
/// Note with the fingerprints of the cluster's keys; empty without a cluster key.
const KEYS_NOTE: &str = "keys";
/// Most fingerprints in the note: those of the ring, then the latest former ones.
const MAX_NOTED_KEYS: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binding {
    pub(super) cluster: String,
    /// The node's present keys come first.
    keys: Vec<KeyId>,
}

/// How a store relates to a node.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Relation {
    /// The store belongs to the node's cluster.
    SameCluster,
    /// The store belongs to the node's cluster, and was written before the cluster had a key.
    SameClusterBeforeKeys,
    /// The store belongs to a cluster with another name.
    OtherCluster,
    /// The store belongs to a cluster with the same name, whose keys the node does not have.
    OtherKeys,
}

impl Binding {
    /// The binding for a node with its present keys.
    pub(super) fn current(source: &StoreContext) -> Self {
        let keys = source.keys.as_ref().map(|keys| keys.ids()).unwrap_or_default();
        Self { cluster: source.cluster.clone(), keys }
    }

    /// The binding in a store. Earlier versions wrote none.
    pub(super) fn read(store: &Store) -> Result<Option<Self>, StoreError> {
        let damaged = |name: &str| {
            let why = format!("its note `{name}` is invalid");
            StoreError::Damaged { path: store.path().to_owned(), why }
        };
        let Some(cluster) = store.note(CLUSTER_NOTE)? else { return Ok(None) };
        let cluster = String::from_utf8(cluster).map_err(|_| damaged(CLUSTER_NOTE))?;
        let noted = store.note(KEYS_NOTE)?.unwrap_or_default();
        let (ids, rest) = noted.as_chunks();
        if !rest.is_empty() || ids.len() > MAX_NOTED_KEYS {
            return Err(damaged(KEYS_NOTE));
        }
        Ok(Some(Self { cluster, keys: ids.iter().copied().map(KeyId).collect() }))
    }

    pub(super) fn notes(&self) -> [(&'static str, Vec<u8>); 2] {
        let keys = self.keys.iter().flat_map(|id| id.0).collect();
        [(CLUSTER_NOTE, self.cluster.clone().into_bytes()), (KEYS_NOTE, keys)]
    }

    /// Relates a store with binding `self` to a node with binding `node`. One common key is enough,
    /// even a former one: keys rotate while a node is off, and the configuration of a running node
    /// may lag behind.
    pub(super) fn relation_to(&self, node: &Self) -> Relation {
        if self.cluster != node.cluster {
            Relation::OtherCluster
        } else if self.keys.iter().any(|id| node.keys.contains(id)) || self.keys == node.keys {
            Relation::SameCluster
        } else if self.keys.is_empty() {
            Relation::SameClusterBeforeKeys
        } else {
            Relation::OtherKeys
        }
    }

    /// Adds the keys of an earlier binding as former keys.
    pub(super) fn remember(&mut self, before: &Self) {
        let former = before.keys.iter().filter(|id| !self.keys.contains(id));
        let former: Vec<KeyId> = former.copied().collect();
        self.keys.extend(former);
        self.keys.truncate(MAX_NOTED_KEYS);
    }

    pub(super) fn first_key(&self) -> String {
        self.keys.first().map_or_else(|| "no key".to_owned(), KeyId::to_string)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(keys: impl IntoIterator<Item = u8>) -> Binding {
        let keys = keys.into_iter().map(|n| KeyId([n; 8])).collect();
        Binding { cluster: "mail".into(), keys }
    }

    #[test]
    fn present_keys_come_first_and_the_oldest_are_dropped() {
        let mut noted = binding([1]);
        for n in 2..=40 {
            let mut now = binding([n, n - 1]);
            now.remember(&noted);
            assert_eq!(now.keys[..2], [KeyId([n; 8]), KeyId([n - 1; 8])]);
            assert_eq!(now.keys.len(), usize::from(n).min(MAX_NOTED_KEYS));
            assert_eq!(noted.relation_to(&now), Relation::SameCluster);
            noted = now;
        }
        assert_eq!(noted.relation_to(&binding([30])), Relation::SameCluster);
        assert_eq!(noted.relation_to(&binding([3])), Relation::OtherKeys);
    }

    #[test]
    fn clusters_with_and_without_a_key_are_distinguished() {
        assert_eq!(binding([]).relation_to(&binding([])), Relation::SameCluster);
        assert_eq!(binding([]).relation_to(&binding([1])), Relation::SameClusterBeforeKeys);
        assert_eq!(binding([1]).relation_to(&binding([])), Relation::OtherKeys);
        let other = Binding { cluster: "lab".into(), keys: vec![KeyId([1; 8])] };
        assert_eq!(other.relation_to(&binding([1])), Relation::OtherCluster);
    }
}
