//! Which cluster, and which of its keys, a store belongs to: two notes in it say so.

use mailmesh_codec::KeyId;
use mailmesh_store::{Store, StoreError};

use super::StoreContext;

/// The cluster's name.
const CLUSTER_NOTE: &str = "cluster";
/// Fingerprints of the cluster's keys, none for an open mesh.
const KEYS_NOTE: &str = "keys";
/// Most fingerprints noted: those of the ring, and the latest that were in it before.
const MAX_NOTED_KEYS: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binding {
    pub(super) cluster: String,
    /// Those that the node has come first.
    keys: Vec<KeyId>,
}

/// How a store relates to a node.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Relation {
    /// It is of the node's cluster.
    SameCluster,
    /// It is of the node's cluster, from before that had a key.
    SameClusterBeforeKeys,
    /// It is of a cluster of another name.
    OtherCluster,
    /// It is of a cluster of the same name, and of keys that the node does not have.
    OtherKeys,
}

impl Binding {
    /// The one of a node with its present keys.
    pub(super) fn current(source: &StoreContext) -> Self {
        let keys = source.keys.as_ref().map(|keys| keys.ids()).unwrap_or_default();
        Self { cluster: source.cluster.clone(), keys }
    }

    /// The one that a store has; an earlier version noted none.
    pub(super) fn read(store: &Store) -> Result<Option<Self>, StoreError> {
        let damaged = |name: &str| {
            let why = format!("its note `{name}` makes no sense");
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

    /// How a store that has noted `self` relates to a node with `node`. One common key is
    /// enough, a former one too: keys rotate while a node is off, and the configuration of a
    /// node that was on may not follow.
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

    /// Takes over the former keys of what was noted before.
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
    fn the_keys_of_now_come_first_and_the_oldest_are_forgotten() {
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
    fn an_open_mesh_and_one_with_a_key_are_told_apart() {
        assert_eq!(binding([]).relation_to(&binding([])), Relation::SameCluster);
        assert_eq!(binding([]).relation_to(&binding([1])), Relation::SameClusterBeforeKeys);
        assert_eq!(binding([1]).relation_to(&binding([])), Relation::OtherKeys);
        let other = Binding { cluster: "lab".into(), keys: vec![KeyId([1; 8])] };
        assert_eq!(other.relation_to(&binding([1])), Relation::OtherCluster);
    }
}
