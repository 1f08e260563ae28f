//! The store through its public interface.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use mailmesh_store::{MAX_KEY_LEN, MAX_VALUE_LEN, Record, Store, StoreError};

fn contents(store: &Store) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut contents = Vec::new();
    let count = store.read(|key, value| contents.push((key.to_vec(), value.to_vec()))).unwrap();
    assert_eq!(count, contents.len() as u64);
    contents
}

#[test]
fn records_are_set_replaced_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path().join("not/yet/there")).unwrap();
    let set = |key: &str, value: &str| Record::set(key, value);
    store.commit([set("b", "1"), set("a", "2"), set("c", "")], &[]).unwrap();
    store.commit([set("b", "3"), Record::remove("c"), Record::remove("d")], &[]).unwrap();
    let expected =
        [("a", "2"), ("b", "3")].map(|(k, v)| (k.as_bytes().to_vec(), v.as_bytes().to_vec()));
    assert_eq!(contents(&store), expected);
    assert_eq!(store.note("x").unwrap(), None);
}

#[test]
fn a_store_is_open_only_once_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let first = Store::open(dir.path()).unwrap();
    let error = Store::open(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    drop(first);
    Store::open(dir.path()).unwrap();
}

#[test]
fn a_record_that_is_too_long_fails_its_whole_commit() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    for long in
        [Record::set([0; MAX_KEY_LEN + 1], [1]), Record::set([0], vec![1; MAX_VALUE_LEN + 1])]
    {
        let error = store.commit([Record::set([7], [1]), long], &[]).unwrap_err();
        assert!(matches!(error, StoreError::TooLong { .. }), "{error}");
    }
    assert_eq!(contents(&store), []);
    store.commit([Record::set(vec![0; MAX_KEY_LEN], vec![1; MAX_VALUE_LEN])], &[]).unwrap();
    assert_eq!(contents(&store).len(), 1);
}

#[test]
fn corrupt_files_are_reported_and_cause_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mirror.redb");
    std::fs::write(&path, b"not a store at all, and long enough to be looked at".repeat(100))
        .unwrap();
    let error = Store::open(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    let file = dir.path().join("file");
    std::fs::write(&file, b"").unwrap();
    assert!(matches!(Store::open(&file).unwrap_err(), StoreError::Untrusted { .. }));

    // A store with altered bytes opens, or is reported as damaged or of a newer format.
    std::fs::remove_file(&path).unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    store.commit((0..2_000_u32).map(|n| Record::set(n.to_be_bytes(), [1; 50])), &[]).unwrap();
    drop(store);
    let whole = std::fs::read(&path).unwrap();
    for at in (0..whole.len()).step_by(whole.len() / 60) {
        let mut changed = whole.clone();
        changed[at] ^= 0xff;
        std::fs::write(&path, &changed).unwrap();
        match Store::open(dir.path()).and_then(|store| store.read(|_, _| ())) {
            Ok(_) | Err(StoreError::Damaged { .. } | StoreError::NewerFormat { .. }) => {}
            Err(other) => panic!("byte {at}: {other}"),
        }
    }
}

#[cfg(unix)]
#[test]
fn other_users_have_no_access() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("new")).unwrap();
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(store.path()), 0o600);
    assert_eq!(mode(store.path().parent().unwrap()), 0o700);
}
