//! A file of records (redb) that one process opens at a time.

use std::fs::{File, TryLockError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, ReadableTableMetadata,
};

use crate::access::{self, TrustedDir};
use crate::format::{self, NOTES, RECORDS, UPGRADES, Upgrade};
use crate::untrusted::Untrusted;
use crate::{Record, StoreError};

/// Longest key in bytes.
pub const MAX_KEY_LEN: usize = 64 << 10;
/// Longest value in bytes.
pub const MAX_VALUE_LEN: usize = 16 << 20;

/// The name of the file in the directory.
const FILE_NAME: &str = "mirror.redb";
/// Cache of redb in bytes. It is small, because a node reads the file once and writes rarely.
const CACHE_BYTES: usize = 8 << 20;

/// An open store. Only one process can have it open at a time.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    dir: TrustedDir,
    open_file: OpenFile,
    /// `None` after a failed commit, which may have left the database unusable.
    database: Option<Database>,
}

/// Opens a database on a file. Tests replace it to simulate a full disk.
pub(crate) type OpenFile = fn(File) -> Result<Database, DatabaseError>;

fn open_file(file: File) -> Result<Database, DatabaseError> {
    builder().create_with_backend(FileBackend::new(file)?)
}

pub(crate) fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

/// Whether another process has the store of a directory open. Creates nothing and does not wait.
/// The check locks the store for a moment; a node that opens the store at that moment is refused.
#[must_use]
pub fn store_in_use(dir: impl AsRef<Path>) -> bool {
    let path = dir.as_ref().join(FILE_NAME);
    // Opening a device or a pipe may have side effects.
    let is_file = std::fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file());
    let locked = |file: File| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
    is_file && File::open(&path).is_ok_and(locked)
}

impl Store {
    /// Opens the store of a directory. A missing directory or file is created, and a file is
    /// repaired first after a crash.
    ///
    /// # Errors
    /// [`StoreError::Open`], [`StoreError::DiskFull`], [`StoreError::Unreadable`],
    /// [`StoreError::Untrusted`], [`StoreError::InUse`], [`StoreError::NewerFormat`],
    /// [`StoreError::Damaged`].
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_with(dir.as_ref(), open_file, UPGRADES)
    }

    /// The path of the store file in a directory.
    #[must_use]
    pub fn path_in(dir: impl AsRef<Path>) -> PathBuf {
        dir.as_ref().join(FILE_NAME)
    }

    pub(crate) fn open_with(
        dir: &Path,
        open_file: OpenFile,
        upgrades: &[Upgrade],
    ) -> Result<Self, StoreError> {
        let (path, dir) = (dir.join(FILE_NAME), access::create_dir(dir)?);
        let mut store = Self { path, dir, open_file, database: None };
        store.database = Some(store.open_database(upgrades)?);
        Ok(store)
    }

    /// Opens the file. Catches panics, because redb panics on some corrupt files.
    fn open_database(&self, upgrades: &[Upgrade]) -> Result<Database, StoreError> {
        let opened = catch_unwind(AssertUnwindSafe(|| self.open_database_unguarded(upgrades)));
        opened.unwrap_or_else(|_| Err(self.damaged("its structure is inconsistent")))
    }

    fn damaged(&self, why: &str) -> StoreError {
        StoreError::Damaged { path: self.path.clone(), why: why.to_owned() }
    }

    fn open_database_unguarded(&self, upgrades: &[Upgrade]) -> Result<Database, StoreError> {
        let path = || self.path.clone();
        let file = access::open(&self.path).map_err(|why| match why {
            Untrusted::Io(source) => StoreError::of_io(&self.path, source),
            why => StoreError::Untrusted { path: path(), why },
        })?;
        let is_new =
            access::truncate_unfinished(&file).and_then(|()| Ok(file.metadata()?.len() == 0));
        let is_new = is_new.map_err(|source| StoreError::of_io(&self.path, source))?;
        let opened = (self.open_file)(file);
        if is_new && matches!(opened, Err(DatabaseError::Storage(_))) {
            // The disk is full. The unfinished file is empty and would not open again.
            let _left_for_the_next_start = std::fs::remove_file(&self.path);
        }
        let database = opened.map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => StoreError::InUse { path: path() },
            DatabaseError::Storage(redb::StorageError::Io(source))
                if source.kind() != std::io::ErrorKind::InvalidData =>
            {
                StoreError::of_io(&self.path, source)
            }
            other => self.damaged(&redb::Error::from(other).to_string()),
        })?;
        let upgraded = || {
            // A current file is not written, so that it opens on a full disk too.
            if format::is_current(&database, upgrades)? {
                return Ok(Ok(()));
            }
            let write = database.begin_write()?;
            write.open_table(RECORDS)?;
            let result = format::upgrade_to_current(&write, upgrades)?;
            write.commit()?;
            Ok(result)
        };
        match upgraded().map_err(|error| self.write_error(error))? {
            Ok(()) => Ok(database),
            Err(found) => {
                let known = 1 + upgrades.len() as u32;
                Err(StoreError::NewerFormat { path: path(), found, known })
            }
        }
    }

    /// Converts an error of writing.
    fn write_error(&self, error: redb::Error) -> StoreError {
        let path = self.path.clone();
        match error {
            redb::Error::Io(error) => StoreError::Write { path, why: error.to_string() },
            redb::Error::PreviousIo => {
                StoreError::Write { path, why: "an earlier write failed".into() }
            }
            other => StoreError::Damaged { path, why: other.to_string() },
        }
    }

    /// Converts an error of reading.
    fn read_error(&self, error: redb::Error) -> StoreError {
        match self.write_error(error) {
            StoreError::Write { path, why } => StoreError::Unreadable { path, why },
            other => other,
        }
    }

    /// The database, unless the last commit failed.
    fn database(&self) -> Result<&Database, StoreError> {
        let closed = || {
            let why = "the last write failed; the next write reopens it".to_owned();
            StoreError::Unreadable { path: self.path.clone(), why }
        };
        self.database.as_ref().ok_or_else(closed)
    }

    /// Calls `each` with every record in the order of the keys, and returns their number.
    ///
    /// # Errors
    /// [`StoreError::Damaged`]; [`StoreError::Unreadable`], also after a failed
    /// [`commit`](Self::commit) until the next succeeds.
    pub fn read(&self, mut each: impl FnMut(&[u8], &[u8])) -> Result<u64, StoreError> {
        let database = self.database()?;
        let mut read = || {
            let records = database.begin_read()?.open_table(RECORDS)?;
            for record in records.iter()? {
                let (key, value) = record?;
                each(key.value(), value.value());
            }
            Ok(records.len()?)
        };
        let read =
            catch_unwind(AssertUnwindSafe(|| read().map_err(|error| self.read_error(error))));
        read.unwrap_or_else(|_| Err(self.damaged("its structure is inconsistent")))
    }

    /// The note of this name that a [`commit`](Self::commit) wrote; `None` if there is none.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn note(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let database = self.database()?;
        let read = || {
            let notes = database.begin_read()?.open_table(NOTES)?;
            Ok(notes.get(name)?.map(|note| note.value().to_vec()))
        };
        read().map_err(|error| self.read_error(error))
    }

    /// Writes records and notes in one transaction, which is on the disk when this returns. Notes
    /// are named values beside the records.
    ///
    /// After an error other than [`StoreError::TooLong`] the next call reopens the file.
    ///
    /// # Errors
    /// [`StoreError::Write`], [`StoreError::TooLong`]; the errors of [`open`](Self::open).
    pub fn commit(
        &mut self,
        records: impl IntoIterator<Item = Record>,
        notes: &[(&str, &[u8])],
    ) -> Result<(), StoreError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => self.open_database(UPGRADES)?,
        };
        let mut too_long = None;
        let write = || {
            let write = database.begin_write()?;
            {
                let mut table = write.open_table(RECORDS)?;
                for Record { key, value } in records {
                    let value_len = value.as_ref().map_or(0, Vec::len);
                    if key.len() > MAX_KEY_LEN || value_len > MAX_VALUE_LEN {
                        let is_key = key.len() > MAX_KEY_LEN;
                        let (len, limit) = if is_key {
                            (key.len(), MAX_KEY_LEN)
                        } else {
                            (value_len, MAX_VALUE_LEN)
                        };
                        too_long = Some(StoreError::TooLong { len, limit });
                        continue;
                    }
                    match value {
                        Some(value) => drop(table.insert(key.as_slice(), value.as_slice())?),
                        None => drop(table.remove(key.as_slice())?),
                    }
                }
                let mut table = write.open_table(NOTES)?;
                for (name, value) in notes {
                    table.insert(*name, *value)?;
                }
            }
            if too_long.is_some() {
                write.abort()?
            } else {
                write.commit()?
            }
            Ok(())
        };
        // After a failure the database is dropped: it may refuse all later operations.
        let written =
            catch_unwind(AssertUnwindSafe(|| write().map_err(|error| self.write_error(error))));
        written.unwrap_or_else(|_| Err(self.damaged("its structure is inconsistent")))?;
        self.database = Some(database);
        too_long.map_or(Ok(()), Err)
    }

    /// Closes the store and renames its file to a name that ends with `suffix`; returns the new
    /// path. The next [`open`](Self::open) creates a new store. An earlier file of the new name is
    /// replaced.
    ///
    /// # Errors
    /// [`StoreError::Open`], [`StoreError::DiskFull`], [`StoreError::Unreadable`] if the file
    /// cannot be renamed.
    pub fn rename_aside(mut self, suffix: &str) -> Result<PathBuf, StoreError> {
        drop(self.database.take());
        let kept = self.path.with_file_name(format!("{FILE_NAME}.of-{suffix}"));
        match std::fs::rename(&self.path, &kept) {
            Ok(()) => Ok(kept),
            Err(source) => Err(StoreError::of_io(&self.path, source)),
        }
    }

    /// Whether the group of the directory may write to it, as on a volume that an orchestrator
    /// mounts.
    #[must_use]
    pub fn is_group_writable(&self) -> bool {
        self.dir.is_group_writable
    }

    /// The path of the store file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests;
