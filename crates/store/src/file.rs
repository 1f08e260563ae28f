//! The file and its directory, for this user alone.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::StoreError;

/// Why a directory or file is not trusted to be this user's alone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Untrusted {
    /// It is a symbolic link, which somebody else may have put there.
    #[error("it is a symbolic link, which is not followed; give the path that it leads to")]
    Link,
    /// It is not a directory.
    #[error("it is not a directory; give another path")]
    NoDirectory,
    /// It is not a regular file.
    #[error("it is not a regular file; remove it, or give another directory")]
    NoFile,
    /// It belongs to another user.
    #[error(
        "it belongs to user {owner}, and this process runs as user {user}; run it as that user, or `chown` it"
    )]
    Foreign {
        /// Its owner.
        owner: u32,
        /// The user of this process.
        user: u32,
    },
    /// Everybody may write it.
    #[error("everybody may write it; run `chmod o-w` on it, once its content is known to be good")]
    Everybody,
    /// It cannot be looked at.
    #[error("{0}")]
    Unknown(#[from] io::Error),
}

/// A directory that is this user's, or root's, and that not everybody may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrustedDir {
    /// It belongs to this user, not to root.
    pub is_own: bool,
    /// Its group may write it.
    pub is_open_to_group: bool,
}

/// Looks whether a directory is one whose content other users did not put there: no link, this
/// user's or root's, not for everybody to write.
///
/// Those above it do not matter: where others can put a directory in its place, as in one
/// without the sticky bit, that is theirs, and refused.
///
/// # Errors
/// [`Untrusted`].
pub fn check_dir(dir: &Path) -> Result<TrustedDir, Untrusted> {
    // `link/` and `link/.` are what the link leads to.
    let dir: PathBuf = dir.components().collect();
    let metadata = std::fs::symlink_metadata(dir)?;
    if metadata.is_symlink() {
        return Err(Untrusted::Link);
    }
    if !metadata.is_dir() {
        return Err(Untrusted::NoDirectory);
    }
    check_owner(&metadata, true)
}

#[cfg(unix)]
fn check_owner(metadata: &Metadata, may_be_roots: bool) -> Result<TrustedDir, Untrusted> {
    use std::os::unix::fs::MetadataExt;
    let (owner, user) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != user && !(may_be_roots && owner == 0) {
        return Err(Untrusted::Foreign { owner, user });
    }
    if metadata.mode() & 0o002 != 0 {
        return Err(Untrusted::Everybody);
    }
    Ok(TrustedDir { is_own: owner == user, is_open_to_group: metadata.mode() & 0o020 != 0 })
}

#[cfg(not(unix))]
fn check_owner(_metadata: &Metadata, _may_be_roots: bool) -> Result<TrustedDir, Untrusted> {
    Ok(TrustedDir { is_own: true, is_open_to_group: false })
}

/// Makes the directory, with those above it, and checks it.
pub(crate) fn make_dir(dir: &Path) -> Result<TrustedDir, StoreError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let made = builder.create(dir);
    match check_dir(dir) {
        Ok(trusted) => Ok(trusted),
        // It is not there: why it could not be made says more.
        Err(Untrusted::Unknown(source)) => {
            Err(StoreError::of_io(dir, made.err().unwrap_or(source)))
        }
        Err(why) => Err(StoreError::Untrusted { path: dir.to_owned(), why }),
    }
}

/// Opens the file, or makes it. One that is this user's is closed to others.
pub(crate) fn open(path: &Path) -> Result<File, Untrusted> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => return Err(Untrusted::Link),
        // To open a device or a pipe has effects.
        Ok(metadata) if !metadata.is_file() => return Err(Untrusted::NoFile),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // Another file may be there by now.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.mode(0o600).custom_flags(flags.bits().cast_signed());
    }
    let file = options.open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(Untrusted::NoFile);
    }
    check_owner(&metadata, false)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        if metadata.mode() & 0o077 != 0 {
            file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        }
    }
    Ok(file)
}

/// Bytes at the beginning of a file that say it is redb's; written last when it is made.
const MAGIC: usize = 9;
/// Longest file that may be half made.
const MADE: u64 = 16 << 20;
const HEADER: usize = 4096;

/// Empties a file of which nothing but its header was made when the disk was full, or the process
/// was killed: redb does not open that.
pub(crate) fn clear_half_made(file: &File) -> io::Result<()> {
    use std::io::{Read, Seek};
    let len = file.metadata()?.len();
    if len == 0 || len > MADE {
        return Ok(());
    }
    let mut begin = [0; MAGIC];
    let mut reader = file;
    if reader.read(&mut begin)? < MAGIC.min(len as usize) || begin != [0; MAGIC] {
        return reader.rewind();
    }
    // Another process may be making it.
    if file.try_lock().is_err() {
        return reader.rewind();
    }
    reader.rewind()?;
    let mut content = Vec::new();
    reader.take(MADE).read_to_end(&mut content)?;
    let is_of_header = |at| (MAGIC..HEADER).contains(&at);
    let is_empty = content.iter().enumerate().all(|(at, byte)| *byte == 0 || is_of_header(at));
    if is_empty {
        file.set_len(0)?;
    }
    let mut reader = file;
    reader.rewind()?;
    file.unlock()
}
