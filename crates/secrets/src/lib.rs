#![doc = include_str!("../README.md")]

pub mod pem;
mod plain;
mod redact;

pub use redact::{
    buffer_for, holds_secret, io_words, is_secret_name, path_words, redact, redact_source,
};
