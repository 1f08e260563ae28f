//! Why a path may be under the control of other users.

use std::io;

/// The reason why other users may control a directory or file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Untrusted {
    /// It is a symbolic link, which another user may have created.
    #[error("it is a symbolic link, which is not followed; give the path of its target")]
    SymbolicLink,
    /// It is not a directory.
    #[error("it is not a directory; give another path")]
    NotADirectory,
    /// It is not a regular file.
    #[error("it is not a regular file; remove it, or give another directory")]
    NotAFile,
    /// It belongs to another user.
    #[error(
        "it belongs to user {owner}, and this process runs as user {user}; run the process as that \
         user, or `chown` the path"
    )]
    OtherOwner {
        /// Its owner.
        owner: u32,
        /// The user of this process.
        user: u32,
    },
    /// Every user may write to it.
    #[error("every user may write to it; verify its content, then run `chmod o-w` on it")]
    WorldWritable,
    /// Its metadata cannot be read, or it cannot be opened.
    #[error("{0}")]
    Io(#[from] io::Error),
}
