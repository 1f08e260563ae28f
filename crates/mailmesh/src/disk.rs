//! Keeps the mirror in a store: a thread of its own writes what changed.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use mailmesh_codec::Vault;
use mailmesh_events::{ChangeKey, NodeId, Printable, Stamp, UnixMillis};
use mailmesh_state::{Bounds, Observed, Observer, Saved};
use mailmesh_store::{Record, Store, StoreError};
use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::Error;
use crate::mesh::Mesh;
use crate::record;

/// How long changes are gathered before they are written together.
const GATHER: Duration = Duration::from_millis(50);
/// How often it is noted that the node is alive, without changes.
const ALIVE: Duration = Duration::from_secs(60);
/// Most changes in one write; after that the others' turn to use the disk.
const MOST: usize = 50_000;
/// Keys looked up in the mirror at a time, so that nobody waits long for it.
const PAGE: usize = 1_000;
/// Entries handed over at a time while the store is read.
const PART: usize = 4_096;
/// Most of these on their way.
const PARTS: usize = 16;
/// First wait after a failed write; doubles with each.
const RETRY: Duration = Duration::from_secs(1);
/// Longest wait after a failed write.
const RETRY_MAX: Duration = Duration::from_secs(60);
/// How long what is too old to be trusted waits for something better.
const ASIDE: Duration = Duration::from_secs(10);
/// What was stamped and not yet written when a node died was stamped within this time.
const STAMP_MARGIN: Duration = Duration::from_secs(1);

/// When the node was alive, in milliseconds of its wall clock.
const ALIVE_NOTE: &str = "alive";
/// The latest stamp made or seen.
const STAMP_NOTE: &str = "stamp";

/// The mirror's store, and the thread that writes it.
#[derive(Debug)]
pub(crate) struct Disk {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    path: std::path::PathBuf,
    work: Mutex<Work>,
    wake: Condvar,
    progress: watch::Sender<Progress>,
}

#[derive(Debug, Default)]
struct Work {
    /// What has changed and is not written: at most what the mirror holds.
    changed: HashSet<ChangeKey>,
    /// How many are being written.
    writing: usize,
    /// Changes noted so far.
    noted: u64,
    /// Somebody waits: do not gather.
    hurry: bool,
    stop: Option<Stop>,
    /// Content from before a long absence, and when it is decided about.
    aside: Option<(Vec<Saved>, Instant)>,
    /// What is too old is being taken out of the store: until that is done the rest of it
    /// must stay known as old.
    purging: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// After what is to be written.
    Drained,
    /// As it is.
    AtOnce,
}

#[derive(Debug, Clone, Default)]
struct Progress {
    /// Changes noted that are on the disk.
    written: u64,
    attempts: u64,
    /// Why the last write failed.
    failure: Option<Arc<str>>,
    /// Nothing is written any more.
    ended: bool,
}

/// How the store is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct StoreStatus {
    /// The file.
    pub path: String,
    /// Entries that changed and are not on the disk yet.
    pub waiting: usize,
    /// Why the last write failed; what waits is written when that works again.
    pub failure: Option<String>,
}

impl Disk {
    /// Opens the store of a directory, puts its content into the mirror, and keeps it
    /// current from then on.
    pub(crate) fn open(dir: &Path, mesh: &Arc<Mesh>) -> Result<Self, Error> {
        let begin = std::time::Instant::now();
        let mut version = 0;
        let vault = mesh.keys.as_ref().and_then(|keys| keys.vault(&mut version));
        let store = Store::open(dir)?;
        let number = |name| -> Result<Option<u64>, StoreError> {
            let note = store.note(name)?;
            Ok(note.and_then(|note| note.try_into().ok()).map(u64::from_be_bytes))
        };
        if let Some(time) = number(STAMP_NOTE)? {
            mesh.mirror.observe_stamp(Stamp::from_raw(time, NodeId(0)));
        }
        let alive = number(ALIVE_NOTE)?.map(UnixMillis);
        let tombstones = Bounds::default().tombstones;
        let is_old = alive.is_some_and(|alive| alive.plus(tombstones) < mesh.now());
        let mut work = Work::default();
        let loaded = load(&store, vault.as_ref(), |entries| {
            if is_old {
                work.aside = Some((entries.collect(), Instant::now() + ASIDE));
                work.aside.take_if(|(entries, _)| entries.is_empty());
            } else {
                mesh.mirror.restore(entries, mesh.now());
            }
        })?;
        if work.aside.is_some() {
            tracing::warn!(
                "the stored mirror is older than {} h, so it may have what was removed since; it is used only if no other node has one within {} s",
                tombstones.as_secs() / 3600,
                ASIDE.as_secs()
            );
        }
        tracing::info!(
            entries = loaded,
            took = ?begin.elapsed(),
            "the mirror was read from {}",
            Printable(store.path().display())
        );
        let shared = Arc::new(Shared {
            path: store.path().to_owned(),
            work: Mutex::new(work),
            wake: Condvar::new(),
            progress: watch::Sender::new(Progress::default()),
        });
        // What happens from now on; what was there came from the store.
        let observer: Weak<dyn Observer> = Arc::downgrade(&(shared.clone() as Arc<dyn Observer>));
        mesh.mirror.observe_changes(observer);
        let writer =
            Writer { store, vault, version, shared: shared.clone(), mesh: Arc::downgrade(mesh) };
        let spawned =
            std::thread::Builder::new().name("mailmesh-store".into()).spawn(|| writer.run());
        let thread = spawned.map_err(|source| StoreError::Open { path: dir.to_owned(), source })?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Waits until all that has changed so far is on the disk.
    pub(crate) async fn saved(&self) -> Result<(), Error> {
        let noted = {
            let mut work = self.shared.work.lock();
            work.hurry = true;
            work.noted
        };
        self.shared.wake.notify_all();
        let mut progress = self.shared.progress.subscribe();
        let attempts = progress.borrow().attempts;
        let done = progress
            .wait_for(|p| {
                p.written >= noted || p.ended || p.failure.is_some() && p.attempts > attempts
            })
            .await;
        let Ok(progress) = done else { return Err(Error::ShutDown) };
        match &progress.failure {
            Some(why) => Err(Error::NotSaved { why: why.to_string() }),
            None if progress.written < noted => Err(Error::ShutDown),
            None => Ok(()),
        }
    }

    /// Has entries written again that have not changed; `false` if there is content besides that
    /// is not in the mirror yet.
    pub(crate) fn write_again(&self, keys: impl Iterator<Item = ChangeKey>) -> bool {
        let mut work = self.shared.work.lock();
        let is_all = work.aside.is_none();
        let before = work.changed.len();
        work.changed.extend(keys);
        work.noted += (work.changed.len() - before) as u64;
        drop(work);
        self.shared.wake.notify_all();
        is_all
    }

    /// What is due every second: content from before a long absence is used if nobody
    /// had anything better.
    pub(crate) fn tick(&self, mesh: &Mesh) {
        let mut work = self.shared.work.lock();
        let Some((entries, _)) = work.aside.take_if(|(_, until)| *until <= Instant::now()) else {
            return;
        };
        if mesh.has_older_member(ASIDE * 6) {
            // What is not there any more goes from the store too.
            work.purging = true;
            work.noted += entries.len() as u64;
            work.changed.extend(entries.iter().map(|saved| saved.change.key()));
            drop(work);
        } else {
            drop(work);
            let count = mesh.mirror.restore(entries, mesh.now());
            tracing::warn!(
                entries = count,
                "no other node runs for longer: the stored mirror is used, old as it is"
            );
            mesh.tell_digest();
        }
        self.shared.wake.notify_all();
    }

    /// Writes what waits, and closes the store. Blocks.
    pub(crate) fn close(&self) {
        self.stop(Stop::Drained);
        if let Some(thread) = self.thread.lock().take() {
            let _panicked = thread.join();
        }
    }

    /// Closes the store as it is, as if the process had died.
    pub(crate) fn abandon(&self) {
        self.stop(Stop::AtOnce);
    }

    fn stop(&self, how: Stop) {
        self.shared.work.lock().stop.get_or_insert(how);
        self.shared.wake.notify_all();
    }

    pub(crate) fn status(&self) -> StoreStatus {
        let waiting = {
            let work = self.shared.work.lock();
            work.changed.len() + work.writing
        };
        StoreStatus {
            path: self.shared.path.display().to_string(),
            waiting,
            failure: self.shared.progress.borrow().failure.as_ref().map(ToString::to_string),
        }
    }
}

impl Observer for Shared {
    fn observe(&self, observed: Observed<'_>) {
        let (Observed::Changed(change)
        | Observed::Expired(change)
        | Observed::Forgotten(change)
        | Observed::Ending(change, _)) = observed
        else {
            return;
        };
        let mut work = self.work.lock();
        work.noted += 1;
        let first = work.changed.is_empty();
        work.changed.insert(change.key());
        drop(work);
        if first {
            self.wake.notify_all();
        }
    }
}

/// Gives every entry that can be read, while a thread of its own reads on.
fn load(
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

/// What is written together.
struct Turn {
    keys: Vec<ChangeKey>,
    /// With these, all changes up to this number are on the disk; `None` if some are left.
    covers: Option<u64>,
    stop: Option<Stop>,
}

/// The thread.
struct Writer {
    store: Store,
    vault: Option<Vault>,
    /// Of the keys that the vault has.
    version: u64,
    shared: Arc<Shared>,
    mesh: Weak<Mesh>,
}

impl Drop for Writer {
    /// Whoever waits is told, also if the thread ended by a bug.
    fn drop(&mut self) {
        self.shared.progress.send_modify(|progress| progress.ended = true);
    }
}

impl Writer {
    fn run(mut self) {
        let mut retry = RETRY;
        loop {
            let Turn { keys, covers, stop } = self.next();
            if stop == Some(Stop::AtOnce) {
                return;
            }
            let Some(mesh) = self.mesh.upgrade() else { return };
            let result = self.write(&mesh, &keys);
            drop(mesh);
            let mut work = self.shared.work.lock();
            work.writing = 0;
            let failure: Option<Arc<str>> = match &result {
                Ok(refused) => refused.as_ref().map(|why| why.as_str().into()),
                Err(error) => Some(error.to_string().into()),
            };
            match &result {
                Ok(_) => {
                    retry = RETRY;
                    work.hurry &= covers.is_none();
                    work.purging &= covers.is_none();
                }
                Err(error) => {
                    tracing::error!(%error, waiting = keys.len(), "the mirror is not saved");
                    work.changed.extend(keys);
                }
            }
            let is_done = result.is_err() || work.changed.is_empty();
            drop(work);
            self.shared.progress.send_modify(|progress| {
                progress.attempts += 1;
                if let (Some(covers), Ok(_)) = (covers, &result) {
                    progress.written = covers;
                }
                progress.failure = failure;
            });
            if stop.is_some() && is_done {
                return;
            }
            if result.is_err() {
                let mut work = self.shared.work.lock();
                if work.stop.is_none() {
                    self.shared.wake.wait_for(&mut work, retry);
                }
                retry = (retry * 2).min(RETRY_MAX);
            }
        }
    }

    /// What to write next, once there is something.
    fn next(&self) -> Turn {
        let mut work = self.shared.work.lock();
        if work.changed.is_empty() && work.stop.is_none() && !work.hurry {
            self.shared.wake.wait_for(&mut work, ALIVE);
        }
        if !work.hurry && work.stop.is_none() && !work.changed.is_empty() {
            self.shared.wake.wait_for(&mut work, GATHER);
        }
        let keys: Vec<_> = work.changed.iter().take(MOST).cloned().collect();
        for key in &keys {
            work.changed.remove(key);
        }
        work.writing = keys.len();
        let covers = work.changed.is_empty().then_some(work.noted);
        Turn { keys, covers, stop: work.stop }
    }

    /// Writes what is held of these keys; gives why some cannot be written at all.
    fn write(&mut self, mesh: &Mesh, keys: &[ChangeKey]) -> Result<Option<String>, StoreError> {
        if let Some(vault) = mesh.keys.as_ref().and_then(|keys| keys.vault(&mut self.version)) {
            self.vault = Some(vault);
        }
        let mut refused = None;
        let mut records: Vec<Record> = Vec::with_capacity(keys.len());
        for page in keys.chunks(PAGE) {
            for (key, saved) in page.iter().zip(mesh.mirror.saved(page)) {
                let name = mailmesh_codec::encode_change_key(key);
                match record::write(&name, saved.as_ref(), self.vault.as_ref()) {
                    Ok(value) => records.push((name, value)),
                    // Not written; what was there stays.
                    Err(error) => refused = Some(error.to_string()),
                }
            }
        }
        if let Some(error) = &refused {
            tracing::error!(%error, "some entries are not saved");
        }
        let latest = mesh.mirror.latest_stamp();
        let stamp = Stamp::new(latest.physical().plus(STAMP_MARGIN), u16::MAX, NodeId(0));
        let (stamp, now) = (stamp.time().to_be_bytes(), mesh.now().0.to_be_bytes());
        // While old content is set aside it must stay known as old.
        let is_old = {
            let work = self.shared.work.lock();
            work.aside.is_some() || work.purging
        };
        let notes: &[(&str, &[u8])] = if is_old {
            &[(STAMP_NOTE, &stamp)]
        } else {
            &[(STAMP_NOTE, &stamp), (ALIVE_NOTE, &now)]
        };
        self.store.commit(records, notes)?;
        Ok(refused)
    }
}
