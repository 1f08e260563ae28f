//! The gate's side towards Zenoh: Unix sockets in a directory that only this user's processes can
//! access.
//!
//! Zenoh cannot be told to dial at runtime. Its configuration therefore names a number of *slots*,
//! which Zenoh dials when its session opens, and again whenever one ends. The gate holds such a
//! connection, with Zenoh's first message unread in it, until this node dials a link.

use std::collections::VecDeque;
use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::io::Interest;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Slots of the first session: enough for a cluster of about ninety nodes, of which a node dials
/// about half, so that no session is reopened when many nodes start. Fewer if the process may open
/// fewer than [`MIN_FILES_FOR_DEFAULT`] files; a slot uses two file descriptors.
const DEFAULT_SLOTS: usize = 64;
const REDUCED_SLOTS: usize = 16;
const MIN_FILES_FOR_DEFAULT: u64 = 1024;
/// Maximum number of slots of any session.
const MAX_SLOTS: usize = 1024;
/// Maximum path length of a Unix socket that every system supports.
const MAX_SOCKET_PATH: usize = 100;
/// Prefix of the names of socket directories; the rest is random.
const DIR_PREFIX: &str = "mailmesh-links-";
/// Maximum number of leftover directories that one sweep examines.
const MAX_SWEPT_DIRS: usize = 256;
/// Maximum time for the system to report the state of a connection.
const READY_TIMEOUT: Duration = Duration::from_secs(1);
/// A younger directory may belong to a process that has not locked it yet.
const MIN_STALE_AGE: Duration = Duration::from_secs(60);

/// Maximum number of open files of the process, if there is one.
fn open_file_limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

/// The number of slots of the first session.
pub(super) fn default_count() -> usize {
    if open_file_limit().is_none_or(|limit| limit >= MIN_FILES_FOR_DEFAULT) {
        DEFAULT_SLOTS
    } else {
        REDUCED_SLOTS
    }
}

/// Maximum number of unproven connections: a quarter of the process's file limit, at most `max`.
pub(super) fn max_unproven(max: usize) -> usize {
    let quarter = open_file_limit().and_then(|limit| usize::try_from(limit / 4).ok());
    quarter.map_or(max, |quarter| quarter.clamp(8, max))
}

/// A directory with the sockets of one session; it is removed when dropped.
#[derive(Debug)]
pub(super) struct SocketDir {
    path: PathBuf,
    /// Locked while the process is alive.
    _lock: File,
}

impl SocketDir {
    /// Creates a directory, accessible to this user alone, in the first suitable place.
    ///
    /// # Errors
    /// The system's error for the last place tried.
    fn new() -> io::Result<Self> {
        let set = Some(std::env::temp_dir()).filter(|base| base.is_absolute());
        let usual = ["/tmp", "/var/tmp", "/dev/shm", "/run"].map(PathBuf::from);
        let mut failed = io::Error::from(io::ErrorKind::NotFound);
        for base in set.into_iter().chain(usual) {
            match Self::within(&base) {
                Ok(dir) => {
                    sweep(&base);
                    return Ok(dir);
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    fn within(base: &Path) -> io::Result<Self> {
        let mut random = [0; 8];
        let filled = SystemRandom::new().fill(&mut random);
        filled.map_err(|_| io::Error::other("the system provides no random numbers"))?;
        let name: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = base.join(format!("{DIR_PREFIX}{name}"));
        // Zenoh takes endpoints as text, in which these characters are separators.
        let is_text = path.to_str().is_some_and(|path| !path.contains(['#', '?', ';', '|']));
        if !is_text || path.as_os_str().len() + "/zenoh.lock".len() > MAX_SOCKET_PATH {
            let why = format!("the path {} is not usable for a socket", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        if !is_protected(&std::fs::metadata(base)?) {
            let why = format!("other users may rename files in {}", base.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        DirBuilder::new().mode(0o700).create(&path)?;
        let lock = File::open(&path)?;
        lock.try_lock().map_err(io::Error::from)?;
        Ok(Self { path, _lock: lock })
    }

    fn zenoh(&self) -> PathBuf {
        self.path.join("zenoh")
    }

    fn slots(&self) -> PathBuf {
        self.path.join("slots")
    }
}

impl Drop for SocketDir {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::debug!(%error, "a socket directory was not removed");
        }
    }
}

/// Whether only this user and root can rename this user's files in a directory.
fn is_protected(base: &std::fs::Metadata) -> bool {
    let (mode, owner) = (base.mode(), base.uid());
    let is_trusted = owner == 0 || owner == rustix::process::geteuid().as_raw();
    is_trusted && (mode & 0o022 == 0 || mode & 0o1000 != 0)
}

/// Removes the directories of killed processes of this user.
fn sweep(base: &Path) {
    let own = rustix::process::geteuid().as_raw();
    let Ok(entries) = std::fs::read_dir(base) else { return };
    let is_named = |entry: &std::fs::DirEntry| {
        entry.file_name().to_str().is_some_and(|name| name.starts_with(DIR_PREFIX))
    };
    let is_left = |entry: &std::fs::DirEntry| {
        // For a symbolic link this is the metadata of the link itself.
        let Ok(metadata) = entry.metadata() else { return false };
        let age = metadata.modified().ok().and_then(|at| at.elapsed().ok());
        let is_old = age.is_some_and(|age| age > MIN_STALE_AGE);
        metadata.is_dir() && metadata.uid() == own && is_old
    };
    for entry in entries.flatten().filter(is_named).filter(is_left).take(MAX_SWEPT_DIRS) {
        let Ok(dir) = File::open(entry.path()) else { continue };
        if matches!(dir.try_lock(), Ok(()) | Err(TryLockError::Error(_))) {
            let _gone_already = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// The sockets of one Zenoh session.
#[derive(Debug)]
pub(crate) struct SessionSlots {
    dir: SocketDir,
    count: usize,
    waiting: Arc<WaitingStreams>,
    accepting: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct WaitingStreams {
    /// Zenoh's connections that wait for a link, oldest first.
    streams: Mutex<VecDeque<UnixStream>>,
    more: Notify,
}

impl SessionSlots {
    /// Creates the sockets. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The system's error.
    pub(super) fn new(count: usize) -> io::Result<Self> {
        let dir = SocketDir::new()?;
        let listener = UnixListener::bind(dir.slots())?;
        let waiting = Arc::<WaitingStreams>::default();
        let accepting = tokio::spawn(accept(listener, count, waiting.clone()));
        Ok(Self { dir, count, waiting, accepting })
    }

    /// The endpoint at which Zenoh listens.
    pub(crate) fn listen(&self) -> String {
        format!("unixsock-stream/{}", self.dir.zenoh().display())
    }

    /// The endpoints that Zenoh dials: one socket, with a different setting for each slot.
    pub(crate) fn connect(&self) -> Vec<String> {
        let slots = self.dir.slots();
        (0..self.count).map(|n| format!("unixsock-stream/{}#slot={n}", slots.display())).collect()
    }

    /// A connection that Zenoh has dialed, for a link that this node dialed. Waits for at most
    /// `wait`.
    pub(super) async fn take(&self, wait: Duration) -> Option<UnixStream> {
        let taken = async {
            loop {
                let stream = self.waiting.streams.lock().pop_front();
                match stream {
                    Some(stream) if is_open(&stream).await => return stream,
                    Some(_) => {}
                    None => self.waiting.more.notified().await,
                }
            }
        };
        timeout(wait, taken).await.ok()
    }

    /// A connection to Zenoh, for a link that another node has dialed.
    ///
    /// # Errors
    /// The system's error.
    pub(super) async fn connect_zenoh(&self) -> io::Result<UnixStream> {
        UnixStream::connect(self.dir.zenoh()).await
    }

    /// The number of slots that the next session needs if `used` slots are in use: twice as many
    /// when less than a quarter is free.
    pub(super) fn wanted_slots(&self, used: usize) -> Option<usize> {
        let is_short = self.count.saturating_sub(used) < self.count.div_ceil(4);
        (is_short && self.count < MAX_SLOTS).then(|| (2 * self.count).min(MAX_SLOTS))
    }

    /// Whether the sockets still exist: another program may clear the directory for temporary
    /// files.
    pub(super) fn exist(&self) -> bool {
        [self.dir.zenoh(), self.dir.slots()].iter().all(|path| path.exists())
    }

    /// Closes the unused slots, so that Zenoh does not wait for them when it closes.
    pub(super) fn retire(&self) {
        self.accepting.abort();
        let _socket_goes_with_the_directory = std::fs::remove_file(self.dir.slots());
        self.waiting.streams.lock().clear();
    }
}

impl Drop for SessionSlots {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Whether Zenoh still waits at the other end. After a day Zenoh gives up and dials again. Zenoh's
/// first message is readable in either case.
async fn is_open(stream: &UnixStream) -> bool {
    let ready = timeout(READY_TIMEOUT, stream.ready(Interest::READABLE | Interest::WRITABLE)).await;
    ready.is_ok_and(|ready| ready.is_ok_and(|ready| !ready.is_read_closed()))
}

async fn accept(listener: UnixListener, max: usize, waiting: Arc<WaitingStreams>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let mut streams = waiting.streams.lock();
                streams.push_back(stream);
                // Other processes of this user may connect as well.
                if streams.len() > max {
                    streams.pop_front();
                }
                waiting.more.notify_one();
            }
            // For example, no file descriptor is left.
            Err(error) => {
                tracing::debug!(%error, "a slot was not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_slot_that_zenoh_has_closed_is_not_used() {
        let slots = SessionSlots::new(3).unwrap();
        let given_up = UnixStream::connect(slots.dir.slots()).await.unwrap();
        given_up.try_write(b"first message").unwrap();
        drop(given_up);
        let waits = UnixStream::connect(slots.dir.slots()).await.unwrap();
        waits.try_write(b"another").unwrap();
        let taken = slots.take(TIMEOUT).await.unwrap();
        taken.readable().await.unwrap();
        let mut bytes = [0; 20];
        assert_eq!(taken.try_read(&mut bytes).unwrap(), 7);
        assert!(slots.take(Duration::from_millis(1)).await.is_none());
    }

    #[tokio::test]
    async fn the_slots_double_when_less_than_a_quarter_is_free() {
        let slots = SessionSlots::new(16).unwrap();
        let wanted_slots: Vec<_> = [0, 12, 13, 40].map(|used| slots.wanted_slots(used)).to_vec();
        assert_eq!(wanted_slots, [None, None, Some(32), Some(32)]);
        assert_eq!(slots.connect().len(), 16);
    }

    #[tokio::test]
    async fn a_sweep_removes_only_directories_of_dead_processes() {
        let base = tempfile::tempdir().unwrap();
        let living = SocketDir::within(base.path()).unwrap();
        let dead = base.path().join(format!("{DIR_PREFIX}dead"));
        let other = base.path().join("others");
        for dir in [&dead, &other] {
            std::fs::create_dir(dir).unwrap();
        }
        sweep(base.path());
        assert!(dead.exists(), "it may be under construction");
        let long_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
        for dir in [&dead, &other, &living.path] {
            File::open(dir).unwrap().set_modified(long_ago).unwrap();
        }
        sweep(base.path());
        assert!(!dead.exists() && other.exists() && living.path.exists());
        let path = living.path.clone();
        drop(living);
        assert!(!path.exists());
    }

    #[test]
    fn a_directory_unusable_for_sockets_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let long = base.path().join("x".repeat(100));
        let odd = base.path().join("a#b");
        for dir in [&long, &odd] {
            std::fs::create_dir(dir).unwrap();
            assert_eq!(SocketDir::within(dir).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }
}
