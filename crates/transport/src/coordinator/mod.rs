//! The configuration: the Coordinator object of the mail server, unchanged.
//!
//! ```text
//! text --tokens--> tokens --spans--> places of every key and value
//!      --repair (bare words)--> JSON5 --json5--> value --check--> Coordinator
//! ```
//!
//! The reader of tokens and spans is mailmesh's own. The parser of the `json5` crate recurses
//! without limit, repairs nothing, and reports where an error is but not the correction. The reader
//! does not decide values: `json5` does.

mod address_cache;
mod addresses;
mod ask_zenoh;
mod bind;
mod checked;
mod dialed;
mod display_text;
mod endpoint;
mod endpoint_check;
mod endpoint_lists;
mod error;
mod explain;
mod exposure;
mod link_chain;
mod link_limits;
mod link_names;
mod listening;
mod machine_checks;
mod mesh;
mod old_syntax;
mod other_format;
mod placeholders;
mod preflight;
mod protection;
mod prove;
mod reachability;
mod readdress;
mod resolve;
mod schema;
mod session_settings;
mod shapes;
mod silenced;
mod source;
mod spans;
mod tls;
mod tls_endpoints;
mod tls_settings;
mod tokens;
mod zenoh_check;
mod zenoh_config;
mod zenoh_settings;

use std::io::Read;
use std::path::Path;

use mailmesh_secrets::{display_path, io_error_text};
use serde_json::Value;

pub(crate) use address_cache::AddressCache;
pub(crate) use addresses::{HostAddresses, note_addresses_of_start};
pub(crate) use dialed::{DialedEndpoint, DialedLink, DialedTls, DialerIdentity, dialed_endpoints};
pub(crate) use display_text::escaped;
pub(crate) use link_names::names_for_links;
pub(crate) use listening::Listening;
pub(crate) use readdress::depends_on_addresses;
pub(crate) use tls::now;
pub(crate) use zenoh_config::{introducing_config, zenoh_config};

pub use error::{ConfigError, ConfigErrorKind, Place};
pub use mesh::{MeshSettings, Secret};
pub use protection::LinkProtection;
pub(crate) use zenoh_settings::MulticastGroup;
pub use zenoh_settings::ZenohSettings;

use source::Source;
use spans::Spans;
use zenoh_check::check_zenoh;

/// Longest accepted configuration, in bytes.
pub const MAX_CONFIG_LEN: usize = 1 << 20;

/// The system that coordinates the cluster.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Backend {
    /// Peer-to-peer over Zenoh.
    Zenoh(Box<ZenohSettings>),
    /// None: the server runs alone.
    Disabled,
}

/// A part of the configuration that was repaired, or that the operator should review.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The problem, with its remedy where there is one.
    pub message: String,
    /// The corrected line, if the text was repaired.
    pub corrected: Option<String>,
    /// The position; `None` if the warning has none in the text.
    pub place: Option<Place>,
}

impl Warning {
    /// A warning about the configuration as a whole.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), corrected: None, place: None }
    }

    fn at(self, place: Place) -> Self {
        Self { place: Some(place), ..self }
    }
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&escaped(&self.message))?;
        if let Some(place) = &self.place {
            write!(f, " ({place})")?;
        }
        match &self.corrected {
            Some(line) => write!(f, "; corrected line: {}", escaped(line.trim())),
            None => Ok(()),
        }
    }
}

/// A checked configuration.
///
/// ```
/// use mailmesh_transport::{Backend, Coordinator};
///
/// let coordinator = Coordinator::parse(r#"{
///     "@type": "Zenoh",
///     "config": "{ mode: peer, scouting: { multicast: { interface: 'lo' } } }"
/// }"#)?;
/// assert!(matches!(coordinator.backend(), Backend::Zenoh(_)));
/// // `peer` should be quoted; it was repaired, and says so.
/// assert!(coordinator.warnings()[0].to_string().contains(r#"mode: "peer""#));
///
/// let error = Coordinator::parse(r#"{ "@type": "Zenoh", "config": "{ mdoe: 'peer' }" }"#);
/// assert!(error.unwrap_err().to_string().contains("did you mean `mode`?"));
/// # Ok::<(), mailmesh_transport::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Coordinator {
    backend: Backend,
    mesh: MeshSettings,
    warnings: Vec<Warning>,
}

impl Coordinator {
    /// Zenoh with its own defaults: peer mode, multicast scouting.
    ///
    /// # Errors
    /// None in practice: the default configuration is valid.
    pub fn zenoh_default() -> Result<Self, ConfigError> {
        Self::parse(r#"{"@type": "Zenoh", "config": "{}"}"#)
    }

    /// A configuration without coordination: the server runs alone.
    #[must_use]
    pub fn disabled() -> Self {
        let (mesh, warnings) = (MeshSettings::default(), Vec::new());
        Self { backend: Backend::Disabled, mesh, warnings }
    }

    /// Reads a configuration from a file.
    ///
    /// # Errors
    /// [`ConfigErrorKind::Read`], and the errors of [`parse`](Self::parse), each naming the file.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let name = display_path(path);
        let read = |error: std::io::Error| {
            ConfigError::new(ConfigErrorKind::Read {
                path: name.clone(),
                why: io_error_text(&error),
            })
        };
        let len = std::fs::metadata(path).map_err(read)?.len();
        if len > MAX_CONFIG_LEN as u64 {
            return Err(ConfigError::new(ConfigErrorKind::TooLong { len }));
        }
        // The length of a device or a pipe is unknown, so the read is bounded too.
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(read)?;
        file.take(MAX_CONFIG_LEN as u64 + 1).read_to_end(&mut bytes).map_err(read)?;
        Self::from_bytes(&bytes, &name)
    }

    /// Reads a configuration from a text: the Coordinator object, or a Zenoh configuration alone
    /// (an object without `@type`).
    ///
    /// # Errors
    /// [`ConfigError`] with the fault, its position, and the expected form.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        Self::from_bytes(text.as_bytes(), "the configuration")
    }

    fn from_bytes(bytes: &[u8], name: &str) -> Result<Self, ConfigError> {
        let source = Source::new(name, bytes)?;
        let spans = Spans::of(&source)?;
        let mut warnings = spans.warnings(&source);
        let value = spans.parse(&source)?;
        let Value::Object(object) = &value else {
            return Err(source.error_at(0..1, ConfigErrorKind::NotAnObject));
        };
        placeholders::check(&source, &spans, &value, &mut Vec::new())?;
        let Some(kind) = object.get("@type") else {
            let looks_outer = ["config", "mesh"].iter().find(|key| object.contains_key(**key));
            if let Some(key) = looks_outer {
                let span = spans.key(&[key]);
                return Err(source.error_at(span, ConfigErrorKind::NoType));
            }
            let settings = check_zenoh(&source, &spans, &[], value)?;
            warnings.extend(reachability::warnings(&settings));
            let (backend, mesh) = (Backend::Zenoh(Box::new(settings)), MeshSettings::default());
            return Ok(Self { backend, mesh, warnings });
        };
        let backend = match kind.as_str() {
            Some("Disabled") => {
                schema::check_keys(&source, &spans, &[], object, &["@type", "mesh"])?;
                Backend::Disabled
            }
            Some("Zenoh") => {
                let keys = ["@type", "config", "mesh"];
                schema::check_places(&source, &spans, object, &MeshSettings::KEYS)?;
                schema::check_keys(&source, &spans, &[], object, &keys)?;
                let settings = embedded(&source, &spans, object.get("config"), &mut warnings)?;
                warnings.extend(reachability::warnings(&settings));
                Backend::Zenoh(Box::new(settings))
            }
            Some(other) => {
                let kind = schema::unknown_type(other);
                return Err(source.error_at(spans.value(&["@type"]), kind));
            }
            None => {
                let expected = "a string: \"Zenoh\" or \"Disabled\"";
                return Err(schema::wrong_type(&source, &spans, &["@type"], kind, expected));
            }
        };
        let mesh = MeshSettings::check(&source, &spans, object.get("mesh"))?;
        let mut backend = backend;
        if let Backend::Zenoh(settings) = &mut backend {
            settings.link_as(&mesh.names, mesh.links);
        }
        Ok(Self { backend, mesh, warnings })
    }

    /// The system that coordinates the cluster.
    #[must_use]
    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    /// mailmesh's own settings, under `mesh`.
    #[must_use]
    pub fn mesh(&self) -> &MeshSettings {
        &self.mesh
    }

    /// The repairs made, and the settings that the operator should review.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Checks the certificates and keys that the configuration itself holds (settings that end in
    /// `_base64` or `_raw`): each must be readable, and each key must match its certificate. The
    /// check does not access the machine. Returns warnings about parts that were repaired, left out
    /// or have expired.
    ///
    /// # Errors
    /// [`ConfigErrorKind::BadValue`] for the first fault; the error does not quote the secret.
    pub fn check_embedded(&self) -> Result<Vec<Warning>, ConfigError> {
        match &self.backend {
            Backend::Zenoh(settings) => settings.check_embedded(),
            Backend::Disabled => Ok(Vec::new()),
        }
    }

    /// Checks the machine: listening ports are free, files are readable, the interface exists, and
    /// the key can be read. Certificates and keys, of files or of the configuration, must be
    /// readable and match. All ports are closed again. Returns warnings, as
    /// [`check_embedded`](Self::check_embedded).
    ///
    /// # Errors
    /// The first fault found.
    pub fn preflight(&self) -> Result<Vec<Warning>, ConfigError> {
        if let Some(secret) = &self.mesh.key {
            secret.resolve()?;
        }
        match &self.backend {
            Backend::Zenoh(settings) => settings.preflight(),
            Backend::Disabled => Ok(Vec::new()),
        }
    }

    /// Checks the links of a node; `has_key` states whether it has a cluster key. Warns if the node
    /// cannot link to another, or if links do not prove the key as `mesh.links` demands.
    /// [`check_embedded`](Self::check_embedded) and [`preflight`](Self::preflight) do not check
    /// this, because a key may come from outside the configuration.
    ///
    /// # Errors
    /// [`ConfigErrorKind::BadValue`] for a setting with which no session of Zenoh opens.
    pub fn check_links(&self, has_key: bool) -> Result<Vec<Warning>, ConfigError> {
        match &self.backend {
            Backend::Zenoh(settings) => reachability::check_links(settings, &self.mesh, has_key),
            Backend::Disabled => Ok(Vec::new()),
        }
    }

    /// Checks settings whose faults a node would notice only after its start. The names of
    /// `connect.endpoints` are resolved, within 3 s. The port of discovery is bound. A session of
    /// Zenoh is opened that neither listens nor dials. `has_key` states whether the node has a
    /// cluster key from any source: discovery then uses another port.
    ///
    /// # Errors
    /// The discovery port is held by a program that does not share it, or Zenoh opens no session
    /// with these settings.
    pub fn check_machine(&self, has_key: bool) -> Result<Vec<Warning>, ConfigError> {
        match &self.backend {
            Backend::Zenoh(settings) => {
                machine_checks::check_opens(settings)?;
                let mut warnings = machine_checks::check_discovery(settings, has_key)?;
                warnings.extend(machine_checks::check_names(settings));
                Ok(warnings)
            }
            Backend::Disabled => Ok(Vec::new()),
        }
    }
}

/// Whether a text is the path of a file instead of a configuration.
fn is_path(text: &str) -> bool {
    let text = text.trim();
    let is_line = !text.contains(['{', '\n', ':']) || text.starts_with("file:");
    let is_rooted = text.starts_with(['/', '~', '.']) && !text.starts_with("//");
    is_line && (is_rooted || text.ends_with(".json5") || text.ends_with(".json"))
}

/// Reads the Zenoh configuration inside the object: a text, as the mail server stores it, or, for
/// convenience, an object.
fn embedded(
    source: &Source<'_>,
    spans: &Spans,
    config: Option<&Value>,
    warnings: &mut Vec<Warning>,
) -> Result<ZenohSettings, ConfigError> {
    match config {
        None => {
            let span = spans.value(&["@type"]);
            Err(source.error_at(span, ConfigErrorKind::Missing { key: "config" }))
        }
        Some(Value::String(text)) if is_path(text) => {
            let message = "`config` is a path, and the text of a Zenoh configuration is expected: \
                           write the content of that file there, or give that file itself as the \
                           configuration";
            let kind = ConfigErrorKind::Syntax { message: message.to_owned() };
            Err(source.error_at(spans.value(&["config"]), kind))
        }
        Some(Value::String(text)) => {
            let name = format!("`config` in {}", source.name());
            let inner = Source::new(&name, text.as_bytes())?;
            let inner_spans = Spans::of(&inner)?;
            warnings.extend(inner_spans.warnings(&inner));
            let value = inner_spans.parse(&inner)?;
            placeholders::check(&inner, &inner_spans, &value, &mut Vec::new())?;
            check_zenoh(&inner, &inner_spans, &[], value)
        }
        Some(value @ Value::Object(_)) => check_zenoh(source, spans, &["config"], value.clone()),
        Some(other) => {
            let expected = "a string that holds a Zenoh configuration";
            Err(schema::wrong_type(source, spans, &["config"], other, expected))
        }
    }
}
