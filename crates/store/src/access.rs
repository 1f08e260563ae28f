//! Access control: the store file and its directory belong to this user alone.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::StoreError;
use crate::untrusted::Untrusted;

/// A directory that belongs to this user or to root, and that is not world-writable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct TrustedDir {
    /// Whether the directory belongs to this user; otherwise it belongs to root.
    pub is_owned: bool,
    /// Whether the group of the directory may write to it.
    pub is_group_writable: bool,
}

/// Checks that other users cannot have put content into a directory. It must not be a symbolic link
/// or world-writable, and must belong to this user or to root.
///
/// Parent directories are not checked. If another user replaces the directory, the replacement
/// belongs to that user and is refused.
///
/// # Errors
/// [`Untrusted`].
pub fn check_dir(dir: impl AsRef<Path>) -> Result<TrustedDir, Untrusted> {
    // `link/` and `link/.` would resolve to the target of the link.
    let dir: PathBuf = dir.as_ref().components().collect();
    let metadata = std::fs::symlink_metadata(dir)?;
    if metadata.is_symlink() {
        return Err(Untrusted::SymbolicLink);
    }
    if !metadata.is_dir() {
        return Err(Untrusted::NotADirectory);
    }
    check_owner(&metadata, true)
}

#[cfg(unix)]
fn check_owner(metadata: &Metadata, allow_root: bool) -> Result<TrustedDir, Untrusted> {
    use std::os::unix::fs::MetadataExt;
    let (owner, user) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != user && !(allow_root && owner == 0) {
        return Err(Untrusted::OtherOwner { owner, user });
    }
    if metadata.mode() & 0o002 != 0 {
        return Err(Untrusted::WorldWritable);
    }
    Ok(TrustedDir { is_owned: owner == user, is_group_writable: metadata.mode() & 0o020 != 0 })
}

#[cfg(not(unix))]
fn check_owner(_metadata: &Metadata, _may_be_roots: bool) -> Result<TrustedDir, Untrusted> {
    Ok(TrustedDir { is_owned: true, is_group_writable: false })
}

/// Creates the directory with its parents, and checks it.
pub(crate) fn create_dir(dir: &Path) -> Result<TrustedDir, StoreError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let made = builder.create(dir);
    match check_dir(dir) {
        Ok(trusted) => Ok(trusted),
        // The directory is missing: the error of its creation is more telling.
        Err(Untrusted::Io(source)) => Err(StoreError::of_io(dir, made.err().unwrap_or(source))),
        Err(why) => Err(StoreError::Untrusted { path: dir.to_owned(), why }),
    }
}

/// Opens or creates the file. Removes the permissions of other users from a file of this user.
pub(crate) fn open(path: &Path) -> Result<File, Untrusted> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => return Err(Untrusted::SymbolicLink),
        // Opening a device or a pipe may have side effects.
        Ok(metadata) if !metadata.is_file() => return Err(Untrusted::NotAFile),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // Another file may have replaced it since the check.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.mode(0o600).custom_flags(flags.bits().cast_signed());
    }
    let file = options.open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(Untrusted::NotAFile);
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

/// Length of redb's magic number in bytes. redb writes it last when it creates a file.
const MAGIC_LEN: usize = 9;
/// Longest file, in bytes, that may be an unfinished creation.
const MAX_UNFINISHED_LEN: u64 = 16 << 20;
/// Length of redb's header in bytes.
const HEADER_LEN: usize = 4096;

/// Truncates a file to zero if its creation was interrupted by a full disk or a kill, and it has no
/// content but a header without the magic number. redb refuses to open such a file.
pub(crate) fn truncate_unfinished(file: &File) -> io::Result<()> {
    use std::io::{Read, Seek};
    let len = file.metadata()?.len();
    if len == 0 || len > MAX_UNFINISHED_LEN {
        return Ok(());
    }
    let mut begin = [0; MAGIC_LEN];
    let mut reader = file;
    if reader.read(&mut begin)? < MAGIC_LEN.min(len as usize) || begin != [0; MAGIC_LEN] {
        return reader.rewind();
    }
    // Another process may be creating it.
    if file.try_lock().is_err() {
        return reader.rewind();
    }
    reader.rewind()?;
    let mut content = Vec::new();
    reader.take(MAX_UNFINISHED_LEN).read_to_end(&mut content)?;
    let is_in_header = |at| (MAGIC_LEN..HEADER_LEN).contains(&at);
    let is_empty = content.iter().enumerate().all(|(at, byte)| *byte == 0 || is_in_header(at));
    if is_empty {
        file.set_len(0)?;
    }
    let mut reader = file;
    reader.rewind()?;
    file.unlock()
}
