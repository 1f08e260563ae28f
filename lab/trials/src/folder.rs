//! A temporary folder for the files of one run; removed when dropped.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::sweeper::Sweeper;

#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    sweeper: Sweeper,
}

impl Folder {
    pub(crate) fn new(sweeper: &Sweeper) -> Result<Self, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("mm-trial-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // Only its owner may read it: it contains keys.
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| format!("{}: {error}", path.display()))?;
        sweeper.folder_made(&path);
        Ok(Self { path, sweeper: sweeper.clone() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        match std::fs::remove_dir_all(&self.path) {
            Ok(()) => self.sweeper.folder_gone(&self.path),
            Err(error) => eprintln!("{}: {error}", self.path.display()),
        }
    }
}
