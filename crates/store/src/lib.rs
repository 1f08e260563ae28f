//! A crash-safe store of records: keys and values of bytes, in one file of a directory.
//!
//! - A [`commit`](Store::commit) is atomic and durable: after a crash of the process or the machine
//!   the file has all of it or nothing ([redb](https://www.redb.org): copy-on-write B-trees with
//!   checksums, one `fsync` per commit).
//! - A file of a newer format is refused. A file of an older format is upgraded in one transaction.
//! - Directory and file belong to this user, and other users have no access ([`check_dir`]).
//! - A failed commit, as on a full disk, leaves earlier commits intact. The next commit reopens the
//!   file.
//!
//! **The caller** defines the meaning of records, encrypts them, and decides when to write. All
//! functions block; call them from a thread that may wait.
//!
//! ```
//! use mailmesh_store::{Record, Store};
//!
//! let dir = tempfile::tempdir()?;
//! let mut store = Store::open(dir.path())?;
//! store.commit([Record::set(b"key", b"value")], &[("clock", b"42")])?;
//! drop(store);
//!
//! let store = Store::open(dir.path())?;
//! let mut records = Vec::new();
//! store.read(|key, value| records.push((key.to_vec(), value.to_vec())))?;
//! assert_eq!(records, [(b"key".to_vec(), b"value".to_vec())]);
//! assert_eq!(store.note("clock")?.as_deref(), Some(&b"42"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod access;
mod error;
mod format;
mod record;
mod store;
mod untrusted;

pub use access::{TrustedDir, check_dir};
pub use error::StoreError;
pub use format::FORMAT;
pub use record::Record;
pub use store::{MAX_KEY_LEN, MAX_VALUE_LEN, Store, store_in_use};
pub use untrusted::Untrusted;
