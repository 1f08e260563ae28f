//! The control socket: JSON, a request a line, answers a line each. Local, and
//! for its owner only.

pub(crate) mod client;
pub(crate) mod protocol;
pub(crate) mod server;

use std::path::PathBuf;

use crate::exit::Failure;

/// Where sockets are unless a path is given.
pub(crate) fn runtime_dir() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(dir) if !dir.is_empty() => PathBuf::from(dir).join("mailmesh"),
        _ => {
            let user = std::env::var("USER").unwrap_or_else(|_| "user".into());
            std::env::temp_dir().join(format!("mailmesh-{user}"))
        }
    }
}

/// The socket of a node of this name.
pub(crate) fn default_path(name: &str) -> Result<PathBuf, Failure> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
    let dir = runtime_dir();
    let failed = |error: std::io::Error| {
        Failure::failed(format!("{}: {error}; give a path with --socket", dir.display()))
    };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(failed)?;
    // In a directory that others can write to, it may be somebody else's.
    let metadata = std::fs::symlink_metadata(&dir).map_err(failed)?;
    let parent = dir.parent().map(std::fs::metadata).transpose().map_err(failed)?;
    let shared = parent.is_some_and(|parent| parent.permissions().mode() & 0o002 != 0);
    if !metadata.is_dir() || (shared && metadata.permissions().mode() & 0o077 != 0) {
        let message =
            "is not a directory of this user's alone; remove it, or give a path with --socket";
        return Err(Failure::failed(format!(
            "{} (owner {}) {message}",
            dir.display(),
            metadata.uid()
        )));
    }
    Ok(dir.join(format!("{name}.sock")))
}

/// The socket to speak to: the one given, or the only one there is.
pub(crate) fn find(socket: Option<PathBuf>) -> Result<PathBuf, Failure> {
    if let Some(path) = socket {
        return Ok(path);
    }
    let dir = runtime_dir();
    let entries = std::fs::read_dir(&dir).into_iter().flatten().flatten();
    let mut sockets: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sock"))
        .collect();
    sockets.sort();
    match sockets.as_slice() {
        [] => Err(Failure::no_node(format!(
            "no node runs here (no socket in {}); start one with `mailmesh node`, or give --socket",
            dir.display()
        ))),
        [only] => Ok(only.clone()),
        several => {
            let names: Vec<_> = several.iter().map(|path| path.display().to_string()).collect();
            Err(Failure::no_node(format!(
                "several nodes run here; choose one with --socket:\n  {}",
                names.join("\n  ")
            )))
        }
    }
}
