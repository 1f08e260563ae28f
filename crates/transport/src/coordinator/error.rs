//! The error of a configuration, with its place in the text.

use std::fmt;

use super::display_text::{bounded, printable, redacted};

/// A position in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The name of the file, or a description of the text.
    pub source: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The line, or a piece of a long line around the column. Secrets are redacted.
    pub excerpt: String,
    /// Position of the marked text in the excerpt, in characters from 0.
    pub caret: usize,
    /// Length of the marked text, in characters; at least 1.
    pub width: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}, column {}", bounded(&self.source), self.line, self.column)
    }
}

/// The fault in a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigErrorKind {
    /// The file cannot be read.
    #[error("cannot read {path}: {why}")]
    Read {
        /// The path of the file.
        path: String,
        /// The error of the system.
        why: String,
    },
    /// The text is too long to be a configuration.
    #[error("it is {len} bytes long; a configuration has at most 1048576, is this the right file?")]
    TooLong {
        /// Length of the text in bytes.
        len: u64,
    },
    /// The text is not UTF-8, or contains a NUL byte.
    #[error(
        "{name} is not text: byte {at} is neither UTF-8 nor printable; is this the right file?"
    )]
    NotText {
        /// The name of the file, or a description of the text.
        name: String,
        /// Offset of the first bad byte, from 0.
        at: usize,
    },
    /// The text is UTF-16.
    #[error("{name} is UTF-16: save it as UTF-8")]
    Utf16 {
        /// The name of the file, or a description of the text.
        name: String,
    },
    /// The text contains nothing but white space and comments.
    #[error(
        "{name} is empty; expected an object like {{\"@type\": \"Zenoh\", \"config\": \"{{ mode: \
         'peer' }}\"}}"
    )]
    Empty {
        /// The name of the file, or a description of the text.
        name: String,
    },
    /// The text does not begin with an object.
    #[error("expected an object that begins with `{{`")]
    NotAnObject,
    /// The text has another format, such as YAML.
    #[error(
        "this looks like {format}, but a configuration is JSON5: expected an object that begins \
         with `{{`"
    )]
    OtherFormat {
        /// The name of that format.
        format: &'static str,
    },
    /// The text is the whole configuration (TOML) of an older mail server.
    #[error(
        "this looks like TOML, as older mail servers were configured; write the text of `config`, \
         which stands there in the store of type \"zenoh\", as {{\"@type\": \"Zenoh\", \"config\": \
         \"...\"}}, or as a file of its own"
    )]
    OlderServer,
    /// The text breaks the syntax of JSON5.
    #[error("{message}")]
    Syntax {
        /// The fault, and the expected syntax.
        message: String,
    },
    /// Objects and arrays are nested too deeply.
    #[error("nested more than {limit} deep; no configuration is")]
    TooDeep {
        /// The deepest nesting accepted.
        limit: usize,
    },
    /// A key occurs twice in one object.
    #[error("the key `{key}` stands twice in this object; remove one")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// The object has `config` or `mesh`, but no `@type`.
    #[error("`@type` is missing: add \"@type\": \"Zenoh\" (or \"Disabled\")")]
    NoType,
    /// The mail server has this coordinator, but mailmesh does not support it.
    #[error(
        "the server has a coordinator `{name}`, which is not built into mailmesh: it coordinates \
         over Zenoh, without a broker; use \"Zenoh\" or \"Disabled\""
    )]
    NotBuiltIn {
        /// The name of the coordinator.
        name: String,
    },
    /// No coordinator type has this name.
    #[error(
        "there is no coordinator type `{name}`; expected \"Zenoh\" or \"Disabled\"{}",
        did_you_mean(.nearest.as_deref())
    )]
    UnknownType {
        /// The given name.
        name: String,
        /// The most similar known name, if one is similar enough to be meant.
        nearest: Option<String>,
    },
    /// A required key is missing.
    #[error("the key `{key}` is missing from this object")]
    Missing {
        /// The missing key.
        key: &'static str,
    },
    /// A key is not known in its object.
    #[error("unknown key `{key}`{}; expected {expected}", did_you_mean(.nearest.as_deref()))]
    UnknownKey {
        /// The unknown key.
        key: String,
        /// The most similar known key, if one is similar enough to be meant.
        nearest: Option<String>,
        /// The keys known in this object.
        expected: String,
    },
    /// A value has the wrong type.
    #[error("`{key}` is {found}, expected {expected}")]
    WrongType {
        /// The path of the key.
        key: String,
        /// The given value, described without secrets.
        found: String,
        /// The expected type or form.
        expected: String,
    },
    /// A value has the right type, but cannot be used.
    #[error("`{key}`: {why}")]
    BadValue {
        /// The path of the key.
        key: String,
        /// The fault and its remedy.
        why: String,
    },
    /// Zenoh refused the configuration.
    #[error("Zenoh refuses this: {why}")]
    Zenoh {
        /// The error of Zenoh, without secrets.
        why: String,
    },
    /// The node cannot listen at an endpoint, for example because the port is taken.
    #[error("cannot listen on {}: {why}", .endpoint)]
    Listen {
        /// The endpoint.
        endpoint: String,
        /// The cause and its remedy.
        why: String,
    },
    /// The cluster key cannot be read.
    #[error("the cluster key cannot be read: {}", .why)]
    Secret {
        /// The fault and its remedy.
        why: String,
    },
}

fn is_identifier(key: &str) -> bool {
    key.len() <= 60 && key.chars().all(|c| c.is_ascii_alphanumeric() || "_-@".contains(c))
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|nearest| format!(", did you mean `{nearest}`?")).unwrap_or_default()
}

/// An error in a configuration, with its position where it has one.
///
/// `Display` writes one line; [`report`](Self::report) adds the line of the text and a caret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    kind: Box<ConfigErrorKind>,
    place: Option<Box<Place>>,
}

impl ConfigErrorKind {
    /// Redacts secrets: pieces of the configuration and errors of libraries may contain some.
    fn redacted(self) -> Self {
        match self {
            Self::Syntax { message } => Self::Syntax { message: redacted(&message) },
            Self::DuplicateKey { key } => Self::DuplicateKey { key: redacted(&key) },
            Self::UnknownType { name, nearest } => {
                Self::UnknownType { name: redacted(&name), nearest }
            }
            Self::UnknownKey { key, nearest, expected } => {
                // A misspelt known key is no secret, even if it looks like one.
                let is_slip = nearest.is_some() && is_identifier(&key);
                let key = if is_slip { key } else { redacted(&key) };
                Self::UnknownKey { key, nearest, expected: printable(&expected) }
            }
            Self::WrongType { key, found, expected } => Self::WrongType {
                key: redacted(&key),
                found: redacted(&found),
                expected: printable(&expected),
            },
            Self::BadValue { key, why } => {
                Self::BadValue { key: redacted(&key), why: redacted(&why) }
            }
            Self::Zenoh { why } => Self::Zenoh { why: redacted(&why) },
            Self::Listen { endpoint, why } => {
                Self::Listen { endpoint: redacted(&endpoint), why: bounded(&why) }
            }
            Self::Secret { why } => Self::Secret { why: bounded(&why) },
            Self::Read { path, why } => Self::Read { path: bounded(&path), why: bounded(&why) },
            Self::NotText { name, at } => Self::NotText { name: bounded(&name), at },
            Self::Utf16 { name } => Self::Utf16 { name: bounded(&name) },
            Self::Empty { name } => Self::Empty { name: bounded(&name) },
            other => other,
        }
    }
}

impl ConfigError {
    /// An error whose fields may quote the configuration. Secrets are redacted here, so that
    /// `Display`, `Debug` and the fields cannot show one.
    pub(crate) fn new(kind: ConfigErrorKind) -> Self {
        Self { kind: Box::new(kind.redacted()), place: None }
    }

    /// An error about a value, in mailmesh's own words, which hold no secret: paths stay whole.
    pub(crate) fn bad_value(key: &str, why: &str) -> Self {
        let kind = ConfigErrorKind::BadValue { key: redacted(key), why: bounded(why) };
        Self { kind: Box::new(kind), place: None }
    }

    pub(crate) fn at(mut self, place: Place) -> Self {
        self.place = Some(Box::new(place));
        self
    }

    /// The fault.
    #[must_use]
    pub fn kind(&self) -> &ConfigErrorKind {
        &self.kind
    }

    /// The position of the fault; `None` if it has none in the text.
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        self.place.as_deref()
    }

    /// Several lines for the operator: the fault, its position, the line of the text and a caret.
    #[must_use]
    pub fn report(&self) -> String {
        let mut out = format!("{}\n", self.kind);
        if let Some(place) = &self.place {
            let number = place.line.to_string();
            let margin = " ".repeat(number.len());
            let indent = " ".repeat(place.caret);
            let carets = "^".repeat(place.width);
            out += &format!(
                "{margin}--> {place}\n{margin} |\n{number} | {}\n{margin} | {indent}{carets}\n",
                place.excerpt
            );
        }
        out
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{} ({place})", self.kind),
            None => self.kind.fmt(f),
        }
    }
}

impl std::error::Error for ConfigError {}
