//! Opens the store of a node and loads its content.

use std::path::Path;

use mailmesh_codec::RecordCipher;
use mailmesh_events::{NodeId, Stamp, UnixMillis};
use mailmesh_state::{Bounds, Saved};
use mailmesh_store::{Store, StoreError};

use super::binding::{Binding, Relation};
use super::stored_content::StoredContent;
use super::{ALIVE_NOTE, DECISION_TIMEOUT, STAMP_NOTE, StoreContext, record};
use crate::StartError;

/// Entries per batch while the store is read.
const BATCH_ENTRIES: usize = 4_096;
/// Batches that may wait between the reader and the mirror.
const MAX_QUEUED_BATCHES: usize = 16;

/// Longest name of another cluster in an error, in characters.
const MAX_SHOWN_NAME: usize = 64;

/// Opens a store. A test replaces it to simulate a full disk.
pub(crate) type StoreOpener = fn(&Path) -> Result<Store, StoreError>;

/// A store that is in use.
#[derive(Debug)]
pub(super) struct OpenStore {
    pub(super) store: Store,
    pub(super) binding: Binding,
    pub(super) vault: Option<RecordCipher>,
    /// Version of the keyring that the vault has.
    pub(super) version: u64,
}

/// Opens the store and loads it. `is_late`: the mirror already has content, so the loaded entries
/// are withheld.
pub(super) fn open_and_load(
    dir: &Path,
    source: &StoreContext,
    opener: StoreOpener,
    is_late: bool,
) -> Result<(OpenStore, Option<StoredContent>), StartError> {
    let begin = std::time::Instant::now();
    let mut version = 0;
    let vault = source.keys.as_ref().and_then(|keys| keys.vault(&mut version));
    let (store, binding) = open(dir, source, opener)?;
    let number = |name| -> Result<Option<u64>, StoreError> {
        let note = store.note(name)?;
        Ok(note.and_then(|note| note.try_into().ok()).map(u64::from_be_bytes))
    };
    let stamp = number(STAMP_NOTE)?.unwrap_or_default();
    source.mirror.observe_stamp(Stamp::from_raw(stamp, NodeId(0)));
    let alive = number(ALIVE_NOTE)?.map(UnixMillis);
    let is_old = alive.is_some_and(|alive| StoredContent::is_old(alive, source.time.now(), false));
    let mut withheld = None;
    let loaded = load(&store, vault.as_ref(), |entries| {
        if is_old || is_late {
            withheld = Some(entries.collect());
        } else {
            source.mirror.restore(entries, source.time.now());
        }
    });
    // This error is permanent: some batches may already be in the mirror, so the node does not
    // start. A late store is read again, because all its entries were withheld.
    let loaded = loaded?;
    if is_old && loaded > 0 {
        tracing::warn!(
            "the stored mirror is older than {} h, so it may hold entries removed since; it is \
             used only if no other node has a mirror within {} s",
            Bounds::default().tombstone_retention.as_secs() / 3600,
            DECISION_TIMEOUT.as_secs()
        );
    }
    let (took, path) = (begin.elapsed(), store.path().display());
    tracing::info!(entries = loaded, ?took, "the mirror was read from {path}");
    // Content of a late store is always withheld, even without a note of its time.
    let alive = alive.or(is_late.then_some(UnixMillis(0))).filter(|_| loaded > 0);
    let undecided = alive.map(|alive| StoredContent::new(alive, stamp, withheld, is_late));
    Ok((OpenStore { store, binding, vault, version }, undecided))
}

/// Opens the store of a directory, and returns it with the binding to write from now on. A store of
/// the same cluster with keys that this node lacks is renamed, and a new store is opened.
fn open(
    dir: &Path,
    source: &StoreContext,
    opener: StoreOpener,
) -> Result<(Store, Binding), StartError> {
    let mut binding = Binding::current(source);
    let store = opener(dir)?;
    if store.is_group_writable() {
        tracing::warn!(
            "the group of {} may write there, and so change the blocks of all nodes; \
             `chmod g-w` it, unless the volume is mounted that way",
            dir.display()
        );
    }
    let Some(noted) = Binding::read(&store)? else { return Ok((store, binding)) };
    match noted.relation_to(&binding) {
        Relation::SameCluster => {}
        Relation::SameClusterBeforeKeys => tracing::info!(
            "{} was written before this cluster had a key; it is used, and bound to the key from \
             now on",
            store.path().display()
        ),
        Relation::OtherCluster => {
            let path = store.path().to_owned();
            let found = noted.cluster.chars().take(MAX_SHOWN_NAME).collect();
            let expected = binding.cluster;
            return Err(StartError::StoreOfAnotherCluster { path, found, expected });
        }
        Relation::OtherKeys => {
            let path = store.path().to_owned();
            let kept = store.rename_aside(&noted.first_key())?;
            tracing::error!(
                "{} was written under cluster key {}, and this node has {}: the store is not used \
                 and was renamed to {}. \
                 The content comes from the other nodes. If all nodes were off when the key was \
                 replaced: stop this node, \
                 add the old key as the last line of its key file, move the file back, start, and \
                 retire that key",
                path.display(),
                noted.first_key(),
                binding.first_key(),
                kept.display()
            );
            return Ok((opener(dir)?, binding));
        }
    }
    binding.remember(&noted);
    Ok((store, binding))
}

/// Passes every readable entry to `take`, while a second thread reads on.
fn load(
    store: &Store,
    vault: Option<&RecordCipher>,
    take: impl FnOnce(&mut dyn Iterator<Item = Saved>),
) -> Result<u64, StoreError> {
    let (batches, read) = std::sync::mpsc::sync_channel(MAX_QUEUED_BATCHES);
    let (loaded, unreadable) = std::thread::scope(|scope| {
        let reader =
            scope.spawn(move || read_all(store, vault, |batch| batches.send(batch).is_ok()));
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
            "stored entries cannot be read; was the cluster key changed? The other nodes supply \
             them"
        );
    }
    Ok(loaded)
}

/// Passes entries on in batches; counts the readable and the unreadable ones.
fn read_all(
    store: &Store,
    vault: Option<&RecordCipher>,
    give: impl Fn(Vec<Saved>) -> bool,
) -> Result<(u64, u64), StoreError> {
    let (mut batch, mut loaded, mut unreadable) = (Vec::new(), 0, 0);
    store.read(|key, value| match record::read(key, value, vault) {
        Ok(saved) => {
            loaded += 1;
            batch.push(saved);
            if batch.len() >= BATCH_ENTRIES {
                give(std::mem::take(&mut batch));
            }
        }
        Err(error) => {
            unreadable += 1;
            if unreadable == 1 {
                tracing::warn!(%error, "a stored entry cannot be read");
            }
        }
    })?;
    give(batch);
    Ok((loaded, unreadable))
}
