//! Ownership and permissions of a store.

#![cfg(unix)]
#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use mailmesh_store::{Store, StoreError, Untrusted};

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn refused(dir: &Path) -> Untrusted {
    match Store::open(dir).unwrap_err() {
        StoreError::Untrusted { why, .. } => why,
        other => panic!("{other}"),
    }
}

#[test]
fn a_world_writable_directory_is_refused_sticky_or_not() {
    let dir = tempfile::tempdir().unwrap();
    for open in [0o777, 0o1777, 0o702] {
        set_mode(dir.path(), open);
        let why = refused(dir.path());
        assert!(matches!(why, Untrusted::WorldWritable), "{open:o}: {why}");
    }
    // A directory inside it, as in /tmp, belongs to its owner all the same.
    set_mode(dir.path(), 0o1777);
    Store::open(dir.path().join("own")).unwrap();
}

#[test]
fn a_group_writable_directory_is_accepted_and_reported() {
    let dir = tempfile::tempdir().unwrap();
    for (mode, is_group_writable) in
        [(0o2775, true), (0o770, true), (0o2755, false), (0o755, false)]
    {
        set_mode(dir.path(), mode);
        assert_eq!(
            Store::open(dir.path()).unwrap().is_group_writable(),
            is_group_writable,
            "{mode:o}"
        );
    }
    // Kubernetes (fsGroup) makes all files of the volume group-writable at each mount.
    let file = dir.path().join("mirror.redb");
    set_mode(&file, 0o660);
    Store::open(dir.path()).unwrap();
    assert_eq!(mode(&file), 0o600);
}

#[test]
fn symbolic_links_are_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (real, link) = (dir.path().join("real"), dir.path().join("link"));
    drop(Store::open(&real).unwrap());
    symlink(&real, &link).unwrap();
    for link in [link.clone(), dir.path().join("link/"), dir.path().join("link/.")] {
        let why = refused(&link);
        assert!(matches!(why, Untrusted::SymbolicLink), "{link:?}: {why}");
    }
    let other = dir.path().join("other");
    std::fs::create_dir(&other).unwrap();
    for to in [real.join("mirror.redb"), dir.path().join("nowhere")] {
        symlink(&to, other.join("mirror.redb")).unwrap();
        assert!(matches!(refused(&other), Untrusted::SymbolicLink));
        std::fs::remove_file(other.join("mirror.redb")).unwrap();
    }
    assert!(!dir.path().join("nowhere").exists());
}

#[test]
fn a_readable_file_is_made_private_and_a_writable_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    store.commit([mailmesh_store::Record::set([1], [2])], &[]).unwrap();
    let file = store.path().to_owned();
    drop(store);
    for open in [0o644, 0o640, 0o600, 0o664] {
        set_mode(&file, open);
        assert_eq!(Store::open(dir.path()).unwrap().read(|_, _| ()).unwrap(), 1);
        assert_eq!(mode(&file), 0o600);
    }
    for open in [0o666, 0o602] {
        set_mode(&file, open);
        assert!(matches!(refused(dir.path()), Untrusted::WorldWritable));
        assert_eq!(mode(&file), open, "its mode is unchanged");
    }
}

#[test]
fn other_kinds_of_files_are_refused_without_blocking() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mirror.redb");
    std::fs::create_dir(&file).unwrap();
    assert!(matches!(refused(dir.path()), Untrusted::NotAFile));
    std::fs::remove_dir(&file).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(&file).unwrap();
    assert!(matches!(refused(dir.path()), Untrusted::NotAFile));
    let plain = dir.path().join("plain");
    std::fs::write(&plain, b"").unwrap();
    assert!(matches!(refused(&plain), Untrusted::NotADirectory));
}

#[test]
fn files_of_another_user_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = Store::open(dir.path()).unwrap().path().to_owned();
    // Only root can give a file to another user.
    if std::os::unix::fs::chown(&file, Some(12_345), None).is_err() {
        return;
    }
    assert!(matches!(refused(dir.path()), Untrusted::OtherOwner { owner: 12_345, .. }));
    std::fs::remove_file(&file).unwrap();
    std::os::unix::fs::chown(dir.path(), Some(12_345), None).unwrap();
    assert!(matches!(refused(dir.path()), Untrusted::OtherOwner { owner: 12_345, .. }));
}

#[test]
fn control_characters_of_a_path_are_escaped_in_errors() {
    let dir = tempfile::tempdir().unwrap();
    let evil = dir.path().join("a\u{1b}[2J\n\u{202e}b");
    std::fs::write(&evil, b"").unwrap();
    let error = Store::open(&evil).unwrap_err().to_string();
    assert!(!error.contains(['\u{1b}', '\n', '\u{202e}']), "{error:?}");
}
