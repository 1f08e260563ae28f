//! Opens the store of a node, and reads what it has.

use std::path::Path;

use mailmesh_codec::Vault;
use mailmesh_state::Saved;
use mailmesh_store::{Store, StoreError};

use super::binding::{Belongs, Binding};
use super::record;
use crate::Error;
use crate::mesh::Mesh;

/// Entries handed over at a time while the store is read.
const PART: usize = 4_096;
/// Most of these on their way.
const PARTS: usize = 16;

/// Opens the store of a directory if it is of this node's cluster, with what it is to note of
/// that from now on. One whose keys this node does not have is set aside.
pub(super) fn open(dir: &Path, mesh: &Mesh) -> Result<(Store, Binding), Error> {
    let mut binding = Binding::of(mesh);
    let store = Store::open(dir)?;
    if store.is_open_to_group() {
        tracing::warn!(
            "the group of {} may write there, and so change what this node and all others block; \
             `chmod g-w` it, unless the volume is mounted so",
            dir.display()
        );
    }
    let Some(noted) = Binding::read(&store)? else { return Ok((store, binding)) };
    match noted.relation_to(&binding) {
        Belongs::Here => {}
        Belongs::FromBeforeKeys => tracing::info!(
            "{} is of this cluster from before it had a key; it is used, and belongs to the key from now on",
            store.path().display()
        ),
        Belongs::OtherCluster => {
            let path = store.path().to_owned();
            let (found, expected) = (noted.cluster, binding.cluster);
            return Err(Error::StoreOfAnotherCluster { path, found, expected });
        }
        Belongs::OtherKeys => {
            let path = store.path().to_owned();
            let kept = store.set_aside(&noted.first_key())?;
            tracing::error!(
                "{} was written under cluster key {}, and this node has {}: it is not used, and is now {}. \
                 The content comes from the other nodes. If all nodes were off when the key was replaced: stop this node, \
                 add the old key as the last line of its key file, move the file back, start, and retire that key",
                path.display(),
                noted.first_key(),
                binding.first_key(),
                kept.display()
            );
            return Ok((Store::open(dir)?, binding));
        }
    }
    binding.remember(&noted);
    Ok((store, binding))
}

/// Gives every entry that can be read, while a thread of its own reads on.
pub(super) fn load(
    store: &Store,
    vault: Option<&Vault>,
    take: impl FnOnce(&mut dyn Iterator<Item = Saved>),
) -> Result<u64, StoreError> {
    let (parts, read) = std::sync::mpsc::sync_channel(PARTS);
    let (loaded, unreadable) = std::thread::scope(|scope| {
        let reader = scope.spawn(move || read_all(store, vault, |part| parts.send(part).is_ok()));
        take(&mut read.into_iter().flatten());
        let panicked = |_| {
            let why = "reading it failed by a bug".into();
            Err(StoreError::Damaged { path: store.path().to_owned(), why })
        };
        reader.join().unwrap_or_else(panicked)
    })?;
    if unreadable > 0 {
        tracing::warn!(
            unreadable,
            "stored entries were left out; was the cluster key changed? They come from the other nodes"
        );
    }
    Ok(loaded)
}

/// Gives entries in parts; counts those, and those that cannot be read.
fn read_all(
    store: &Store,
    vault: Option<&Vault>,
    give: impl Fn(Vec<Saved>) -> bool,
) -> Result<(u64, u64), StoreError> {
    let (mut part, mut loaded, mut unreadable) = (Vec::new(), 0, 0);
    store.read(|key, value| match record::read(key, value, vault) {
        Ok(saved) => {
            loaded += 1;
            part.push(saved);
            if part.len() >= PART {
                give(std::mem::take(&mut part));
            }
        }
        Err(error) => {
            unreadable += 1;
            if unreadable == 1 {
                tracing::warn!(%error, "a stored entry cannot be read");
            }
        }
    })?;
    give(part);
    Ok((loaded, unreadable))
}
