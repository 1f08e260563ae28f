#![doc = include_str!("../README.md")]

pub mod pem;
mod plain;
mod redact;

pub use redact::{
    buffer_for, display_path, holds_secret, io_error_text, is_secret_name, redact, redact_source,
};
