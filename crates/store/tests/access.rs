//! Whose a store is, and who else may reach it.

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
fn a_directory_that_everybody_may_write_is_refused_sticky_or_not() {
    let dir = tempfile::tempdir().unwrap();
    for open in [0o777, 0o1777, 0o702] {
        set_mode(dir.path(), open);
        let why = refused(dir.path());
        assert!(matches!(why, Untrusted::Everybody), "{open:o}: {why}");
    }
    // One in such a directory, as in /tmp, is its owner's all the same.
    set_mode(dir.path(), 0o1777);
    Store::open(dir.path().join("own")).unwrap();
}

#[test]
fn a_directory_of_a_kubernetes_volume_is_taken_and_told_of() {
    let dir = tempfile::tempdir().unwrap();
    for (mode, is_told_of) in [(0o2775, true), (0o770, true), (0o2755, false), (0o755, false)] {
        set_mode(dir.path(), mode);
        assert_eq!(Store::open(dir.path()).unwrap().is_open_to_group(), is_told_of, "{mode:o}");
    }
    // At each mount all files of the volume are made the group's, too.
    let file = dir.path().join("mirror.redb");
    set_mode(&file, 0o660);
    Store::open(dir.path()).unwrap();
    assert_eq!(mode(&file), 0o600);
}

#[test]
fn links_are_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (real, link) = (dir.path().join("real"), dir.path().join("link"));
    drop(Store::open(&real).unwrap());
    symlink(&real, &link).unwrap();
    for link in [link.clone(), dir.path().join("link/"), dir.path().join("link/.")] {
        let why = refused(&link);
        assert!(matches!(why, Untrusted::Link), "{link:?}: {why}");
    }
    let other = dir.path().join("other");
    std::fs::create_dir(&other).unwrap();
    for to in [real.join("mirror.redb"), dir.path().join("nowhere")] {
        symlink(&to, other.join("mirror.redb")).unwrap();
        assert!(matches!(refused(&other), Untrusted::Link));
        std::fs::remove_file(other.join("mirror.redb")).unwrap();
    }
    assert!(!dir.path().join("nowhere").exists());
}

#[test]
fn a_file_that_others_may_read_is_closed_and_one_that_they_may_write_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    store.commit([(vec![1], Some(vec![2]))], &[]).unwrap();
    let file = store.path().to_owned();
    drop(store);
    for open in [0o644, 0o640, 0o600, 0o664] {
        set_mode(&file, open);
        assert_eq!(Store::open(dir.path()).unwrap().read(|_, _| ()).unwrap(), 1);
        assert_eq!(mode(&file), 0o600);
    }
    for open in [0o666, 0o602] {
        set_mode(&file, open);
        assert!(matches!(refused(dir.path()), Untrusted::Everybody));
        assert_eq!(mode(&file), open, "it is not touched");
    }
}

#[test]
fn what_is_no_file_or_no_directory_is_refused_without_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mirror.redb");
    std::fs::create_dir(&file).unwrap();
    assert!(matches!(refused(dir.path()), Untrusted::NoFile));
    std::fs::remove_dir(&file).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(&file).unwrap();
    assert!(matches!(refused(dir.path()), Untrusted::NoFile));
    let plain = dir.path().join("plain");
    std::fs::write(&plain, b"").unwrap();
    assert!(matches!(refused(&plain), Untrusted::NoDirectory));
}

#[test]
fn what_is_another_users_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = Store::open(dir.path()).unwrap().path().to_owned();
    // Only root can make a file somebody else's.
    if std::os::unix::fs::chown(&file, Some(12_345), None).is_err() {
        return;
    }
    assert!(matches!(refused(dir.path()), Untrusted::Foreign { owner: 12_345, .. }));
    std::fs::remove_file(&file).unwrap();
    std::os::unix::fs::chown(dir.path(), Some(12_345), None).unwrap();
    assert!(matches!(refused(dir.path()), Untrusted::Foreign { owner: 12_345, .. }));
}

#[test]
fn a_path_in_an_error_moves_no_cursor() {
    let dir = tempfile::tempdir().unwrap();
    let evil = dir.path().join("a\u{1b}[2J\n\u{202e}b");
    std::fs::write(&evil, b"").unwrap();
    let error = Store::open(&evil).unwrap_err().to_string();
    assert!(!error.contains(['\u{1b}', '\n', '\u{202e}']), "{error:?}");
}
