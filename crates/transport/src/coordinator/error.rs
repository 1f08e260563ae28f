use std::fmt;

use super::mask::{own, printable, shown};

/// Where in a configuration something is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The file, or what the text is.
    pub source: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The line, or the piece of it around the column.
    pub excerpt: String,
    /// Where in the excerpt, in characters from 0.
    pub caret: usize,
    /// How many characters it concerns.
    pub width: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}, column {}", own(&self.source), self.line, self.column)
    }
}

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigErrorKind {
    /// The file cannot be read.
    #[error("cannot read {path}: {why}")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        why: String,
    },
    /// Too long to be a configuration.
    #[error("it is {len} bytes long; a configuration has at most 1048576, is this the right file?")]
    TooLong {
        /// Its length in bytes.
        len: u64,
    },
    /// Not UTF-8 text.
    #[error(
        "{name} is not text: byte {at} is neither UTF-8 nor printable; is this the right file?"
    )]
    NotText {
        /// What was read.
        name: String,
        /// The first bad byte, from 0.
        at: usize,
    },
    /// Nothing there.
    #[error(
        "{} is empty; expected an object like {{\"@type\": \"Zenoh\", \"config\": \"{{ mode: 'peer' }}\"}}", .name
    )]
    Empty {
        /// What was read.
        name: String,
    },
    /// Not an object.
    #[error("expected an object that begins with `{{`")]
    NotAnObject,
    /// Another format.
    #[error(
        "this looks like {format}, but a configuration is JSON5: expected an object that begins with `{{`"
    )]
    OtherFormat {
        /// Which one.
        format: &'static str,
    },
    /// The whole configuration of an older mail server.
    #[error(
        "this looks like TOML, as older mail servers were configured; write the text of `config`, which stands there in the store of type \"zenoh\", as {{\"@type\": \"Zenoh\", \"config\": \"...\"}}, or as a file of its own"
    )]
    OlderServer,
    /// The text breaks the syntax of JSON5.
    #[error("{message}")]
    Syntax {
        /// What is wrong, and what was expected.
        message: String,
    },
    /// Nested too deeply.
    #[error("nested more than {limit} deep; no configuration is")]
    TooDeep {
        /// The deepest nesting accepted.
        limit: usize,
    },
    /// A key that stands twice in one object.
    #[error("the key `{key}` stands twice in this object; remove one")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// The object has our keys but does not say what it is.
    #[error("`@type` is missing: add \"@type\": \"Zenoh\" (or \"Disabled\")")]
    NoType,
    /// A coordinator that is not built in.
    #[error(
        "the server has a coordinator `{name}`, which is not built into mailmesh: it coordinates over Zenoh, without a broker; use \"Zenoh\" or \"Disabled\""
    )]
    NotBuiltIn {
        /// The coordinator.
        name: String,
    },
    /// No coordinator of that name.
    #[error(
        "there is no coordinator type `{name}`; expected \"Zenoh\" or \"Disabled\"{}",
        did_you_mean(.nearest.as_deref())
    )]
    UnknownType {
        /// What was given.
        name: String,
        /// The nearest that there is.
        nearest: Option<String>,
    },
    /// A key that must be there.
    #[error("the key `{key}` is missing from this object")]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// A key nobody knows.
    #[error("unknown key `{key}`{}; expected {expected}", did_you_mean(.nearest.as_deref()))]
    UnknownKey {
        /// The key.
        key: String,
        /// The nearest known key.
        nearest: Option<String>,
        /// Those known there.
        expected: String,
    },
    /// A value of the wrong type.
    #[error("`{key}` is {found}, expected {expected}")]
    WrongType {
        /// The path of the key.
        key: String,
        /// What it is.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// A value of the right type that cannot be used.
    #[error("`{key}`: {why}")]
    BadValue {
        /// The path of the key.
        key: String,
        /// What is wrong, and what to do.
        why: String,
    },
    /// Zenoh refused it.
    #[error("Zenoh refuses this: {why}")]
    Zenoh {
        /// What Zenoh said.
        why: String,
    },
    /// A listening port is taken.
    #[error("cannot listen on {}: {why}", .endpoint)]
    Listen {
        /// The endpoint.
        endpoint: String,
        /// What the system said, and what to do.
        why: String,
    },
    /// The cluster key cannot be had.
    #[error("the cluster key cannot be read: {}", .why)]
    Secret {
        /// What is wrong, and what to do.
        why: String,
    },
}

fn is_identifier(key: &str) -> bool {
    key.len() <= 60 && key.chars().all(|c| c.is_ascii_alphanumeric() || "_-@".contains(c))
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|nearest| format!(", did you mean `{nearest}`?")).unwrap_or_default()
}

/// A configuration error: what is wrong, and where.
///
/// `Display` is one line; [`report`](Self::report) shows the line and a caret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    kind: Box<ConfigErrorKind>,
    place: Option<Box<Place>>,
}

impl ConfigErrorKind {
    /// Without secrets: pieces of the configuration and words of libraries may hold some.
    fn redacted(self) -> Self {
        match self {
            Self::Syntax { message } => Self::Syntax { message: shown(&message) },
            Self::DuplicateKey { key } => Self::DuplicateKey { key: shown(&key) },
            Self::UnknownType { name, nearest } => {
                Self::UnknownType { name: shown(&name), nearest }
            }
            Self::UnknownKey { key, nearest, expected } => {
                // A slip of a known key is no secret, however it reads.
                let is_slip = nearest.is_some() && is_identifier(&key);
                let key = if is_slip { key } else { shown(&key) };
                Self::UnknownKey { key, nearest, expected: printable(&expected) }
            }
            Self::WrongType { key, found, expected } => Self::WrongType {
                key: shown(&key),
                found: shown(&found),
                expected: printable(&expected),
            },
            Self::BadValue { key, why } => Self::BadValue { key: shown(&key), why: shown(&why) },
            Self::Zenoh { why } => Self::Zenoh { why: shown(&why) },
            Self::Listen { endpoint, why } => {
                Self::Listen { endpoint: shown(&endpoint), why: own(&why) }
            }
            Self::Secret { why } => Self::Secret { why: own(&why) },
            Self::Read { path, why } => Self::Read { path: own(&path), why: own(&why) },
            Self::NotText { name, at } => Self::NotText { name: own(&name), at },
            Self::Empty { name } => Self::Empty { name: own(&name) },
            other => other,
        }
    }
}

impl ConfigError {
    /// An error whose fields may quote the configuration; secrets are redacted here, so that
    /// neither `Display` nor `Debug` nor a field can show one.
    pub(crate) fn new(kind: ConfigErrorKind) -> Self {
        Self { kind: Box::new(kind.redacted()), place: None }
    }

    /// A value that cannot be used, in words of our own that hold no secret: paths stay whole.
    pub(crate) fn bad_value(key: &str, why: &str) -> Self {
        let kind = ConfigErrorKind::BadValue { key: shown(key), why: own(why) };
        Self { kind: Box::new(kind), place: None }
    }

    pub(crate) fn at(mut self, place: Place) -> Self {
        self.place = Some(Box::new(place));
        self
    }

    /// What is wrong.
    #[must_use]
    pub fn kind(&self) -> &ConfigErrorKind {
        &self.kind
    }

    /// Where.
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        self.place.as_deref()
    }

    /// Several lines for a person: message, place, the line, and a caret.
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
