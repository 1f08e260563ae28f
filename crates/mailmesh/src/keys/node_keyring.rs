//! The keys of this node: which one seals, which are accepted, and where they are stored.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use mailmesh_codec::{
    ClusterKey, CodecError, Header, KeyId, Keyring, Opener, RecordCipher, Sealer,
};
use mailmesh_events::{KeyAction, KeysHeld, Printable};
use mailmesh_transport::LinkKeys;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use tokio::time::Instant;

use super::file;

/// Frames sealed with a retired key are accepted for this long: they may be in flight, or be
/// retransmitted by a third node.
pub(crate) const RETIRED_KEY_GRACE: Duration = Duration::from_secs(10);

/// The result of a write probe is reused for this long.
const PROBE_VALID_FOR: Duration = Duration::from_secs(1);

/// Number of retired keys that a node remembers: the latest ones.
const MAX_RETIRED_IDS: usize = 64;

/// Effect of an action on the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyUpdate {
    /// Nothing changed.
    Unchanged,
    /// Another key seals.
    Activated,
    /// A key was added or retired.
    AcceptedChanged,
}

#[derive(Debug)]
pub(crate) struct NodeKeyring {
    cluster: String,
    own: [u8; 16],
    /// The file that holds the keys, if there is one.
    file: Option<PathBuf>,
    /// The keys at the start. Without a file, a restart brings these back.
    initial: Vec<KeyId>,
    state: Mutex<State>,
    /// Time and result of the last write probe. Without this, each request of a member would create
    /// and remove a file.
    can_write: Mutex<Option<(Instant, bool)>>,
    /// Serialises changes of the keys; held while the file is written, which may take long.
    changing: Mutex<()>,
    sealer: RwLock<Sealer>,
    /// Incremented with each change of the accepted keys.
    version: AtomicU64,
    /// The secrets that links prove.
    links: watch::Sender<LinkKeys>,
}

#[derive(Debug)]
struct State {
    ring: Keyring,
    /// Whether the file has the same keys as the ring.
    is_kept: bool,
    /// Retired keys that are still accepted, each with the end of its grace period.
    retired: Vec<(ClusterKey, Instant)>,
    /// Fingerprints of the latest retired keys.
    retired_ids: VecDeque<KeyId>,
    /// The key that seals during a trial, in place of the ring's first key.
    trial: Option<KeyId>,
}

impl State {
    /// The key that seals now.
    fn sealing_key(&self, cluster: &str) -> &ClusterKey {
        let is_trial = |key: &&ClusterKey| Some(key.id(cluster)) == self.trial;
        self.ring.keys().iter().find(is_trial).unwrap_or_else(|| self.ring.active())
    }
}

impl NodeKeyring {
    pub(crate) fn new(ring: Keyring, file: Option<PathBuf>, cluster: &str, own: [u8; 16]) -> Self {
        let sealer = RwLock::new(Sealer::keyed(ring.active(), cluster, own));
        let is_kept = file.is_some();
        let links = watch::Sender::new(link_keys(&ring, ring.active(), cluster));
        let (retired, retired_ids) = (Vec::new(), VecDeque::new());
        let state = Mutex::new(State { ring, is_kept, retired, retired_ids, trial: None });
        let initial = state.lock().ring.ids(cluster);
        let (version, changing) = (AtomicU64::new(1), Mutex::new(()));
        Self {
            cluster: cluster.to_owned(),
            own,
            file,
            initial,
            state,
            can_write: Mutex::new(None),
            changing,
            sealer,
            version,
            links,
        }
    }

    /// The secrets that links prove, with later changes.
    pub(crate) fn links(&self) -> watch::Receiver<LinkKeys> {
        self.links.subscribe()
    }

    pub(crate) fn seal(&self, header: &Header, body: &[u8]) -> Result<Bytes, CodecError> {
        self.sealer.read().seal(header, body)
    }

    /// Makes `opener` accept the present keys if they have changed since `version`.
    pub(crate) fn refresh(&self, opener: &mut Opener, version: &mut u64) {
        let now = self.version.load(Ordering::Acquire);
        if now != *version {
            *version = now;
            let state = self.state.lock();
            let retired = state.retired.iter().map(|(key, _)| key);
            opener.set_keys(state.ring.keys().iter().chain(retired), &self.cluster);
        }
    }

    /// A vault with the present keys, if they have changed since `version`.
    pub(crate) fn vault(&self, version: &mut u64) -> Option<RecordCipher> {
        let now = self.version.load(Ordering::Acquire);
        (now != *version).then(|| {
            *version = now;
            RecordCipher::from_keyring(&self.state.lock().ring, &self.cluster)
        })
    }

    /// The key for the fingerprints of the mirror.
    pub(crate) fn mirror_key(&self) -> [u8; 16] {
        self.state.lock().ring.active().mirror_key(&self.cluster)
    }

    /// The active key, which seals unless another key is under trial.
    pub(super) fn active_id(&self) -> KeyId {
        self.state.lock().ring.active().id(&self.cluster)
    }

    /// A secret key, for a node that lacks it.
    pub(super) fn secret(&self, id: KeyId) -> Option<ClusterKey> {
        let state = self.state.lock();
        state.ring.keys().iter().find(|key| key.id(&self.cluster) == id).cloned()
    }

    /// Fingerprints of the keys, with the active key first.
    pub(crate) fn ids(&self) -> Vec<KeyId> {
        self.state.lock().ring.ids(&self.cluster)
    }

    /// Whether the key was retired since this node started and has not been added on this node
    /// again.
    pub(crate) fn was_retired(&self, id: KeyId) -> bool {
        let state = self.state.lock();
        state.retired_ids.contains(&id) && !state.ring.ids(&self.cluster).contains(&id)
    }

    /// The keys, and the keys that a restart would bring back now: the operator may have edited the
    /// file. Blocks on file access.
    pub(super) fn held(&self) -> KeysHeld {
        let in_file = self.file.as_deref().map(file::read);
        let keeps_new = self.file.as_deref().is_some_and(|file| self.can_write(file));
        let ids = self.ids();
        let after_restart = match in_file {
            Some(ring) => ring.map(|ring| ring.ids(&self.cluster)).unwrap_or_default(),
            None => self.initial.clone(),
        };
        let kept = self.file.is_some() && after_restart == ids;
        let keeps_active = ids.first().is_some_and(|active| after_restart.contains(active));
        KeysHeld { keys: ids, kept, keeps_active, keeps_new, refused: None }
    }

    fn can_write(&self, file: &Path) -> bool {
        let mut found = self.can_write.lock();
        let now = Instant::now();
        match *found {
            Some((at, can)) if now < at + PROBE_VALID_FOR => can,
            _ => {
                let can = file::can_write(file);
                *found = Some((now, can));
                can
            }
        }
    }

    /// Carries out an action in memory and in the file. Blocks on file access. If the file cannot
    /// be written, the error is logged and [`KeysHeld::kept`] is false.
    pub(crate) fn act(&self, action: &KeyAction) -> Result<KeyUpdate, CodecError> {
        let _turn = self.changing.lock();
        let (mut ring, was_kept) = {
            let state = self.state.lock();
            (state.ring.clone(), state.is_kept)
        };
        let mut retired = None;
        let update = match action {
            KeyAction::Add(key) => ring
                .add(ClusterKey::from_bytes(key.as_bytes()))?
                .then_some(KeyUpdate::AcceptedChanged),
            KeyAction::Activate(id) => {
                ring.activate(&self.cluster, *id)?.then_some(KeyUpdate::Activated)
            }
            KeyAction::Retire(id) => {
                retired = ring.retire(&self.cluster, *id)?;
                retired.is_some().then_some(KeyUpdate::AcceptedChanged)
            }
            _ => None,
        };
        let mut is_kept = was_kept;
        // Also rewrites the file if only the file differs because an earlier write failed.
        if let Some(file) = self.file.as_ref().filter(|_| update.is_some() || !was_kept) {
            let written = file::write(file, &ring.to_text());
            is_kept = written.is_ok();
            if let Err(error) = written {
                tracing::error!(
                    %error,
                    "the cluster keys are in use but not in {}: put them there before this node \
                     restarts",
                    Printable(file.display())
                );
            }
        }
        let mut state = self.state.lock();
        state.is_kept = is_kept;
        let Some(update) = update else { return Ok(KeyUpdate::Unchanged) };
        if let Some(key) = retired {
            state.retired_ids.push_back(key.id(&self.cluster));
            if state.retired_ids.len() > MAX_RETIRED_IDS {
                state.retired_ids.pop_front();
            }
            state.retired.push((key, Instant::now() + RETIRED_KEY_GRACE));
        }
        if update == KeyUpdate::Activated {
            state.trial = None;
        }
        state.ring = ring;
        self.apply_sealing_key(&state);
        self.version.fetch_add(1, Ordering::AcqRel);
        Ok(update)
    }

    /// The key under trial.
    pub(super) fn trial(&self) -> Option<KeyId> {
        self.state.lock().trial
    }

    /// Seals with another key of the ring for a trial, and makes links prove it. `None` ends the
    /// trial.
    pub(super) fn seal_with(&self, trial: Option<KeyId>) {
        let mut state = self.state.lock();
        state.trial = trial;
        self.apply_sealing_key(&state);
    }

    fn apply_sealing_key(&self, state: &State) {
        let key = state.sealing_key(&self.cluster);
        *self.sealer.write() = Sealer::keyed(key, &self.cluster, self.own);
        self.links.send_replace(link_keys(&state.ring, key, &self.cluster));
    }

    /// Drops retired keys whose grace period has ended. Runs every second.
    pub(crate) fn tick(&self) {
        let mut state = self.state.lock();
        let before = state.retired.len();
        let now = Instant::now();
        state.retired.retain(|(_, until)| *until > now);
        if state.retired.len() < before {
            self.version.fetch_add(1, Ordering::AcqRel);
        }
    }
}

fn link_keys(ring: &Keyring, shown: &ClusterKey, cluster: &str) -> LinkKeys {
    let all = ring.keys().iter().map(|key| key.link_secret(cluster));
    LinkKeys::new(shown.link_secret(cluster), all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_write_test_of_the_key_file_is_reused_for_one_second() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("cluster.key");
        let ring = Keyring::new(ClusterKey::generate().unwrap());
        std::fs::write(&file, ring.to_text().as_bytes()).unwrap();
        let keyring = NodeKeyring::new(ring, Some(file.clone()), "mail", [0; 16]);
        assert!(keyring.held().keeps_new);
        std::fs::remove_file(&file).unwrap();
        assert!(keyring.held().keeps_new, "the probe result is reused");
        tokio::time::advance(PROBE_VALID_FOR).await;
        assert!(!keyring.held().keeps_new);
    }
}
