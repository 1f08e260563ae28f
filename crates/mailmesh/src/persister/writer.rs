//! The thread that writes changes to the store.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mailmesh_events::{ChangeKey, NodeId, Stamp};
use mailmesh_store::Record;

use super::binding::Binding;
use super::load::{self, OpenStore, StoreOpener};
use super::{ALIVE_NOTE, STAMP_NOTE, Shared, Stop, StoreContext, record};
use crate::StartError;

/// Changes are gathered this long and written together.
const GATHER_TIME: Duration = Duration::from_millis(50);
/// Interval of the alive note while nothing changes.
const ALIVE_INTERVAL: Duration = Duration::from_secs(60);
/// Most changes per commit, so that other disk users get their turn.
const MAX_BATCH: usize = 50_000;
/// Keys looked up in the mirror at a time, so that its lock is held briefly.
const LOOKUP_PAGE: usize = 1_000;
/// Wait after the first failed write; doubles with each failure.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 1_000 });
/// Longest wait after a failed write.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(60);
/// A node that dies may have made stamps that it did not write. They lie within this time after the
/// last written stamp.
const STAMP_MARGIN: Duration = Duration::from_secs(1);

/// Changes that are written together.
struct Batch {
    keys: Vec<ChangeKey>,
    /// After this batch, all changes up to this number are on disk. `None` if more are queued.
    covers: Option<u64>,
    stop: Option<Stop>,
}

/// The writer thread.
pub(super) struct Writer {
    /// `None` while the store cannot be opened.
    pub(super) opened: Option<OpenStore>,
    pub(super) dir: PathBuf,
    pub(super) opener: StoreOpener,
    pub(super) shared: Arc<Shared>,
    pub(super) source: StoreContext,
}

impl Drop for Writer {
    /// Wakes callers that wait, even if the thread panicked.
    fn drop(&mut self) {
        self.shared.progress.send_modify(|progress| progress.has_exited = true);
    }
}

impl Writer {
    pub(super) fn run(mut self) {
        let mut retry_delay = MIN_RETRY_DELAY;
        loop {
            let Batch { keys, covers, stop } = self.next();
            if stop == Some(Stop::Immediately) {
                return;
            }
            let result = self.write(&keys);
            let mut queue = self.shared.queue.lock();
            queue.writing = 0;
            let failure: Option<Arc<str>> = match &result {
                Ok(refused) => refused.as_ref().map(|why| why.as_str().into()),
                Err(error) => Some(error.to_string().into()),
            };
            match &result {
                Ok(_) => {
                    retry_delay = MIN_RETRY_DELAY;
                    queue.flush_now &= covers.is_none();
                    covers.into_iter().for_each(|covers| queue.on_written(covers));
                }
                Err(error) => {
                    tracing::error!(%error, waiting = keys.len(), "the mirror is not saved");
                    queue.changed.extend(keys);
                }
            }
            let is_done = result.is_err() || queue.changed.is_empty();
            drop(queue);
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
                let mut queue = self.shared.queue.lock();
                if queue.stop.is_none() {
                    self.shared.wake.wait_for(&mut queue, retry_delay);
                }
                retry_delay = (retry_delay * 2).min(MAX_RETRY_DELAY);
            }
        }
    }

    /// Waits for changes and returns the next batch.
    fn next(&self) -> Batch {
        let mut queue = self.shared.queue.lock();
        if queue.changed.is_empty() && queue.stop.is_none() && !queue.flush_now {
            self.shared.wake.wait_for(&mut queue, ALIVE_INTERVAL);
        }
        if !queue.flush_now && queue.stop.is_none() && !queue.changed.is_empty() {
            self.shared.wake.wait_for(&mut queue, GATHER_TIME);
        }
        let keys: Vec<_> = queue.changed.iter().take(MAX_BATCH).cloned().collect();
        for key in &keys {
            queue.changed.remove(key);
        }
        queue.writing = keys.len();
        let covers = queue.changed.is_empty().then_some(queue.noted);
        Batch { keys, covers, stop: queue.stop }
    }

    /// Writes the mirror's entries for these keys. Returns an error text if some cannot be encoded.
    fn write(&mut self, keys: &[ChangeKey]) -> Result<Option<String>, StartError> {
        let StoreContext { mirror, time, keys: keyring, .. } = &self.source;
        let opened = match &mut self.opened {
            Some(opened) => opened,
            none => {
                let (opened, undecided) =
                    load::open_and_load(&self.dir, &self.source, self.opener, true)?;
                self.shared.queue.lock().undecided = undecided;
                none.insert(opened)
            }
        };
        if let Some(vault) = keyring.as_ref().and_then(|keys| keys.vault(&mut opened.version)) {
            opened.vault = Some(vault);
            let mut binding = Binding::current(&self.source);
            binding.remember(&opened.binding);
            opened.binding = binding;
        }
        let mut refused = None;
        let mut records: Vec<Record> = Vec::with_capacity(keys.len());
        for page in keys.chunks(LOOKUP_PAGE) {
            for (key, saved) in page.iter().zip(mirror.saved(page)) {
                let name = mailmesh_codec::encode_change_key(key);
                match record::write(&name, saved.as_ref(), opened.vault.as_ref()) {
                    Ok(value) => records.push(Record { key: name, value }),
                    // Skipped: the old record stays.
                    Err(error) => refused = Some(error.to_string()),
                }
            }
        }
        if let Some(error) = &refused {
            tracing::error!(%error, "some entries are not saved");
        }
        let latest = mirror.latest_stamp();
        let stamp = Stamp::new(latest.physical().plus(STAMP_MARGIN), u16::MAX, NodeId(0));
        let (stamp, now) = (stamp.time().to_be_bytes(), time.now().0.to_be_bytes());
        // Not under the store's lock: a thread that receives frames may hold the lock needed here.
        let knows_time = time.is_known();
        let may_be_outdated = self.shared.queue.lock().may_be_outdated(knows_time);
        let binding = opened.binding.notes();
        let mut notes = vec![(STAMP_NOTE, stamp.as_slice())];
        notes.extend(binding.iter().map(|(name, note)| (*name, note.as_slice())));
        notes.extend((!may_be_outdated).then_some((ALIVE_NOTE, now.as_slice())));
        opened.store.commit(records, &notes)?;
        Ok(refused)
    }
}
