//! Keeps the mirror on disk: a thread of its own writes changes to the store.
//!
//! - [`binding`]: binds a store to a cluster;
//! - [`load`]: opens and loads a store at the start;
//! - [`record`]: encodes an entry of the mirror as a record;
//! - [`stored_content`]: decides whether stored content is recent enough to use;
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

use crate::cluster_time::ClusterTime;
use crate::keys::NodeKeyring;
use crate::{MirrorError, StartError, Stopped};
pub(crate) use load::StoreOpener;
pub(crate) use stored_content::ClusterView;
use stored_content::{AgeVerdict, StoredContent};
use writer::Writer;

/// Stored content that may be too old waits this long for the mirror of a member.
const DECISION_TIMEOUT: Duration = Duration::from_secs(10);

/// Note with the time at which the node was last alive, in milliseconds of cluster time.
const ALIVE_NOTE: &str = "alive";
/// Note with the latest stamp made or seen.
const STAMP_NOTE: &str = "stamp";

/// Parts of the node that the persister works with.
#[derive(Debug, Clone)]
pub(crate) struct StoreContext {
    /// The name of the cluster.
    pub(crate) cluster: String,
    /// `None` without a cluster key.
    pub(crate) keys: Option<Arc<NodeKeyring>>,
    pub(crate) mirror: Arc<Mirror>,
    pub(crate) time: Arc<ClusterTime>,
}

/// The mirror's store and its writer thread.
#[derive(Debug)]
pub(crate) struct Persister {
    source: StoreContext,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    path: std::path::PathBuf,
    queue: Mutex<WriteQueue>,
    wake: Condvar,
    progress: watch::Sender<Progress>,
}

#[derive(Debug, Default)]
struct WriteQueue {
    /// Keys of changes not written yet; at most as many as the mirror has entries.
    changed: HashSet<ChangeKey>,
    /// Number of changes being written.
    writing: usize,
    /// Number of changes queued so far.
    noted: u64,
    /// A caller waits: write without gathering.
    flush_now: bool,
    stop: Option<Stop>,
    /// Stored content about which no decision has been made.
    undecided: Option<StoredContent>,
    /// While too-old content is being deleted, the store must not be marked as current. The
    /// deletion is complete once this many changes are on disk.
    deletion_covers: Option<u64>,
}

impl WriteQueue {
    /// Whether stored content is withheld from the mirror.
    fn has_withheld(&self) -> bool {
        self.undecided.as_ref().is_some_and(|undecided| undecided.withheld.is_some())
    }

    /// Whether the store has content that may be too old. Then the alive note must not be updated:
    /// after a restart the content would count as current.
    fn may_be_outdated(&self, knows_time: bool) -> bool {
        self.deletion_covers.is_some()
            || self.undecided.as_ref().is_some_and(|undecided| {
                undecided.withheld.is_some() || undecided.was_withheld || knows_time
            })
    }

    /// Queues changes of these keys.
    fn note(&mut self, keys: impl Iterator<Item = ChangeKey>) {
        let before = self.changed.len();
        self.changed.extend(keys);
        self.noted += (self.changed.len() - before) as u64;
    }

    /// Old content is to be deleted, and its keys are not all queued yet.
    fn begin_deletion(&mut self) {
        self.deletion_covers = Some(u64::MAX);
    }

    /// The keys of all old content are queued.
    fn end_deletion_at_noted(&mut self) {
        self.deletion_covers = Some(self.noted);
    }

    /// All changes up to the number `covers` are on disk.
    fn on_written(&mut self, covers: u64) {
        self.deletion_covers.take_if(|until| *until <= covers);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// After the queued changes are written.
    AfterFlush,
    /// Without writing anything more.
    Immediately,
}

#[derive(Debug, Clone, Default)]
struct Progress {
    /// Number of queued changes that are on disk.
    written: u64,
    attempts: u64,
    /// Why the last write failed.
    failure: Option<Arc<str>>,
    /// The writer thread has ended.
    has_exited: bool,
}

/// State of the store.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct StoreStatus {
    /// Path of the file.
    pub path: String,
    /// Changed entries that are not on disk yet.
    pub waiting: usize,
    /// Why the last write failed; `None` if it succeeded. Failed writes are retried.
    pub failure: Option<String>,
}

impl Persister {
    /// Opens the store of a directory, loads it into the mirror, and keeps it current. If the disk
    /// is full, opening is retried in the background.
    pub(crate) fn open(
        dir: &Path,
        source: StoreContext,
        opener: StoreOpener,
    ) -> Result<Self, StartError> {
        let mut failure = None;
        let (opened, undecided) = match load::open_and_load(dir, &source, opener, false) {
            Ok((opened, undecided)) => (Some(opened), undecided),
            Err(StartError::Store(error)) if error.is_transient() => {
                tracing::error!(
                    %error,
                    "the node starts without its store; opening it is retried, and then the whole \
                     mirror is written"
                );
                failure = Some(error.to_string().into());
                (None, None)
            }
            Err(error) => return Err(error),
        };
        // The binding is written at once.
        let queue = WriteQueue { flush_now: true, undecided, ..WriteQueue::default() };
        let shared = Arc::new(Shared {
            path: Store::path_in(dir),
            queue: Mutex::new(queue),
            wake: Condvar::new(),
            progress: watch::Sender::new(Progress { failure, ..Progress::default() }),
        });
        // Observes later changes only: the present content came from the store.
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

    /// Waits until every change made so far is on disk. Cancel-safe.
    pub(crate) async fn saved(&self) -> Result<(), MirrorError> {
        let noted = {
            let mut queue = self.shared.queue.lock();
            queue.flush_now = true;
            queue.noted
        };
        self.shared.wake.notify_all();
        let mut progress = self.shared.progress.subscribe();
        let attempts = progress.borrow().attempts;
        let done = progress
            .wait_for(|p| {
                p.written >= noted || p.has_exited || p.failure.is_some() && p.attempts > attempts
            })
            .await;
        let Ok(progress) = done else { return Err(Stopped::ShutDown.into()) };
        match &progress.failure {
            Some(why) => Err(MirrorError::NotSaved { why: why.to_string() }),
            None if progress.written < noted => Err(Stopped::ShutDown.into()),
            None => Ok(()),
        }
    }

    /// Queues unchanged entries for writing. `false` if some stored content is withheld, and so not
    /// written again.
    pub(crate) fn write_again(&self, keys: impl Iterator<Item = ChangeKey>) -> bool {
        let mut queue = self.shared.queue.lock();
        let is_all = !queue.has_withheld();
        queue.note(keys);
        drop(queue);
        self.shared.wake.notify_all();
        is_all
    }

    /// Whether no stored content awaits a decision.
    pub(crate) fn is_decided(&self) -> bool {
        self.shared.queue.lock().undecided.is_none()
    }

    /// Accepts stored content in the mirror as recent, once members confirm the time. `true` if
    /// that happened now: the mirror may then be compared.
    pub(crate) fn confirm_age(&self) -> bool {
        if self.is_decided() || !self.source.time.is_known() {
            return false;
        }
        let started = self.source.time.started();
        let mut queue = self.shared.queue.lock();
        queue.undecided.take_if(|undecided| undecided.is_confirmed(started)).is_some()
    }

    /// Uses or drops stored content once that can be decided. `true` if the mirror has changed or
    /// may be compared from now on.
    pub(crate) fn decide(&self, others: &ClusterView) -> bool {
        let StoreContext { mirror, time, .. } = &self.source;
        let mut queue = self.shared.queue.lock();
        let Some(undecided) = &mut queue.undecided else { return false };
        let verdict = undecided.judge(others);
        let (withheld, stamp) = match verdict {
            AgeVerdict::Wait => return false,
            AgeVerdict::UseLocally => (undecided.withheld.take(), undecided.stamp),
            AgeVerdict::Use | AgeVerdict::Drop => {
                let Some(undecided) = queue.undecided.take() else { return false };
                (undecided.withheld, undecided.stamp)
            }
        };
        if verdict == AgeVerdict::Drop {
            // A write in progress covers no part of the deletion.
            queue.begin_deletion();
            if let Some(withheld) = &withheld {
                queue.note(withheld.iter().map(|saved| saved.change.key()));
                queue.end_deletion_at_noted();
            }
        }
        drop(queue);
        match (verdict, withheld) {
            (AgeVerdict::Drop, withheld) => {
                let in_force = match &withheld {
                    Some(_) => 0,
                    None => {
                        // The observer queues each removed entry.
                        let count = mirror.purge_until(stamp);
                        self.shared.queue.lock().end_deletion_at_noted();
                        count
                    }
                };
                tracing::warn!(
                    entries = withheld.map_or(in_force, |withheld| withheld.len()),
                    "the stored mirror is too old by cluster time: it is dropped, and the mirror \
                     of the other nodes is used"
                );
            }
            (_, Some(withheld)) => {
                let keys: Vec<_> = withheld.iter().map(|saved| saved.change.key()).collect();
                let count = mirror.restore(withheld, time.now());
                // A newer change may have been overwritten on disk by an older one in the meantime.
                self.write_again(keys.into_iter());
                tracing::warn!(
                    entries = count,
                    "the withheld stored mirror is now used: it is recent enough, or no member has \
                     been running for longer"
                );
            }
            _ => {}
        }
        self.shared.wake.notify_all();
        true
    }

    /// Writes queued changes and closes the store. Blocks.
    pub(crate) fn close(&self) {
        self.stop(Stop::AfterFlush);
        if let Some(thread) = self.thread.lock().take() {
            let _panicked = thread.join();
        }
    }

    /// Closes the store without writing, as if the process had died.
    pub(crate) fn abandon(&self) {
        self.stop(Stop::Immediately);
    }

    /// Writes the binding again after the keys have changed.
    pub(crate) fn note_keys(&self) {
        self.shared.queue.lock().flush_now = true;
        self.shared.wake.notify_all();
    }

    fn stop(&self, how: Stop) {
        self.shared.queue.lock().stop.get_or_insert(how);
        self.shared.wake.notify_all();
    }

    pub(crate) fn status(&self) -> StoreStatus {
        let waiting = {
            let queue = self.shared.queue.lock();
            queue.changed.len() + queue.writing
        };
        StoreStatus {
            path: self.shared.path.display().to_string(),
            waiting,
            failure: self.shared.progress.borrow().failure.as_ref().map(ToString::to_string),
        }
    }
}

impl Drop for Persister {
    /// The thread ends with the node, even if the node's start failed.
    fn drop(&mut self) {
        self.abandon();
    }
}

impl Observer for Shared {
    fn observe(&self, observed: Observed<'_>) {
        let (Observed::Changed(change)
        | Observed::Expired(change)
        | Observed::TombstoneChanged(change)
        | Observed::Expiring { change, .. }) = observed
        else {
            return;
        };
        let mut queue = self.queue.lock();
        queue.noted += 1;
        let first = queue.changed.is_empty();
        queue.changed.insert(change.key());
        drop(queue);
        if first {
            self.wake.notify_all();
        }
    }
}

#[cfg(test)]
mod tests;
