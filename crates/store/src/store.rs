use std::fs::{File, TryLockError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, ReadableTableMetadata,
    TableDefinition,
};

use crate::StoreError;
use crate::file::{self, TrustedDir, Untrusted};
use crate::format::{self, UPGRADES, Upgrade};

/// Longest key in bytes.
pub const MAX_KEY: usize = 64 << 10;
/// Longest value in bytes.
pub const MAX_VALUE: usize = 16 << 20;

/// The file in the directory.
const FILE: &str = "mirror.redb";
/// Bytes of the file kept in memory: reading happens once, writing is rare.
const CACHE: usize = 8 << 20;

pub(crate) const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");
pub(crate) const NOTES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("notes");

/// A key with its new value; without one it is taken out.
pub type Record = (Vec<u8>, Option<Vec<u8>>);

/// An open store. One process has it at a time.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    dir: TrustedDir,
    opener: Opener,
    /// None after a failure: what failed may have left it unusable.
    database: Option<Database>,
}

/// How the file is had: a test has one on a disk that is full.
pub(crate) type Opener = fn(File) -> Result<Database, DatabaseError>;

fn open_file(file: File) -> Result<Database, DatabaseError> {
    builder().create_with_backend(FileBackend::new(file)?)
}

pub(crate) fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE);
    builder
}

/// Whether another process has the store of a directory open. Nothing is made, and nothing
/// waits. For a moment the store is locked: a node that opens it just then is refused.
#[must_use]
pub fn store_in_use(dir: &Path) -> bool {
    let path = dir.join(FILE);
    // To open a device or a pipe has effects.
    let is_file = std::fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file());
    let locked = |file: File| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
    is_file && File::open(&path).is_ok_and(locked)
}

impl Store {
    /// Opens the store of a directory, which is made if it is not there. After a crash the
    /// file is checked and mended first.
    ///
    /// # Errors
    /// [`StoreError::Open`], [`StoreError::NoRoom`], [`StoreError::Unreadable`],
    /// [`StoreError::Untrusted`], [`StoreError::InUse`], [`StoreError::Newer`],
    /// [`StoreError::Damaged`].
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_with(dir.as_ref(), open_file, UPGRADES)
    }

    /// The file of the store of a directory.
    #[must_use]
    pub fn path_in(dir: &Path) -> PathBuf {
        dir.join(FILE)
    }

    pub(crate) fn open_with(
        dir: &Path,
        opener: Opener,
        upgrades: &[Upgrade],
    ) -> Result<Self, StoreError> {
        let (path, dir) = (dir.join(FILE), file::make_dir(dir)?);
        let mut store = Self { path, dir, opener, database: None };
        store.database = Some(store.database(upgrades)?);
        Ok(store)
    }

    /// Opens the file. redb panics on some files that something else altered.
    fn database(&self, upgrades: &[Upgrade]) -> Result<Database, StoreError> {
        let opened = catch_unwind(AssertUnwindSafe(|| self.open_database(upgrades)));
        opened.unwrap_or_else(|_| Err(self.damaged("it does not hold together")))
    }

    fn damaged(&self, why: &str) -> StoreError {
        StoreError::Damaged { path: self.path.clone(), why: why.to_owned() }
    }

    fn open_database(&self, upgrades: &[Upgrade]) -> Result<Database, StoreError> {
        let path = || self.path.clone();
        let file = file::open(&self.path).map_err(|why| match why {
            Untrusted::Unknown(source) => StoreError::of_io(&self.path, source),
            why => StoreError::Untrusted { path: path(), why },
        })?;
        let is_new = file::clear_half_made(&file).and_then(|()| Ok(file.metadata()?.len() == 0));
        let is_new = is_new.map_err(|source| StoreError::of_io(&self.path, source))?;
        let opened = (self.opener)(file);
        if is_new && matches!(opened, Err(DatabaseError::Storage(_))) {
            // On a full disk: nothing is in it, and what is half made would not open again.
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
            // Nothing is written without need: a full disk can be read.
            if format::is_current(&database, upgrades)? {
                return Ok(Ok(()));
            }
            let write = database.begin_write()?;
            write.open_table(RECORDS)?;
            let result = format::bring_up_to_date(&write, upgrades)?;
            write.commit()?;
            Ok(result)
        };
        match upgraded().map_err(|error| self.explain(error))? {
            Ok(()) => Ok(database),
            Err(found) => {
                let known = 1 + upgrades.len() as u32;
                Err(StoreError::Newer { path: path(), found, known })
            }
        }
    }

    /// What went wrong while writing.
    fn explain(&self, error: redb::Error) -> StoreError {
        let path = self.path.clone();
        match error {
            redb::Error::Io(error) => StoreError::Write { path, why: error.to_string() },
            redb::Error::PreviousIo => {
                StoreError::Write { path, why: "a write failed before".into() }
            }
            other => StoreError::Damaged { path, why: other.to_string() },
        }
    }

    /// Why the file cannot be read.
    fn explain_read(&self, error: redb::Error) -> StoreError {
        match self.explain(error) {
            StoreError::Write { path, why } => StoreError::Unreadable { path, why },
            other => other,
        }
    }

    /// The database, unless a write failed and none has worked since.
    fn opened(&self) -> Result<&Database, StoreError> {
        let closed = || {
            let why = "a write failed before, and the next opens it anew".to_owned();
            StoreError::Unreadable { path: self.path.clone(), why }
        };
        self.database.as_ref().ok_or_else(closed)
    }

    /// Every record, in the order of the keys; gives how many there are.
    ///
    /// # Errors
    /// [`StoreError::Damaged`]; [`StoreError::Unreadable`], also after a failed
    /// [`commit`](Self::commit) until the next works.
    pub fn read(&self, mut each: impl FnMut(&[u8], &[u8])) -> Result<u64, StoreError> {
        let database = self.opened()?;
        let mut read = || {
            let records = database.begin_read()?.open_table(RECORDS)?;
            for record in records.iter()? {
                let (key, value) = record?;
                each(key.value(), value.value());
            }
            Ok(records.len()?)
        };
        let read =
            catch_unwind(AssertUnwindSafe(|| read().map_err(|error| self.explain_read(error))));
        read.unwrap_or_else(|_| Err(self.damaged("it does not hold together")))
    }

    /// What [`commit`](Self::commit) noted under a name.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn note(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let database = self.opened()?;
        let read = || {
            let notes = database.begin_read()?.open_table(NOTES)?;
            Ok(notes.get(name)?.map(|note| note.value().to_vec()))
        };
        read().map_err(|error| self.explain_read(error))
    }

    /// Writes records and notes, all or none. When it returns they are on the disk.
    ///
    /// After an error try again later: the file is opened anew.
    ///
    /// # Errors
    /// [`StoreError::Write`], [`StoreError::TooLong`]; those of [`open`](Self::open).
    pub fn commit(
        &mut self,
        records: impl IntoIterator<Item = Record>,
        notes: &[(&str, &[u8])],
    ) -> Result<(), StoreError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => self.database(UPGRADES)?,
        };
        let mut too_long = None;
        let write = || {
            let write = database.begin_write()?;
            {
                let mut table = write.open_table(RECORDS)?;
                for (key, value) in records {
                    let value_len = value.as_ref().map_or(0, Vec::len);
                    if key.len() > MAX_KEY || value_len > MAX_VALUE {
                        let is_key = key.len() > MAX_KEY;
                        let (len, limit) =
                            if is_key { (key.len(), MAX_KEY) } else { (value_len, MAX_VALUE) };
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
        // A database that failed may refuse everything from then on.
        let written =
            catch_unwind(AssertUnwindSafe(|| write().map_err(|error| self.explain(error))));
        written.unwrap_or_else(|_| Err(self.damaged("it does not hold together")))?;
        self.database = Some(database);
        too_long.map_or(Ok(()), Err)
    }

    /// Closes the store and gives its file another name, which ends with `why` and is returned:
    /// the next [`open`](Self::open) makes a new store. A file that was set aside for the same
    /// reason before is replaced.
    ///
    /// # Errors
    /// [`StoreError::Open`], [`StoreError::NoRoom`], [`StoreError::Unreadable`] if it cannot be
    /// renamed.
    pub fn set_aside(mut self, why: &str) -> Result<PathBuf, StoreError> {
        drop(self.database.take());
        let kept = self.path.with_file_name(format!("{FILE}.of-{why}"));
        match std::fs::rename(&self.path, &kept) {
            Ok(()) => Ok(kept),
            Err(source) => Err(StoreError::of_io(&self.path, source)),
        }
    }

    /// Whether the group of the directory may put files into it, as into a volume that an
    /// orchestrator mounts.
    #[must_use]
    pub fn is_open_to_group(&self) -> bool {
        self.dir.is_open_to_group
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests;
