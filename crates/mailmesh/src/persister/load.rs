//! Opens the store of a node, and reads what it has.

use std::path::Path;

use mailmesh_codec::RecordCipher;
use mailmesh_events::{NodeId, Stamp, UnixMillis};
use mailmesh_state::{Bounds, Saved};
use mailmesh_store::{Store, StoreError};

use super::binding::{Belongs, Binding};
use super::unsettled::Unsettled;
use super::{ALIVE_NOTE, ASIDE, STAMP_NOTE, Source, record};
use crate::Error;

/// Entries handed over at a time while the store is read.
const PART: usize = 4_096;
/// Most of these on their way.
const PARTS: usize = 16;

/// Longest name of another cluster in an error, in characters.
const SHOWN: usize = 64;

/// How a store is opened: a test has one on a disk that is full.
pub(crate) type StoreOpener = fn(&Path) -> Result<Store, StoreError>;

/// A store that is in use.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) store: Store,
    pub(super) binding: Binding,
    pub(super) vault: Option<RecordCipher>,
    /// Of the keys that the vault has.
    pub(super) version: u64,
}

/// Opens the store and loads it. With `is_late`, the mirror already has content, so the loaded
/// entries are set aside.
pub(super) fn take_in(
    dir: &Path,
    source: &Source,
    opener: StoreOpener,
    is_late: bool,
) -> Result<(Opened, Option<Unsettled>), Error> {
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
    let is_old = alive.is_some_and(|alive| Unsettled::is_old(alive, source.time.now(), false));
    let mut aside = None;
    let loaded = load(&store, vault.as_ref(), |entries| {
        if is_old || is_late {
            aside = Some(entries.collect());
        } else {
            source.mirror.restore(entries, source.time.now());
        }
    });
    // Such an error does not pass: a part may be in the mirror, so the node does not start. A late
    // store is read again, since all that was read waited aside.
    let loaded = loaded?;
    if is_old && loaded > 0 {
        tracing::warn!(
            "the stored mirror is older than {} h, so it may have what was removed since; it is used only if no other node has one within {} s",
            Bounds::default().tombstone_retention.as_secs() / 3600,
            ASIDE.as_secs()
        );
    }
    tracing::info!(entries = loaded, took = ?begin.elapsed(), "the mirror was read from {}", store.path().display());
    // A late store is always set aside, even without a time note.
    let alive = alive.or(is_late.then_some(UnixMillis(0))).filter(|_| loaded > 0);
    let unsettled = alive.map(|alive| Unsettled::new(alive, stamp, aside, is_late));
    Ok((Opened { store, binding, vault, version }, unsettled))
}

/// Opens the store of a directory if it is of this node's cluster, with what it is to note of
/// that from now on. One whose keys this node does not have is set aside.
fn open(dir: &Path, source: &Source, opener: StoreOpener) -> Result<(Store, Binding), Error> {
    let mut binding = Binding::of(source);
    let store = opener(dir)?;
    if store.is_group_writable() {
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
            let found = noted.cluster.chars().take(SHOWN).collect();
            let expected = binding.cluster;
            return Err(Error::StoreOfAnotherCluster { path, found, expected });
        }
        Belongs::OtherKeys => {
            let path = store.path().to_owned();
            let kept = store.rename_aside(&noted.first_key())?;
            tracing::error!(
                "{} was written under cluster key {}, and this node has {}: it is not used, and is now {}. \
                 The content comes from the other nodes. If all nodes were off when the key was replaced: stop this node, \
                 add the old key as the last line of its key file, move the file back, start, and retire that key",
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

/// Gives every entry that can be read, while a thread of its own reads on.
fn load(
    store: &Store,
    vault: Option<&RecordCipher>,
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
    vault: Option<&RecordCipher>,
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
