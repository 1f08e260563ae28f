//! Keeps the mirror in a store: a thread of its own writes what changed.
//!
//! - [`binding`]: which cluster a store belongs to;
//! - [`load`]: opens and reads it at the start;
//! - [`record`]: an entry as a record of it;
//! - [`unsettled`]: what it had, until its age is known;
//! - [`writer`]: the thread.

mod binding;
mod load;
mod record;
mod unsettled;
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
pub(crate) use unsettled::Surroundings;
use unsettled::{Unsettled, Verdict};
use writer::Writer;

/// How long what is too old to be trusted waits for something better.
const ASIDE: Duration = Duration::from_secs(10);

/// When the node was alive, in milliseconds of its wall clock.
const ALIVE_NOTE: &str = "alive";
/// The latest stamp made or seen.
const STAMP_NOTE: &str = "stamp";

/// What the store of a node holds, and what decides about it.
#[derive(Debug, Clone)]
pub(crate) struct Source {
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
    source: Source,
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
    /// What the store had, until its age is known.
    unsettled: Option<Unsettled>,
    /// Too-old content is being deleted; until then the store must not be marked as current. The
    /// number of changes that have to be on the disk for that.
    purge_until: Option<u64>,
}

impl Work {
    /// Whether content of the store still waits outside the mirror.
    fn has_aside(&self) -> bool {
        self.unsettled.as_ref().is_some_and(|unsettled| unsettled.aside.is_some())
    }

    /// Whether the store has content that may be too old, so that the time of its last write must
    /// not be noted: after a restart that content would pass for current.
    fn may_be_old(&self, knows_time: bool) -> bool {
        self.purge_until.is_some()
            || self.unsettled.as_ref().is_some_and(|unsettled| {
                unsettled.aside.is_some() || unsettled.was_old || knows_time
            })
    }

    /// Notes changes of these keys.
    fn note(&mut self, keys: impl Iterator<Item = ChangeKey>) {
        let before = self.changed.len();
        self.changed.extend(keys);
        self.noted += (self.changed.len() - before) as u64;
    }

    /// Old content is to be deleted, and its keys are not all noted yet.
    fn begin_purge(&mut self) {
        self.purge_until = Some(u64::MAX);
    }

    /// The keys of all old content are noted.
    fn end_purge_at_noted(&mut self) {
        self.purge_until = Some(self.noted);
    }

    /// All changes up to a number are on the disk.
    fn on_covered(&mut self, covers: u64) {
        self.purge_until.take_if(|until| *until <= covers);
    }
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

impl Persister {
    /// Opens the store of a directory, puts its content into the mirror, and keeps it
    /// current from then on. While the disk is full that is tried again and again.
    pub(crate) fn open(dir: &Path, source: Source, opener: StoreOpener) -> Result<Self, Error> {
        let mut failure = None;
        let (opened, unsettled) = match load::take_in(dir, &source, opener, false) {
            Ok((opened, unsettled)) => (Some(opened), unsettled),
            Err(Error::Store(error)) if error.is_transient() => {
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
        let work = Work { hurry: true, unsettled, ..Work::default() };
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
        let (source_too, shared_too) = of_writer;
        let writer =
            Writer { opened, dir: dir.clone(), opener, shared: shared_too, source: source_too };
        let spawned =
            std::thread::Builder::new().name("mailmesh-store".into()).spawn(|| writer.run());
        let thread = spawned.map_err(|source| StoreError::Open { path: dir, source })?;
        Ok(Self { source, shared, thread: Mutex::new(Some(thread)) })
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
        let is_all = !work.has_aside();
        work.note(keys);
        drop(work);
        self.shared.wake.notify_all();
        is_all
    }

    /// Whether what the store had may be compared with the others.
    pub(crate) fn is_settled(&self) -> bool {
        self.shared.work.lock().unsettled.is_none()
    }

    /// Settles content whose age a member's clock has confirmed. `true` if that was so: the mirror
    /// may then be compared.
    pub(crate) fn confirm_age(&self) -> bool {
        if self.is_settled() || !self.source.time.is_known() {
            return false;
        }
        let started = self.source.time.started();
        let mut work = self.shared.work.lock();
        work.unsettled.take_if(|unsettled| unsettled.is_confirmed(started)).is_some()
    }

    /// Uses what the store had, or drops it, once that can be decided. `true` if the mirror has
    /// changed, or may be compared from now on.
    pub(crate) fn decide(&self, others: &Surroundings) -> bool {
        let Source { mirror, time, .. } = &self.source;
        let mut work = self.shared.work.lock();
        let Some(unsettled) = &mut work.unsettled else { return false };
        let verdict = unsettled.judge(others);
        let (aside, stamp) = match verdict {
            Verdict::Wait => return false,
            Verdict::InForce => (unsettled.aside.take(), unsettled.stamp),
            Verdict::Use | Verdict::Drop => {
                let Some(unsettled) = work.unsettled.take() else { return false };
                (unsettled.aside, unsettled.stamp)
            }
        };
        if verdict == Verdict::Drop {
            // A write that is under way covers none of it.
            work.begin_purge();
            if let Some(aside) = &aside {
                work.note(aside.iter().map(|saved| saved.change.key()));
                work.end_purge_at_noted();
            }
        }
        drop(work);
        match (verdict, aside) {
            (Verdict::Drop, aside) => {
                let in_force = match &aside {
                    Some(_) => 0,
                    None => {
                        // Each entry that goes is noted meanwhile.
                        let count = mirror.purge_until(stamp);
                        self.shared.work.lock().end_purge_at_noted();
                        count
                    }
                };
                tracing::warn!(
                    entries = aside.map_or(in_force, |aside| aside.len()),
                    "the stored mirror is too old by the time of the cluster: it is dropped, and that of the others taken"
                );
            }
            (_, Some(aside)) => {
                let keys: Vec<_> = aside.iter().map(|saved| saved.change.key()).collect();
                let count = mirror.restore(aside, time.now());
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
        self.stop(Stop::Drained);
        if let Some(thread) = self.thread.lock().take() {
            let _panicked = thread.join();
        }
    }

    /// Closes the store as it is, as if the process had died.
    pub(crate) fn abandon(&self) {
        self.stop(Stop::AtOnce);
    }

    /// Writes which keys the store belongs to, now that they have changed.
    pub(crate) fn note_keys(&self) {
        self.shared.work.lock().hurry = true;
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
        | Observed::TombstoneChanged(change)
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
