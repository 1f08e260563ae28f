//! Paths of control sockets: where they are, and whether they can be used.

use std::path::{Path, PathBuf};

use mailmesh::secrets::path_words;
use rustix::fs::{Access, access};

use crate::exit::Failure;

/// What the program does with the path of a socket.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SocketUse {
    /// A client connects to it.
    Connect,
    /// A node binds it, which takes a few bytes more while it does.
    Serve,
}

/// Where sockets are unless a path is given.
fn runtime_dir() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(dir) if !dir.is_empty() => PathBuf::from(dir).join("mailmesh"),
        _ => {
            let user = rustix::process::geteuid().as_raw();
            std::env::temp_dir().join(format!("mailmesh-{user}"))
        }
    }
}

/// Longest path of a socket in bytes, of Linux; other systems have a little less.
#[cfg(target_os = "linux")]
const MAX_SOCKET_PATH_LEN: usize = 107;
#[cfg(not(target_os = "linux"))]
const MAX_SOCKET_PATH_LEN: usize = 103;

/// The socket of a node of this name, in a directory that is made if it is not there. What it is
/// in, as `XDG_RUNTIME_DIR` has it, is not made: a session of the user makes that.
pub(crate) fn default_path(name: &str) -> Result<PathBuf, Failure> {
    use std::os::unix::fs::DirBuilderExt;
    let dir = runtime_dir();
    let advice = check_parent(&dir)?;
    match std::fs::DirBuilder::new().mode(0o700).create(&dir) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(Failure::failed(format!("{}: {error}; {advice}", path_words(&dir))));
        }
        _ => check_dir(&dir)?,
    }
    Ok(dir.join(format!("{name}.sock")))
}

/// Whether a node of this name could serve its socket, as far as that is seen without making
/// anything.
pub(crate) fn check_default_path(name: &str) -> Result<(), Failure> {
    let dir = runtime_dir();
    let advice = check_parent(&dir)?;
    if dir.exists() {
        check_dir(&dir)?;
    } else if let Some(parent) = dir.parent()
        && let Err(error) = access(parent, Access::WRITE_OK | Access::EXEC_OK)
    {
        return Err(Failure::failed(format!("{}: {error}; {advice}", path_words(parent))));
    }
    check_path(&dir.join(format!("{name}.sock")), SocketUse::Serve)
}

/// Whether the directory that `dir` is made in is there; gives what to do where it is not.
fn check_parent(dir: &Path) -> Result<&'static str, Failure> {
    let advice = "set XDG_RUNTIME_DIR to a directory of this user, or give a path with --socket";
    match dir.parent() {
        Some(parent) if !parent.is_dir() => Err(Failure::failed(format!(
            "no directory for the control socket: {} is not there, or is no directory; {advice}",
            path_words(parent)
        ))),
        _ => Ok(advice),
    }
}

/// Refuses a path that the system takes for no socket. A server needs some bytes more than a
/// client, while it makes one.
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
        "the path of the control socket, {}, is too long by {over} bytes; give a shorter one with \
         --socket, or set XDG_RUNTIME_DIR to a directory with a shorter name",
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
