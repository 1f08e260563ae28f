use std::io;
use std::path::{Path, PathBuf};

use crate::Untrusted;

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The directory or file cannot be made or opened.
    #[error("{}: {source}; the store's directory must be writable by this process", shown(.path))]
    Open {
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The disk is full, or the user's quota is used up. It may work later.
    #[error("{}: {source}; make room on that disk, or raise the quota", shown(.path))]
    NoRoom {
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is there, and cannot be read now. Its content may be whole.
    #[error("{}: it cannot be read: {why}; check the disk, then restart the node", shown(.path))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// The directory or file is not this user's alone.
    #[error("{}: {why}", shown(.path))]
    Untrusted {
        /// Where.
        path: PathBuf,
        /// What is wrong with it.
        why: Untrusted,
    },
    /// Another process has it open.
    #[error(
        "{}: another process uses this store; give each node a directory of its own",
        shown(.path)
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A newer version wrote it.
    #[error(
        "{}: written in format {found}, and this version knows up to {known}; install the version that wrote it, or another directory",
        shown(.path)
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format that is known here.
        known: u32,
    },
    /// It is not a store, or was altered.
    #[error(
        "{}: not a store, or damaged ({why}); move it away, and the content comes from the other nodes",
        shown(.path)
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Something cannot be written now. Nothing of it was; what was written before is there.
    #[error(
        "{}: {why}; what is to be stored is kept in memory, and written when that works again",
        shown(.path)
    )]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// A record is longer than a store takes.
    #[error("a record of {len} bytes is not stored; the most is {limit}")]
    TooLong {
        /// Of its key or value.
        len: usize,
        /// The most.
        limit: usize,
    },
}

impl StoreError {
    /// The error of a system call that makes or opens a directory or file.
    pub(crate) fn of_io(path: &Path, source: io::Error) -> Self {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let path = path.to_owned();
        match source.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => Self::NoRoom { path, source },
            _ if is_disk_error(&source) => Self::Unreadable { path, why: source.to_string() },
            _ => Self::Open { path, source },
        }
    }

    /// Whether it may work later, as when the disk is full.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Write { .. } | Self::NoRoom { .. })
    }
}

/// Whether the device failed (`EIO`), for which the standard library has no kind.
fn is_disk_error(error: &io::Error) -> bool {
    #[cfg(unix)]
    return error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error());
    #[cfg(not(unix))]
    return false;
}

/// A path as a line may show it: controls are escaped.
fn shown(path: &Path) -> String {
    path.display().to_string().escape_debug().to_string()
}
