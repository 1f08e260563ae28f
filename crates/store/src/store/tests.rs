//! Tests of a store on disks that are full or broken.

use std::cell::Cell;
use std::io;

use redb::StorageBackend;

use super::*;

thread_local! {
    /// The size in bytes at which the disk of this thread is full.
    static FULL: Cell<Option<u64>> = const { Cell::new(None) };
    /// Whether reads from the disk of this thread fail.
    static IS_BROKEN: Cell<bool> = const { Cell::new(false) };
}

/// A disk with limited space, on which reads may fail.
#[derive(Debug)]
struct TestDisk {
    file: FileBackend,
    /// Whether growing a file takes no space until bytes are written.
    is_sparse: bool,
}

fn check_room(end: u64) -> io::Result<()> {
    match FULL.with(Cell::get) {
        Some(room) if end > room => Err(io::ErrorKind::StorageFull.into()),
        _ => Ok(()),
    }
}

impl StorageBackend for TestDisk {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if IS_BROKEN.with(Cell::get) {
            return Err(io::Error::from_raw_os_error(5));
        }
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if !self.is_sparse {
            check_room(len)?;
        }
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        check_room(offset + data.len() as u64)?;
        self.file.write(offset, data)
    }
}

fn full_disk(file: File) -> Result<Database, DatabaseError> {
    builder().create_with_backend(TestDisk { file: FileBackend::new(file)?, is_sparse: false })
}

fn sparse_disk(file: File) -> Result<Database, DatabaseError> {
    builder().create_with_backend(TestDisk { file: FileBackend::new(file)?, is_sparse: true })
}

fn record(number: u32, len: usize) -> Record {
    Record::set(number.to_be_bytes(), vec![number as u8; len])
}

fn keys(store: &Store) -> Vec<u32> {
    let mut keys = Vec::new();
    store.read(|key, _| keys.push(u32::from_be_bytes(key.try_into().unwrap()))).unwrap();
    keys
}

#[test]
fn a_full_disk_loses_no_commit_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open_with(dir.path(), full_disk, UPGRADES).unwrap();
    store.commit([record(1, 100)], &[("clock", b"1")]).unwrap();
    let size = std::fs::metadata(store.path()).unwrap().len();
    FULL.with(|full| full.set(Some(size)));
    let many = || (2..200).map(|n| record(n, 100_000));
    for _ in 0..3 {
        let error = store.commit(many(), &[("clock", b"2")]).unwrap_err();
        assert!(matches!(error, StoreError::Write { .. }), "{error}");
        assert!(error.to_string().contains("kept in memory"), "{error}");
        // The file is closed: reads fail instead of returning nothing.
        assert!(matches!(store.read(|_, _| ()), Err(StoreError::Unreadable { .. })));
        assert!(matches!(store.note("clock"), Err(StoreError::Unreadable { .. })));
    }
    FULL.with(|full| full.set(None));
    store.commit([record(500, 1)], &[]).unwrap();
    assert_eq!((keys(&store), store.note("clock").unwrap()), (vec![1, 500], Some(b"1".to_vec())));
    store.commit(many(), &[("clock", b"2")]).unwrap();
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!((keys(&store).len(), store.note("clock").unwrap()), (200, Some(b"2".to_vec())));
}

/// An upgrade from format 1 to 2 that repeats each value twice.
fn doubled(write: &redb::WriteTransaction) -> Result<(), redb::Error> {
    let mut table = write.open_table(RECORDS)?;
    let mut old = Vec::new();
    for record in table.iter()? {
        let (key, value) = record?;
        old.push((key.value().to_vec(), value.value().repeat(2)));
    }
    for (key, value) in old {
        table.insert(key.as_slice(), value.as_slice())?;
    }
    Ok(())
}

#[test]
fn an_older_file_is_upgraded_once_and_a_newer_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    Store::open(dir.path()).unwrap().commit([record(1, 3)], &[]).unwrap();
    for _ in 0..2 {
        let store = Store::open_with(dir.path(), open_file, &[doubled]).unwrap();
        store.read(|_, value| assert_eq!(value, [1; 6])).unwrap();
    }
    let error = Store::open(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::NewerFormat { found: 2, known: 1, .. }), "{error}");
    let store = Store::open_with(dir.path(), open_file, &[doubled]).unwrap();
    assert_eq!(keys(&store), [1]);
}

#[test]
fn a_store_opens_on_a_full_disk_and_creation_succeeds_later() {
    let dir = tempfile::tempdir().unwrap();
    FULL.with(|full| full.set(Some(0)));
    let open = || Store::open_with(dir.path(), sparse_disk, UPGRADES);
    for _ in 0..2 {
        let error = open().unwrap_err();
        assert!(matches!(error, StoreError::DiskFull { .. }) && error.is_transient(), "{error}");
        assert!(error.to_string().contains("free space"), "{error}");
    }
    FULL.with(|full| full.set(None));
    let mut store = open().unwrap();
    store.commit([record(1, 100)], &[]).unwrap();
    drop(store);
    // Writes fail; reads succeed.
    FULL.with(|full| full.set(Some(8_192)));
    assert_eq!(keys(&open().unwrap()), [1]);
}

#[test]
fn an_unfinished_file_is_recreated_and_other_files_stay() {
    let dir = tempfile::tempdir().unwrap();
    let path = Store::path_in(dir.path());
    let mut half = vec![0; 1 << 20];
    half[9..30].fill(7);
    std::fs::write(&path, &half).unwrap();
    Store::open(dir.path()).unwrap();
    for len in 1..=20 {
        std::fs::write(&path, vec![0; len]).unwrap();
        Store::open(dir.path()).unwrap();
    }
    half[500_000] = 1;
    std::fs::write(&path, &half).unwrap();
    let error = Store::open(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), half);
}

#[test]
fn a_read_error_of_the_disk_is_not_reported_as_damage() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Store::open_with(dir.path(), sparse_disk, UPGRADES);
    let mut store = open().unwrap();
    // More than the cache holds.
    store.commit((0..200).map(|n| record(n, 100_000)), &[]).unwrap();
    drop(store);
    let store = open().unwrap();
    IS_BROKEN.with(|broken| broken.set(true));
    let unread = store.read(|_, _| ()).unwrap_err();
    drop(store);
    for error in [unread, open().unwrap_err()] {
        assert!(matches!(error, StoreError::Unreadable { .. }) && !error.is_transient(), "{error}");
        assert!(error.to_string().contains("check the disk"), "{error}");
    }
    IS_BROKEN.with(|broken| broken.set(false));
    assert_eq!(keys(&open().unwrap()).len(), 200);
}
