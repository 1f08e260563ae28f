//! Records on disk: keys and values of bytes, in one file of a directory.
//!
//! - What [`commit`](Store::commit) took is there after a crash of the process or of the
//!   machine, all of it or nothing ([redb](https://www.redb.org): copy-on-write B-trees with
//!   checksums, one `fsync` a commit).
//! - A file of a newer format is refused, one of an older is brought up to date in one step.
//! - The directory and the file are this user's, and closed to others ([`check_dir`]).
//! - A commit that fails, as on a full disk, leaves what was there; the next one that works
//!   makes it good.
//!
//! **Left to others**: what the records mean, sealing them, and when to write. It blocks:
//! call it from a thread that may wait.
//!
//! ```
//! use mailmesh_store::Store;
//!
//! let dir = tempfile::tempdir()?;
//! let mut store = Store::open(dir.path())?;
//! store.commit([(b"key".to_vec(), Some(b"value".to_vec()))], &[("clock", b"42")])?;
//! drop(store);
//!
//! let store = Store::open(dir.path())?;
//! let mut records = Vec::new();
//! store.read(|key, value| records.push((key.to_vec(), value.to_vec())))?;
//! assert_eq!(records, [(b"key".to_vec(), b"value".to_vec())]);
//! assert_eq!(store.note("clock")?.as_deref(), Some(&b"42"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod file;
mod format;
mod store;

pub use error::StoreError;
pub use file::{TrustedDir, Untrusted, check_dir};
pub use format::FORMAT;
pub use store::{MAX_KEY, MAX_VALUE, Record, Store, store_in_use};
