#![doc = include_str!("../README.md")]

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
