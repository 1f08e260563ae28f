//! The control socket: JSON, a request a line, answers a line each. Local, and
//! for its owner only.

mod bulk;
mod certificates;
pub(crate) mod client;
mod clients;
mod keys;
pub(crate) mod server;

use std::path::{Path, PathBuf};

use crate::exit::Failure;

/// Where sockets are unless a path is given.
pub(crate) fn runtime_dir() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(dir) if !dir.is_empty() => PathBuf::from(dir).join("mailmesh"),
        _ => {
            let user = rustix::process::geteuid().as_raw();
            std::env::temp_dir().join(format!("mailmesh-{user}"))
        }
    }
}

/// The socket of a node of this name.
pub(crate) fn default_path(name: &str) -> Result<PathBuf, Failure> {
    use std::os::unix::fs::DirBuilderExt;
    let dir = runtime_dir();
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir);
    made.map_err(|error| {
        Failure::failed(format!("{}: {error}; give a path with --socket", dir.display()))
    })?;
    check_dir(&dir)?;
    Ok(dir.join(format!("{name}.sock")))
}

/// Where others can write, the directory may be somebody else's, with sockets of
/// theirs in it: it must be this user's and closed to others.
fn check_dir(dir: &Path) -> Result<(), Failure> {
    let why = match mailmesh::check_dir(dir) {
        Ok(trusted) if trusted.is_own && !trusted.is_open_to_group => return Ok(()),
        Ok(trusted) if trusted.is_own => "its group may write it".to_owned(),
        Ok(_) => "it belongs to root".to_owned(),
        Err(why) => why.to_string(),
    };
    Err(Failure::failed(format!(
        "{} is not a directory of this user's alone: {why}. Or set XDG_RUNTIME_DIR, or give a path \
         with --socket",
        dir.display(),
    )))
}

/// The socket to speak to: the one given, or the only one there is.
pub(crate) fn find(socket: Option<PathBuf>) -> Result<PathBuf, Failure> {
    if let Some(path) = socket {
        return Ok(path);
    }
    let dir = runtime_dir();
    if dir.exists() {
        check_dir(&dir)?;
    }
    let entries = std::fs::read_dir(&dir).into_iter().flatten().flatten();
    let mut sockets: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sock"))
        // A node that was killed leaves its socket; nobody answers there.
        .filter(|path| std::os::unix::net::UnixStream::connect(path).is_ok())
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
            let all = format!("  {}", names.join("\n  "));
            Err(Failure::no_node("several nodes run here; choose one with --socket:")
                .with_details(all))
        }
    }
}
