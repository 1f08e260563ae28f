//! Keeps the mirror in a store: a thread of its own writes what changed.
//!
//! - [`binding`]: which cluster a store belongs to;
//! - [`load`]: opens and reads it at the start;
//! - [`record`]: an entry as a record of it;
//! - [`undecided`]: what it had, until its age is known;
//! - [`writer`]: the thread.

mod binding;
mod load;
mod record;
mod stored_content;
mod writer;

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use mailmesh_events::ChangeKey;
use mailmesh_state::{Observed, Observer};
use mailmesh_store::{Store, StoreError};
use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use mailmesh_state::Mirror;

use crate::Error;
use crate::cluster_time::ClusterTime;
use crate::keys::NodeKeyring;
pub(crate) use load::StoreOpener;
pub(crate) use stored_content::ClusterView;
use stored_content::{AgeVerdict, StoredContent};
use writer::Writer;

/// How long what is too old to be trusted waits for something better.
const DECISION_TIMEOUT: Duration = Duration::from_secs(10);

/// When the node was alive, in milliseconds of its wall clock.
const ALIVE_NOTE: &str = "alive";
/// The latest stamp made or seen.
const STAMP_NOTE: &str = "stamp";

/// What the store of a node holds, and what decides about it.
#[derive(Debug, Clone)]
pub(crate) struct StoreContext {
    /// The name of the cluster.
    pub(crate) cluster: String,
    /// `None` for an open mesh.
    pub(crate) keys: Option<Arc<NodeKeyring>>,
    pub(crate) mirror: Arc<Mirror>,
    pub(crate) time: Arc<ClusterTime>,
}

/// The mirror's store, and the thread that writes it.
#[derive(Debug)]
pub(crate) struct Persister {
    source: StoreContext,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    path: std::path::PathBuf,
    work: Mutex<WriteQueue>,
    wake: Condvar,
    progress: watch::Sender<Progress>,
}

#[derive(Debug, Default)]
struct WriteQueue {
    /// What has changed and is not written: at most what the mirror holds.
    changed: HashSet<ChangeKey>,
    /// How many are being written.
    writing: usize,
    /// Changes noted so far.
    noted: u64,
    /// Somebody waits: do not gather.
    flush_now: bool,
    stop: Option<Stop>,
    /// What the store had, until its age is known.
    undecided: Option<StoredContent>,
    /// Too-old content is being deleted; until then the store must not be marked as current. The
    /// number of changes that have to be on the disk for that.
    deletion_covers: Option<u64>,
}

impl WriteQueue {
    /// Whether content of the store still waits outside the mirror.
    fn has_withheld(&self) -> bool {
        self.undecided.as_ref().is_some_and(|undecided| undecided.withheld.is_some())
    }

    /// Whether the store has content that may be too old, so that the time of its last write must
    /// not be noted: after a restart that content would pass for current.
    fn may_be_outdated(&self, knows_time: bool) -> bool {
        self.deletion_covers.is_some()
            || self.undecided.as_ref().is_some_and(|undecided| {
                undecided.withheld.is_some() || undecided.was_withheld || knows_time
            })
    }

    /// Notes changes of these keys.
    fn note(&mut self, keys: impl Iterator<Item = ChangeKey>) {
        let before = self.changed.len();
        self.changed.extend(keys);
        self.noted += (self.changed.len() - before) as u64;
    }

    /// Old content is to be deleted, and its keys are not all noted yet.
    fn begin_deletion(&mut self) {
        self.deletion_covers = Some(u64::MAX);
    }

    /// The keys of all old content are noted.
    fn end_deletion_at_noted(&mut self) {
        self.deletion_covers = Some(self.noted);
    }

    /// All changes up to a number are on the disk.
    fn on_written(&mut self, covers: u64) {
        self.deletion_covers.take_if(|until| *until <= covers);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// After what is to be written.
    AfterFlush,
    /// As it is.
    Immediately,
}

#[derive(Debug, Clone, Default)]
struct Progress {
    /// Changes noted that are on the disk.
    written: u64,
    attempts: u64,
    /// Why the last write failed.
    failure: Option<Arc<str>>,
    /// Nothing is written any more.
    has_exited: bool,
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

impl Persister {
    /// Opens the store of a directory, puts its content into the mirror, and keeps it
    /// current from then on. While the disk is full that is tried again and again.
    pub(crate) fn open(
        dir: &Path,
        source: StoreContext,
        opener: StoreOpener,
    ) -> Result<Self, Error> {
        let mut failure = None;
        let (opened, undecided) = match load::open_and_load(dir, &source, opener, false) {
            Ok((opened, undecided)) => (Some(opened), undecided),
            Err(Error::Store(error)) if error.may_pass() => {
                tracing::error!(
                    %error,
                    "the node starts without its store; that is opened, and the whole mirror written, when it works again"
                );
                failure = Some(error.to_string().into());
                (None, None)
            }
            Err(error) => return Err(error),
        };
        // What the store notes of its cluster is written at once.
        let work = WriteQueue { flush_now: true, undecided, ..WriteQueue::default() };
        let shared = Arc::new(Shared {
            path: Store::path_in(dir),
            work: Mutex::new(work),
            wake: Condvar::new(),
            progress: watch::Sender::new(Progress { failure, ..Progress::default() }),
        });
        // What happens from now on; what was there came from the store.
        let observer: Weak<dyn Observer> = Arc::downgrade(&(shared.clone() as Arc<dyn Observer>));
        source.mirror.observe_changes(observer);
        let (of_writer, dir) = ((source.clone(), shared.clone()), dir.to_owned());
        let (context, shared_by_writer) = of_writer;
        let writer =
            Writer { opened, dir: dir.clone(), opener, shared: shared_by_writer, source: context };
        let spawned =
            std::thread::Builder::new().name("mailmesh-store".into()).spawn(|| writer.run());
        let thread = spawned.map_err(|source| StoreError::Open { path: dir, source })?;
        Ok(Self { source, shared, thread: Mutex::new(Some(thread)) })
    }

    /// Waits until all that has changed so far is on the disk.
    pub(crate) async fn saved(&self) -> Result<(), Error> {
        let noted = {
            let mut work = self.shared.work.lock();
            work.flush_now = true;
            work.noted
        };
        self.shared.wake.notify_all();
        let mut progress = self.shared.progress.subscribe();
        let attempts = progress.borrow().attempts;
        let done = progress
            .wait_for(|p| {
                p.written >= noted || p.has_exited || p.failure.is_some() && p.attempts > attempts
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
        let is_all = !work.has_withheld();
        work.note(keys);
        drop(work);
        self.shared.wake.notify_all();
        is_all
    }

    /// Whether what the store had may be compared with the others.
    pub(crate) fn is_decided(&self) -> bool {
        self.shared.work.lock().undecided.is_none()
    }

    /// Settles content whose age a member's clock has confirmed. `true` if that was so: the mirror
    /// may then be compared.
    pub(crate) fn confirm_age(&self) -> bool {
        if self.is_decided() || !self.source.time.is_known() {
            return false;
        }
        let started = self.source.time.started();
        let mut work = self.shared.work.lock();
        work.undecided.take_if(|undecided| undecided.is_confirmed(started)).is_some()
    }

    /// Uses what the store had, or drops it, once that can be decided. `true` if the mirror has
    /// changed, or may be compared from now on.
    pub(crate) fn decide(&self, others: &ClusterView) -> bool {
        let StoreContext { mirror, time, .. } = &self.source;
        let mut work = self.shared.work.lock();
        let Some(undecided) = &mut work.undecided else { return false };
        let verdict = undecided.judge(others);
        let (withheld, stamp) = match verdict {
            AgeVerdict::Wait => return false,
            AgeVerdict::UseLocally => (undecided.withheld.take(), undecided.stamp),
            AgeVerdict::Use | AgeVerdict::Drop => {
                let Some(undecided) = work.undecided.take() else { return false };
                (undecided.withheld, undecided.stamp)
            }
        };
        if verdict == AgeVerdict::Drop {
            // A write that is under way covers none of it.
            work.begin_deletion();
            if let Some(withheld) = &withheld {
                work.note(withheld.iter().map(|saved| saved.change.key()));
                work.end_deletion_at_noted();
            }
        }
        drop(work);
        match (verdict, withheld) {
            (AgeVerdict::Drop, withheld) => {
                let in_force = match &withheld {
                    Some(_) => 0,
                    None => {
                        // Each entry that goes is noted meanwhile.
                        let count = mirror.forget_until(stamp);
                        self.shared.work.lock().end_deletion_at_noted();
                        count
                    }
                };
                tracing::warn!(
                    entries = withheld.map_or(in_force, |withheld| withheld.len()),
                    "the stored mirror is too old by the time of the cluster: it is dropped, and that of the others taken"
                );
            }
            (_, Some(withheld)) => {
                let keys: Vec<_> = withheld.iter().map(|saved| saved.change.key()).collect();
                let count = mirror.restore(withheld, time.now());
                // What changed meanwhile may have been written in the place of what is newer.
                self.write_again(keys.into_iter());
                tracing::warn!(
                    entries = count,
                    "the stored mirror, which was set aside, is used: it is not too old, or no other node runs for longer"
                );
            }
            _ => {}
        }
        self.shared.wake.notify_all();
        true
    }

    /// Writes what waits, and closes the store. Blocks.
    pub(crate) fn close(&self) {
        self.stop(Stop::AfterFlush);
        if let Some(thread) = self.thread.lock().take() {
            let _panicked = thread.join();
        }
    }

    /// Closes the store as it is, as if the process had died.
    pub(crate) fn abandon(&self) {
        self.stop(Stop::Immediately);
    }

    /// Writes which keys the store belongs to, now that they have changed.
    pub(crate) fn note_keys(&self) {
        self.shared.work.lock().flush_now = true;
        self.shared.wake.notify_all();
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

impl Drop for Persister {
    /// The thread ends with the node, also with one that did not start.
    fn drop(&mut self) {
        self.abandon();
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

#[cfg(test)]
mod tests;
