#![doc = include_str!("../README.md")]

mod access;
mod error;
mod format;
mod store;
mod untrusted;

pub use access::{TrustedDir, check_dir};
pub use error::StoreError;
pub use format::FORMAT;
pub use store::{MAX_KEY_LEN, MAX_VALUE_LEN, Record, Store, store_in_use};
pub use untrusted::Untrusted;
