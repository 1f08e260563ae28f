//! A small file system in memory that tests can fill up.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::faults::network::run;
use crate::sweeper::Sweeper;

/// Holds a store of some 20,000 entries, and is filled at once.
const SIZE: &str = "size=32m";

/// A mounted tmpfs; unmounted when dropped.
#[derive(Debug)]
pub(super) struct Tmpfs {
    path: PathBuf,
    sweeper: Sweeper,
}

impl Tmpfs {
    /// Mounts a tmpfs at a new folder. Namespaces that are entered later see it too.
    pub(super) fn mount(path: PathBuf, sweeper: &Sweeper) -> Result<Self, String> {
        let error = |error: std::io::Error| format!("{}: {error}", path.display());
        DirBuilder::new().mode(0o700).create(&path).map_err(error)?;
        sweeper.mounted(&path);
        mount(&path)?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o700)).map_err(error)?;
        Ok(Self { path, sweeper: sweeper.clone() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes until there is no room for another block.
    pub(super) fn fill(&self) -> Result<(), String> {
        let path = self.filler();
        let error = |error: std::io::Error| format!("{}: {error}", path.display());
        let mut file = File::options().create(true).append(true).open(&path).map_err(error)?;
        loop {
            match file.write_all(&[0; 4096]) {
                Ok(()) => {}
                Err(why) if why.kind() == ErrorKind::StorageFull => return Ok(()),
                Err(why) => return Err(error(why)),
            }
        }
    }

    pub(super) fn make_room(&self) -> Result<(), String> {
        let path = self.filler();
        std::fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn filler(&self) -> PathBuf {
        self.path.join("filler")
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        match unmount(&self.path) {
            Ok(()) => self.sweeper.unmounted(&self.path),
            Err(error) => eprintln!("{error}"),
        }
    }
}

/// Checks that this process may mount a tmpfs.
///
/// # Errors
/// If it may not: the reason, with the remedy.
pub(in crate::faults) fn available() -> Result<(), String> {
    let path = std::env::temp_dir().join(format!("mm-faults-probe-{}", std::process::id()));
    let made = DirBuilder::new().mode(0o700).create(&path);
    made.map_err(|error| format!("{}: {error}", path.display()))?;
    let result = mount(&path).and_then(|()| unmount(&path));
    let _empty = std::fs::remove_dir(&path);
    result.map_err(|why| format!("no file system can be mounted ({why}): run as root"))
}

fn mount(path: &Path) -> Result<(), String> {
    let path = path.to_string_lossy();
    run("mount", &["-t", "tmpfs", "-o", SIZE, "mm-faults", &path])
}

fn unmount(path: &Path) -> Result<(), String> {
    run("umount", &[&path.to_string_lossy()])
}
