//! Reads and replaces the file that holds a node's keys.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mailmesh_codec::Keyring;
use mailmesh_transport::Secret;
use ring::rand::{SecureRandom, SystemRandom};

/// The keys that a restart would read now. `None` if reading them would fail.
pub(super) fn read(path: &Path) -> Option<Keyring> {
    let text = Secret::File(path.to_owned()).resolve().ok()?;
    text.parse::<Keyring>().ok()
}

/// Whether [`write()`] would probably succeed, that is whether a file can be created in the same
/// directory. If the file is a mount point of its own, the rename still fails. Does not sync to
/// disk.
pub(super) fn can_write(path: &Path) -> bool {
    let probe = || -> io::Result<()> {
        let new = new_beside(&fs::canonicalize(path)?)?;
        create(&new)?;
        fs::remove_file(&new)
    };
    probe().is_ok()
}

/// Replaces the content of the file atomically: after a crash the file has the old or the new text.
/// Owner and permissions of the file are kept.
pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    // If the path is a symbolic link, as in some secret mounts, the link stays.
    let path = fs::canonicalize(path)?;
    let old = fs::metadata(&path)?;
    let dir = path.parent().unwrap_or(Path::new("/"));
    remove_leftovers(dir, &prefix(&path));
    let new = new_beside(&path)?;
    let written = put(&new, &old, text).and_then(|()| fs::rename(&new, &path));
    if written.is_err() {
        let _may_be_missing = fs::remove_file(&new);
        return written;
    }
    // The rename is durable once the directory is synced.
    fs::File::open(dir)?.sync_all()
}

fn prefix(path: &Path) -> String {
    format!(".{}.", path.file_name().unwrap_or_default().to_string_lossy())
}

/// A path in the same directory for the new file.
fn new_beside(path: &Path) -> io::Result<PathBuf> {
    // A process id is not unique: nodes on one machine may share a file from different containers.
    let mut random = [0; 8];
    SystemRandom::new().fill(&mut random).map_err(|_| io::Error::other("no random bytes"))?;
    Ok(path.with_file_name(format!("{}{:016x}.new", prefix(path), u64::from_be_bytes(random))))
}

/// Removes files that a crash left behind, because keys must not outlive their retirement. Recent
/// files stay: another node may be about to rename one.
fn remove_leftovers(dir: &Path, prefix: &str) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_ours = name.to_str().is_some_and(|n| n.starts_with(prefix) && n.ends_with(".new"));
        let age = |m: fs::Metadata| m.modified().ok()?.elapsed().ok();
        if is_ours && entry.metadata().ok().and_then(age).is_some_and(|age| age > STALE_AFTER) {
            let _already_gone = fs::remove_file(entry.path());
        }
    }
}

/// A temporary file this old belongs to no running write.
const STALE_AFTER: Duration = Duration::from_secs(60);

fn create(path: &Path) -> io::Result<fs::File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn put(path: &Path, old: &fs::Metadata, text: &str) -> io::Result<()> {
    let mut file = create(path)?;
    file.write_all(text.as_bytes())?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
        // A process that may not change the owner keeps mode 0600, for its own user only.
        if fchown(&file, Some(old.uid()), Some(old.gid())).is_ok() {
            file.set_permissions(fs::Permissions::from_mode(old.permissions().mode() & 0o660))?;
        }
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn a_replaced_file_keeps_its_permissions() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("keys"), dir.path().join("link"));
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        write(&link, "new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        let leftover = fs::File::create(dir.path().join(".keys.00.new")).unwrap();
        write(&path, "new").unwrap();
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            3,
            "the file may belong to another node"
        );
        leftover.set_modified(std::time::SystemTime::now() - 2 * STALE_AFTER).unwrap();
        write(&path, "new").unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        assert!(can_write(&link));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "the probe leaves no file");
        fs::remove_file(&path).unwrap();
        write(&path, "new").unwrap_err();
        assert!(!can_write(&path));
        assert!(!path.exists());
    }
}
