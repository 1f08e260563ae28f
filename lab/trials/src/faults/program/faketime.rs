//! Sets the wall clock of one process: libfaketime in that process reads the offset from a file.

use std::path::{Path, PathBuf};

use super::testbed::Testbed;

const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// Path of libfaketime.
///
/// # Errors
/// If it is not installed.
pub(in crate::faults) fn library() -> Result<PathBuf, String> {
    let places = ["/usr/lib", "/usr/lib64", "/usr/local/lib"].map(PathBuf::from);
    // Debian has a folder for each architecture.
    let below = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut places = places.into_iter().chain(below.map(|entry| entry.path()));
    let found = places.find_map(|place| Some(place.join(LIBRARY)).filter(|path| path.is_file()));
    found.ok_or_else(|| "no libfaketime: install the package faketime".to_owned())
}

/// The wall clock of one process.
#[derive(Debug)]
pub(super) struct Clock {
    file: PathBuf,
    library: PathBuf,
}

impl Clock {
    /// A clock that is `ahead` of the machine's, in libfaketime's notation: `+0`, `+1d`.
    pub(super) fn new(testbed: &Testbed, id: &str, ahead: &str) -> Result<Self, String> {
        let clock = Self { file: testbed.path(&format!("{id}.clock")), library: library()? };
        clock.set(ahead)?;
        Ok(clock)
    }

    pub(super) fn set(&self, ahead: &str) -> Result<(), String> {
        // Replaced atomically: the process reads the file whenever it queries the time.
        let new = self.file.with_extension("new");
        let written = std::fs::write(&new, ahead).and_then(|()| std::fs::rename(&new, &self.file));
        written.map_err(|error| format!("{}: {error}", self.file.display()))
    }

    /// The command prefix that makes a program use this clock. Its timers stay right.
    pub(super) fn command_prefix(&self) -> Vec<String> {
        let of = |name: &str, path: &Path| format!("{name}={}", path.display());
        vec![
            "env".to_owned(),
            of("LD_PRELOAD", &self.library),
            of("FAKETIME_TIMESTAMP_FILE", &self.file),
            "FAKETIME_NO_CACHE=1".to_owned(),
            "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
        ]
    }
}
