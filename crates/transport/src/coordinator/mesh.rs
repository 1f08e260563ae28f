//! mailmesh's own settings, under `mesh`.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mailmesh_delivery::NodeName;
use mailmesh_secrets::{display_path, io_error_text, redact};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::display_text::bounded;
use super::error::{ConfigError, ConfigErrorKind, Place};
use super::schema::{check_keys, wrong_type};
use super::source::Source;
use super::spans::Spans;
use crate::{KeySpace, LinkProof};

/// Longest accepted file with a key, in bytes.
const MAX_KEY_FILE: u64 = 4096;
/// Most entries of `mesh.names`.
const MAX_NAMES: usize = 32;

/// mailmesh's own settings beside Zenoh's, all optional.
#[derive(Clone)]
#[non_exhaustive]
pub struct MeshSettings {
    /// The node's name; `None` for the name of the host.
    pub name: Option<NodeName>,
    /// The cluster's name; `None` for `mail`.
    pub cluster: Option<String>,
    /// The source of the cluster key; without a key the mesh is open.
    pub key: Option<Secret>,
    /// A peer that sends no heartbeat for this long has failed; a configuration may set 2 s to 1 h.
    pub failure_timeout: Option<Duration>,
    /// The directory of the mirror's store; `None` keeps the mirror in memory only.
    pub store: Option<PathBuf>,
    /// Most events an inbox holds; beyond that its reader is notified of a gap.
    pub inbox_events: Option<usize>,
    /// Most bytes of events an inbox holds; beyond that its reader is notified of a gap.
    pub inbox_bytes: Option<usize>,
    /// How each link proves the cluster key before a message on it is read; `None` for no proof.
    pub links: Option<LinkProof>,
    /// Position of `mesh.links`; `None` if the configuration does not set it.
    pub(super) links_at: Option<Place>,
    /// More names and addresses by which other nodes dial this one, besides those of the host and
    /// of the endpoints.
    pub names: Vec<String>,
    /// Whether the mesh is meant to be open: a missing cluster key then causes no warning.
    pub open: bool,
}

/// Redacts every text that may be a key in the wrong place.
impl fmt::Debug for MeshSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeshSettings")
            .field("name", &self.name.as_ref().map(|name| redact(name.as_str())))
            .field("cluster", &self.cluster.as_deref().map(redact))
            .field("key", &self.key)
            .field("failure_timeout", &self.failure_timeout)
            .field("store", &self.store.as_deref().map(path_text))
            .field("inbox_events", &self.inbox_events)
            .field("inbox_bytes", &self.inbox_bytes)
            .field("links", &self.links)
            .field("names", &self.names.iter().map(|name| redact(name)).collect::<Vec<_>>())
            .field("open", &self.open)
            .finish()
    }
}

impl Default for MeshSettings {
    fn default() -> Self {
        Self {
            name: None,
            cluster: None,
            key: None,
            failure_timeout: None,
            store: None,
            inbox_events: None,
            inbox_bytes: None,
            links: Some(LinkProof::default()),
            links_at: None,
            names: Vec::new(),
            open: false,
        }
    }
}

/// The source of a secret, in the forms of the mail server.
#[derive(Clone)]
#[non_exhaustive]
pub enum Secret {
    /// The secret itself.
    Value(Zeroizing<String>),
    /// The name of the environment variable that holds the secret.
    EnvironmentVariable(String),
    /// The path of the file that holds the secret.
    File(PathBuf),
}

impl Secret {
    /// Reads the text of the secret; may block on a file.
    ///
    /// # Errors
    /// [`ConfigErrorKind::Secret`] if the secret cannot be read, or if its file is longer than
    /// 4,096 bytes, gives any access to all users, or may be written by its group.
    pub fn resolve(&self) -> Result<Zeroizing<String>, ConfigError> {
        let fail = |why: String| ConfigError::new(ConfigErrorKind::Secret { why });
        match self {
            Self::Value(text) => Ok(text.clone()),
            Self::EnvironmentVariable(name) => {
                // The error of the standard library for a text that is not UTF-8 quotes that text.
                let why = match std::env::var(name) {
                    Ok(text) => return Ok(Zeroizing::new(text)),
                    Err(std::env::VarError::NotPresent) => "it is not set",
                    Err(std::env::VarError::NotUnicode(_)) => "it is not UTF-8 text",
                };
                let name = redact(name);
                Err(fail(format!(
                    "environment variable `{name}`: {why}; set it for the server's process"
                )))
            }
            Self::File(path) => {
                let shown = display_path(path);
                let failed = |error| {
                    let error = io_error_text(&error);
                    fail(format!("{shown}: {error}; check `mesh.key.filePath`{}", taken_from(path)))
                };
                let metadata = std::fs::metadata(path).map_err(failed)?;
                if metadata.is_dir() {
                    return Err(fail(format!(
                        "{shown} is a directory; name the file of the key in it"
                    )));
                }
                if metadata.len() > MAX_KEY_FILE {
                    return Err(fail(format!(
                        "{shown} is longer than {MAX_KEY_FILE} bytes; is it the right file?"
                    )));
                }
                if let Some(what) = is_open(&metadata) {
                    return Err(fail(format!("{shown} {what}; run `chmod 600 {shown}`")));
                }
                // A device or a pipe has no length, so the read is bounded too. The buffer has room
                // for all bytes: one that grows leaves copies of the secret behind.
                let room = usize::try_from(MAX_KEY_FILE).unwrap_or_default() + 1;
                let mut text = Zeroizing::new(String::with_capacity(room));
                let file = std::fs::File::open(path).map_err(failed)?;
                file.take(MAX_KEY_FILE).read_to_string(&mut text).map_err(failed)?;
                Ok(text)
            }
        }
    }
}

/// The end of an error about a relative path: it starts at the working directory of the process,
/// not at the configuration. Empty for an absolute path.
pub(super) fn taken_from(path: &Path) -> String {
    match std::env::current_dir() {
        Ok(here) if path.is_relative() => format!(
            ", which is relative to {}, where the process was started; write it from `/` on",
            display_path(&here)
        ),
        _ => String::new(),
    }
}

/// A path for display, redacted where it looks like a key. Unlike [`display_path`], this does not
/// access the file system: a hung mount would block the log line.
fn path_text(path: &Path) -> String {
    bounded(&redact(&path.to_string_lossy()))
}

/// The excessive access to a file with keys, if any. The group may read the file: orchestrators
/// mount secrets like that.
#[cfg(unix)]
fn is_open(metadata: &std::fs::Metadata) -> Option<&'static str> {
    let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
    if mode & 0o007 != 0 {
        return Some("may be read by everybody");
    }
    (mode & 0o020 != 0).then_some("may be written by its group")
}

#[cfg(not(unix))]
fn is_open(_metadata: &std::fs::Metadata) -> Option<&'static str> {
    None
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Secret {
    /// Names the source, never the secret. Does not access the file, which might block.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(_) => f.write_str("the configuration itself"),
            Self::EnvironmentVariable(name) => {
                write!(f, "the environment variable `{}`", redact(name))
            }
            Self::File(path) => write!(f, "the file {}", path_text(path)),
        }
    }
}

impl MeshSettings {
    pub(super) const KEYS: [&'static str; 10] = [
        "cluster",
        "failureTimeoutMs",
        "inboxEvents",
        "inboxBytes",
        "key",
        "links",
        "name",
        "names",
        "open",
        "store",
    ];

    pub(super) fn check(
        source: &Source<'_>,
        spans: &Spans,
        value: Option<&Value>,
    ) -> Result<Self, ConfigError> {
        let Some(value) = value else {
            return Ok(Self::default());
        };
        let Value::Object(object) = value else {
            return Err(wrong_type(source, spans, &["mesh"], value, "an object"));
        };
        check_keys(source, spans, &["mesh"], object, &Self::KEYS)?;
        let reader = Reader { source, spans, object };
        Ok(Self {
            name: reader.text("name")?.map(|name| reader.parse_name(name)).transpose()?,
            cluster: reader.text("cluster")?.map(|name| reader.parse_cluster(name)).transpose()?,
            key: object.get("key").map(|value| reader.secret(value)).transpose()?,
            failure_timeout: reader
                .number("failureTimeoutMs", 2_000, 3_600_000)?
                .map(Duration::from_millis),
            store: reader.text("store")?.map(|dir| reader.parse_dir(dir)).transpose()?,
            inbox_events: reader
                .number("inboxEvents", 16, 1 << 24)?
                .and_then(|events| usize::try_from(events).ok()),
            inbox_bytes: reader
                .number("inboxBytes", 1 << 20, 1 << 40)?
                .and_then(|bytes| usize::try_from(bytes).ok()),
            links: reader.links()?,
            links_at: object.get("links").map(|_| source.place(spans.value(&["mesh", "links"]))),
            names: reader.host_names()?,
            open: reader.flag("open")?.unwrap_or(false),
        })
    }
}

/// Whether `name` is an IP address, or a host name of ASCII labels.
fn is_host(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    let is_name = || name.len() <= 253 && name.trim_end_matches('.').split('.').all(is_label);
    name.parse::<std::net::IpAddr>().is_ok() || is_name()
}

struct Reader<'a> {
    source: &'a Source<'a>,
    spans: &'a Spans,
    object: &'a Map<String, Value>,
}

impl Reader<'_> {
    fn text(&self, key: &str) -> Result<Option<&str>, ConfigError> {
        match self.object.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => {
                Err(wrong_type(self.source, self.spans, &["mesh", key], other, "a string"))
            }
        }
    }

    fn links(&self) -> Result<Option<LinkProof>, ConfigError> {
        match self.text("links")? {
            None | Some("sealed") => Ok(Some(LinkProof::Sealed)),
            Some("gate") => Ok(Some(LinkProof::Gate)),
            Some("challenge") => Ok(Some(LinkProof::Challenge)),
            Some("tls") => Ok(Some(LinkProof::Tls)),
            Some("unproven") => Ok(None),
            Some(_) => Err(self.bad(
                "links",
                "it is one of \"sealed\", \"gate\", \"challenge\", \"tls\", \"unproven\"",
            )),
        }
    }

    fn flag(&self, key: &str) -> Result<Option<bool>, ConfigError> {
        match self.object.get(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => {
                let expected = "`true` or `false`";
                Err(wrong_type(self.source, self.spans, &["mesh", key], other, expected))
            }
        }
    }

    /// A list of strings, written as an array or as an object of `"value": true`.
    fn texts(&self, key: &str, max: usize) -> Result<Vec<String>, ConfigError> {
        let wrong = |found| {
            let expected = "a list of strings";
            wrong_type(self.source, self.spans, &["mesh", key], found, expected)
        };
        let texts: Vec<String> = match self.object.get(key) {
            None => Vec::new(),
            Some(Value::Array(items)) => {
                let texts = items.iter().map(|item| item.as_str().ok_or_else(|| wrong(item)));
                texts.map(|text| text.map(str::to_owned)).collect::<Result<_, _>>()?
            }
            Some(Value::Object(map)) => map
                .iter()
                .filter(|(_, v)| **v == Value::Bool(true))
                .map(|(k, _)| k.clone())
                .collect(),
            Some(other) => return Err(wrong(other)),
        };
        if texts.len() > max {
            return Err(self.bad(key, &format!("it has {} entries, at most {max}", texts.len())));
        }
        Ok(texts)
    }

    /// Reads `mesh.names`: host names and addresses in the form that certificates hold.
    fn host_names(&self) -> Result<Vec<String>, ConfigError> {
        let names = self.texts("names", MAX_NAMES)?;
        match names.iter().find(|name| !is_host(name)) {
            None => Ok(names),
            Some(name) => Err(self.bad(
                "names",
                &format!(
                    "{name:?} is not a host name or address; write it without protocol, port and \
                     wildcard, like \"mx1.example.org\" or \"192.0.2.1\""
                ),
            )),
        }
    }

    fn number(&self, key: &str, min: u64, max: u64) -> Result<Option<u64>, ConfigError> {
        let Some(value) = self.object.get(key) else {
            return Ok(None);
        };
        let whole = value.as_u64().or_else(|| {
            value.as_f64().filter(|f| f.fract() == 0.0 && (0.0..1e15).contains(f)).map(|f| f as u64)
        });
        match whole {
            Some(number) if (min..=max).contains(&number) => Ok(Some(number)),
            _ => {
                let expected = format!("a whole number from {min} to {max}");
                Err(wrong_type(self.source, self.spans, &["mesh", key], value, &expected))
            }
        }
    }

    fn parse_name(&self, name: &str) -> Result<NodeName, ConfigError> {
        name.parse().map_err(|error| self.bad("name", &format!("{error}")))
    }

    fn parse_cluster(&self, name: &str) -> Result<String, ConfigError> {
        KeySpace::new(name).map_err(|error| self.bad("cluster", &format!("{error}")))?;
        Ok(name.to_owned())
    }

    fn parse_dir(&self, dir: &str) -> Result<PathBuf, ConfigError> {
        if dir.is_empty() || dir.contains('\0') {
            return Err(self.bad("store", "it is not the name of a directory"));
        }
        Ok(dir.into())
    }

    fn secret(&self, value: &Value) -> Result<Secret, ConfigError> {
        let path = ["mesh", "key"];
        let expected = r#"a string, or an object like {"@type": "File", "filePath": "..."}"#;
        let object = match value {
            Value::String(text) => return Ok(Secret::Value(Zeroizing::new(text.clone()))),
            Value::Object(object) => object,
            other => {
                return Err(wrong_type(self.source, self.spans, &path, other, expected));
            }
        };
        let (field, make): (&str, fn(&str) -> Secret) =
            match object.get("@type").and_then(Value::as_str) {
                Some("Value") => ("secret", |text| Secret::Value(Zeroizing::new(text.into()))),
                Some("EnvironmentVariable") => {
                    ("variableName", |name| Secret::EnvironmentVariable(name.into()))
                }
                Some("File") => ("filePath", |path| Secret::File(path.into())),
                _ => {
                    let why = "its `@type` is one of \"File\", \"EnvironmentVariable\", \"Value\"";
                    return Err(self.bad("key", why));
                }
            };
        check_keys(self.source, self.spans, &path, object, &["@type", field])?;
        match object.get(field).and_then(Value::as_str) {
            Some(text) if !text.is_empty() => Ok(make(text)),
            _ => Err(self.bad("key", &format!("it needs `{field}`, a string"))),
        }
    }

    fn bad(&self, key: &str, why: &str) -> ConfigError {
        let kind = ConfigErrorKind::BadValue { key: format!("mesh.{key}"), why: why.into() };
        self.source.error_at(self.spans.value(&["mesh", key]), kind)
    }
}
