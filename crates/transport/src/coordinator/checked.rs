//! A configuration text while it is checked, and the errors at places in it.

use std::ops::Range;

use serde_json::Value;

use super::error::{ConfigError, ConfigErrorKind};
use super::schema::{dotted, wrong_type};
use super::source::Source;
use super::spans::Spans;

/// The text being checked, and the path in it at which the Zenoh configuration begins.
pub(super) struct Checked<'a> {
    pub(super) source: &'a Source<'a>,
    pub(super) spans: &'a Spans,
    prefix: &'a [&'a str],
}

impl<'a> Checked<'a> {
    pub(super) fn new(source: &'a Source<'a>, spans: &'a Spans, prefix: &'a [&'a str]) -> Self {
        Self { source, spans, prefix }
    }

    fn full(&self, path: &[String]) -> Vec<String> {
        self.prefix.iter().map(|part| (*part).to_owned()).chain(path.iter().cloned()).collect()
    }

    /// The bytes of the text that hold the value at `path`.
    pub(super) fn span(&self, path: &[String]) -> Range<usize> {
        self.spans.value(&self.full(path))
    }

    /// The bytes of the text that hold the key at `path`.
    pub(super) fn key_span(&self, path: &[String]) -> Range<usize> {
        self.spans.key(&self.full(path))
    }

    pub(super) fn bad(&self, path: &[String], why: impl Into<String>) -> ConfigError {
        let kind = ConfigErrorKind::BadValue { key: dotted(path), why: why.into() };
        self.source.error_at(self.span(path), kind)
    }

    pub(super) fn wrong(&self, path: &[String], found: &Value, expected: &str) -> ConfigError {
        wrong_type(self.source, self.spans, &self.full(path), found, expected)
    }
}
