//! The error of a store.

use std::io;
use std::path::{Path, PathBuf};

use crate::untrusted::Untrusted;

/// The reason why an operation of a [`Store`](crate::Store) failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The directory or file cannot be created or opened.
    #[error("{}: {source}; the store's directory must be writable by this process", shown(.path))]
    Open {
        /// The directory or file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The disk is full, or the quota of the user is used up. A later attempt may succeed.
    #[error("{}: {source}; free space on that disk, or raise the quota", shown(.path))]
    DiskFull {
        /// The directory or file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file exists, but cannot be read now. Its content may be intact.
    #[error("{}: it cannot be read: {why}; check the disk, then restart the node", shown(.path))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the operating system or of redb.
        why: String,
    },
    /// Other users may control the directory or file.
    #[error("{}: {why}", shown(.path))]
    Untrusted {
        /// The directory or file.
        path: PathBuf,
        /// The check that failed.
        why: Untrusted,
    },
    /// Another process has the store open.
    #[error(
        "{}: another process uses this store; give each node a directory of its own",
        shown(.path)
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A newer version wrote the file.
    #[error(
        "{}: it has format {found}, and this version supports formats up to {known}; install the \
         version that wrote it, or use another directory",
        shown(.path)
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// The format of the file.
        found: u32,
        /// The newest format that this version supports.
        known: u32,
    },
    /// The file is not a store, or is corrupt.
    #[error(
        "{}: not a store, or damaged ({why}); move it away, and this node gets the content from \
         the other nodes",
        shown(.path)
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The fault in the content.
        why: String,
    },
    /// A commit failed. Nothing of it was written; earlier commits are intact.
    #[error(
        "{}: {why}; the changes are kept in memory, and written once writing works again",
        shown(.path)
    )]
    Write {
        /// The file.
        path: PathBuf,
        /// The error of the operating system or of redb.
        why: String,
    },
    /// A key or value exceeds its limit.
    #[error("a key or value of {len} bytes cannot be stored; the limit is {limit}")]
    TooLong {
        /// The length of the key or value in bytes.
        len: usize,
        /// The limit in bytes.
        limit: usize,
    },
}

impl StoreError {
    /// The error of a system call that creates or opens a directory or file.
    pub(crate) fn of_io(path: &Path, source: io::Error) -> Self {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let path = path.to_owned();
        match source.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => Self::DiskFull { path, source },
            _ if is_disk_error(&source) => Self::Unreadable { path, why: source.to_string() },
            _ => Self::Open { path, source },
        }
    }

    /// Whether a later attempt may succeed, as after a full disk.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Write { .. } | Self::DiskFull { .. })
    }
}

/// Whether the device failed (`EIO`), for which the standard library has no `ErrorKind`.
fn is_disk_error(error: &io::Error) -> bool {
    #[cfg(unix)]
    return error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error());
    #[cfg(not(unix))]
    return false;
}

/// A path with escaped control characters, safe to show on one line.
fn shown(path: &Path) -> String {
    path.display().to_string().escape_debug().to_string()
}
