//! Paths of control sockets: default location, search, and checks.

use std::path::{Path, PathBuf};

use mailmesh::secrets::display_path;
use rustix::fs::{Access, access};

use crate::exit::Failure;

/// The purpose of a socket path.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SocketUse {
    /// A client connects to it.
    Connect,
    /// A node binds it, at a temporary path that is a few bytes longer.
    Serve,
}

/// The directory of control sockets, unless `--socket` gives a path.
fn runtime_dir() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(dir) if !dir.is_empty() => PathBuf::from(dir).join("mailmesh"),
        _ => {
            let user = rustix::process::geteuid().as_raw();
            std::env::temp_dir().join(format!("mailmesh-{user}"))
        }
    }
}

/// Maximum length of a socket path in bytes: `sun_path` less the final NUL. Other systems have a
/// shorter `sun_path` than Linux.
#[cfg(target_os = "linux")]
const MAX_SOCKET_PATH_LEN: usize = 107;
#[cfg(not(target_os = "linux"))]
const MAX_SOCKET_PATH_LEN: usize = 103;

/// The default socket of a node with this name. Creates its directory, but not the parent: the
/// user's session creates `XDG_RUNTIME_DIR`.
pub(crate) fn default_path(name: &str) -> Result<PathBuf, Failure> {
    use std::os::unix::fs::DirBuilderExt;
    let dir = runtime_dir();
    let advice = check_parent(&dir)?;
    match std::fs::DirBuilder::new().mode(0o700).create(&dir) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(Failure::failed(format!("{}: {error}; {advice}", display_path(&dir))));
        }
        _ => check_dir(&dir)?,
    }
    Ok(dir.join(format!("{name}.sock")))
}

/// Checks, without creating anything, that a node with this name could serve its default socket.
pub(crate) fn check_default_path(name: &str) -> Result<(), Failure> {
    let dir = runtime_dir();
    let advice = check_parent(&dir)?;
    if dir.exists() {
        check_dir(&dir)?;
    } else if let Some(parent) = dir.parent()
        && let Err(error) = access(parent, Access::WRITE_OK | Access::EXEC_OK)
    {
        return Err(Failure::failed(format!("{}: {error}; {advice}", display_path(parent))));
    }
    check_path(&dir.join(format!("{name}.sock")), SocketUse::Serve)
}

/// Checks that the parent of `dir` is a directory. Returns advice for messages about other errors.
fn check_parent(dir: &Path) -> Result<&'static str, Failure> {
    let advice = "set XDG_RUNTIME_DIR to a directory of this user, or choose a path with --socket";
    match dir.parent() {
        Some(parent) if !parent.is_dir() => Err(Failure::failed(format!(
            "no directory for the control socket: {} does not exist or is no directory; {advice}",
            display_path(parent)
        ))),
        _ => Ok(advice),
    }
}

/// Refuses a path that is too long for a socket. A server needs a few bytes more than a client, for
/// the temporary path.
pub(crate) fn check_path(path: &Path, socket_use: SocketUse) -> Result<(), Failure> {
    let len = match socket_use {
        SocketUse::Connect => path.as_os_str().len(),
        SocketUse::Serve => staging_path(path).as_os_str().len().max(path.as_os_str().len()),
    };
    let over = len.saturating_sub(MAX_SOCKET_PATH_LEN);
    if over == 0 {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "the path of the control socket, {}, is too long by {over} bytes; choose a shorter one \
         with --socket, or set XDG_RUNTIME_DIR to a directory with a shorter path",
        path.display()
    )))
}

/// The private directory next to `path` in which the server binds its socket before it moves the
/// socket to `path`.
pub(super) fn staging_dir(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}", std::process::id()))
}

/// The path at which the server binds its socket.
pub(super) fn staging_path(path: &Path) -> PathBuf {
    staging_dir(path).join("s")
}

/// Checks that only this user can write to the directory. Otherwise another user could have put
/// sockets into it.
fn check_dir(dir: &Path) -> Result<(), Failure> {
    let why = match mailmesh::check_dir(dir) {
        Ok(trusted) if trusted.is_owned && !trusted.is_group_writable => return Ok(()),
        Ok(trusted) if trusted.is_owned => "its group may write to it".to_owned(),
        Ok(_) => "it belongs to root".to_owned(),
        Err(why) => why.to_string(),
    };
    Err(Failure::failed(format!(
        "{} must belong to this user and be closed to others: {why}; or set XDG_RUNTIME_DIR, or \
         choose a path with --socket",
        dir.display(),
    )))
}

/// The socket to connect to: `socket`, or the only one in the default directory that answers.
///
/// # Errors
/// Exit code 4 if no node answers there, or several do.
pub(crate) fn find_socket(socket: Option<PathBuf>) -> Result<PathBuf, Failure> {
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
        // A killed node leaves a socket that refuses connections.
        .filter(|path| std::os::unix::net::UnixStream::connect(path).is_ok())
        .collect();
    sockets.sort();
    match sockets.as_slice() {
        [] => Err(Failure::no_node(format!(
            "no node of this user runs (no socket in {}); start one with `mailmesh node`, or set \
             --socket",
            dir.display()
        ))),
        [only] => Ok(only.clone()),
        several => {
            let names: Vec<_> = several.iter().map(|path| path.display().to_string()).collect();
            let all = format!("  {}", names.join("\n  "));
            Err(Failure::no_node("several nodes of this user run; choose one with --socket:")
                .with_details(all))
        }
    }
}
