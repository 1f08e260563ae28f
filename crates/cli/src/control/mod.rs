//! The control socket: JSON, a request a line, answers a line each. Local, and
//! for its owner only.

mod bulk;
mod certificates;
pub(crate) mod client;
mod clients;
mod keys;
pub(crate) mod server;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use mailmesh::UnixMillis;

use mailmesh::secrets::display_path;
use rustix::fs::{Access, access};

use crate::exit::Failure;

/// The time of the cluster, by which entries and certificates end: this host's clock may be off,
/// by the correction that the node's status reports.
pub(crate) fn cluster_now(correction_ms: i64) -> UnixMillis {
    UnixMillis(UnixMillis::from(SystemTime::now()).0.saturating_add_signed(correction_ms))
}

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

/// Longest path of a socket in bytes, of Linux; other systems have a little less.
#[cfg(target_os = "linux")]
const MAX_SOCKET_PATH: usize = 107;
#[cfg(not(target_os = "linux"))]
const MAX_SOCKET_PATH: usize = 103;

/// The socket of a node of this name, in a directory that is made if it is not there. What it is
/// in, as `XDG_RUNTIME_DIR` has it, is not made: a session of the user makes that.
pub(crate) fn default_path(name: &str) -> Result<PathBuf, Failure> {
    use std::os::unix::fs::DirBuilderExt;
    let dir = runtime_dir();
    let place = check_place(&dir)?;
    match std::fs::DirBuilder::new().mode(0o700).create(&dir) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(Failure::failed(format!("{}: {error}; {place}", display_path(&dir))));
        }
        _ => check_dir(&dir)?,
    }
    Ok(dir.join(format!("{name}.sock")))
}

/// Whether a node of this name could serve its socket, as far as that is seen without making
/// anything.
pub(crate) fn check_default(name: &str) -> Result<(), Failure> {
    let dir = runtime_dir();
    let place = check_place(&dir)?;
    if dir.exists() {
        check_dir(&dir)?;
    } else if let Some(parent) = dir.parent()
        && let Err(error) = access(parent, Access::WRITE_OK | Access::EXEC_OK)
    {
        return Err(Failure::failed(format!("{}: {error}; {place}", display_path(parent))));
    }
    check_path(&dir.join(format!("{name}.sock")), true)
}

/// Whether the directory that `dir` is made in is there; gives what to do where it is not.
fn check_place(dir: &Path) -> Result<&'static str, Failure> {
    let place = "set XDG_RUNTIME_DIR to a directory of this user, or give a path with --socket";
    match dir.parent() {
        Some(parent) if !parent.is_dir() => Err(Failure::failed(format!(
            "no directory for the control socket: {} is not there, or is no directory; {place}",
            display_path(parent)
        ))),
        _ => Ok(place),
    }
}

/// Refuses a path that the system takes for no socket. A server needs some bytes more than a
/// client, while it makes one.
pub(crate) fn check_path(path: &Path, is_made: bool) -> Result<(), Failure> {
    let made = if is_made { server::made_at(path).as_os_str().len() } else { 0 };
    let over = made.max(path.as_os_str().len()).saturating_sub(MAX_SOCKET_PATH);
    if over == 0 {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "the path of the control socket, {}, is too long by {over} bytes; give a shorter one with \
         --socket, or set XDG_RUNTIME_DIR to a directory with a shorter name",
        path.display()
    )))
}

/// Where others can write, the directory may be somebody else's, with sockets of
/// theirs in it: it must be this user's and closed to others.
fn check_dir(dir: &Path) -> Result<(), Failure> {
    let why = match mailmesh::check_dir(dir) {
        Ok(trusted) if trusted.is_owned && !trusted.is_group_writable => return Ok(()),
        Ok(trusted) if trusted.is_owned => "its group may write it".to_owned(),
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
