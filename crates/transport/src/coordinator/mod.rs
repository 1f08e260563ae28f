//! The configuration: the Coordinator object of the mail server, unchanged.
//!
//! ```text
//! text --lex--> tokens --outline--> places of every key and value
//!      --repair (bare words)--> JSON5 --json5--> value --check--> Coordinator
//! ```
//!
//! The outline (our own, over tokens) exists because the parser of the `json5`
//! crate recurses without limit, knows no repair, and says where an error is but
//! not what would be right. It decides nothing about values: `json5` does.

mod address_cache;
mod addresses;
mod ask_zenoh;
mod checked;
mod endpoint;
mod endpoint_check;
mod error;
mod explain;
mod exposure;
mod former;
mod known;
mod lex;
mod link_chain;
mod link_limits;
mod listening;
mod machine;
mod mask;
mod mesh;
mod outline;
mod placeholders;
mod preflight;
mod proof;
mod reach;
mod resolve;
mod session_settings;
mod shapes;
mod source;
mod tls;
mod tls_literals;
mod tls_settings;
mod zenoh;

use std::io::Read;
use std::path::Path;

use mailmesh_secrets::{display_path, io_error_text};
use serde_json::Value;

pub(crate) use address_cache::AddressCache;
pub(crate) use addresses::{HostAddresses, note_addresses_of_start};
pub(crate) use listening::Listening;
pub(crate) use mask::escaped;

pub use error::{ConfigError, ConfigErrorKind, Place};
pub use mesh::{MeshSettings, Secret};
pub use proof::LinkProtection;
pub use zenoh::ZenohSettings;

use outline::Outline;
use source::Source;

/// Longest configuration in bytes.
pub const MAX_CONFIG_LEN: usize = 1 << 20;

/// What coordinates the cluster.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Backend {
    /// Peer-to-peer over Zenoh.
    Zenoh(Box<ZenohSettings>),
    /// Nothing: a server that runs alone.
    Disabled,
}

/// Something that was put right, or that deserves a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// What, in a sentence.
    pub message: String,
    /// The line as it should be, if it was repaired.
    pub corrected: Option<String>,
    /// Where.
    pub place: Option<Place>,
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

    /// No coordination.
    #[must_use]
    pub fn disabled() -> Self {
        let (mesh, warnings) = (MeshSettings::default(), Vec::new());
        Self { backend: Backend::Disabled, mesh, warnings }
    }

    /// Reads a configuration from a file.
    ///
    /// # Errors
    /// [`ConfigErrorKind::Read`], and those of [`parse`](Self::parse), each naming
    /// the file.
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
        // A device or a pipe has no length: no more is read than is accepted.
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(read)?;
        file.take(MAX_CONFIG_LEN as u64 + 1).read_to_end(&mut bytes).map_err(read)?;
        Self::from_bytes(&bytes, &name)
    }

    /// Reads a configuration from a text: the Coordinator object, or a Zenoh
    /// configuration alone (an object without `@type`).
    ///
    /// # Errors
    /// [`ConfigError`], which says what is wrong, where, and what was expected.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        Self::from_bytes(text.as_bytes(), "the configuration")
    }

    fn from_bytes(bytes: &[u8], name: &str) -> Result<Self, ConfigError> {
        let source = Source::new(name, bytes)?;
        let outline = Outline::of(&source)?;
        let mut warnings = outline.warnings(&source);
        let value = outline.parse(&source)?;
        let Value::Object(object) = &value else {
            return Err(source.error_at(0..1, ConfigErrorKind::NotAnObject));
        };
        placeholders::check(&source, &outline, &value, &mut Vec::new())?;
        let Some(kind) = object.get("@type") else {
            let looks_outer = ["config", "mesh"].iter().find(|key| object.contains_key(**key));
            if let Some(key) = looks_outer {
                let span = outline.key(&[key]);
                return Err(source.error_at(span, ConfigErrorKind::NoType));
            }
            let settings = ZenohSettings::check(&source, &outline, value)?;
            warnings.extend(settings.warnings());
            let (backend, mesh) = (Backend::Zenoh(Box::new(settings)), MeshSettings::default());
            return Ok(Self { backend, mesh, warnings });
        };
        let backend = match kind.as_str() {
            Some("Disabled") => {
                known::check_keys(&source, &outline, &[], object, &["@type", "mesh"])?;
                Backend::Disabled
            }
            Some("Zenoh") => {
                let keys = ["@type", "config", "mesh"];
                known::check_places(&source, &outline, object, &MeshSettings::KEYS)?;
                known::check_keys(&source, &outline, &[], object, &keys)?;
                let settings = embedded(&source, &outline, object.get("config"), &mut warnings)?;
                warnings.extend(settings.warnings());
                Backend::Zenoh(Box::new(settings))
            }
            Some(other) => {
                let kind = known::unknown_type(other);
                return Err(source.error_at(outline.value(&["@type"]), kind));
            }
            None => {
                let expected = "a string: \"Zenoh\" or \"Disabled\"";
                return Err(known::wrong_type(&source, &outline, &["@type"], kind, expected));
            }
        };
        let mesh = MeshSettings::check(&source, &outline, object.get("mesh"))?;
        let mut backend = backend;
        if let Backend::Zenoh(settings) = &mut backend {
            settings.link_as(&mesh.names, mesh.links);
        }
        Ok(Self { backend, mesh, warnings })
    }

    /// What coordinates.
    #[must_use]
    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    /// Our own settings.
    #[must_use]
    pub fn mesh(&self) -> &MeshSettings {
        &self.mesh
    }

    /// What was repaired or deserves a look.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Whether the certificates and keys that the configuration itself holds (settings that end
    /// in `_base64`) can be read, and each key is that of its certificate. Of the machine nothing
    /// is asked. Returns what deserves a look: what was mended, left out, or is over.
    ///
    /// # Errors
    /// [`ConfigErrorKind::BadValue`]: what is wrong with the first that is, without any of it.
    pub fn check_embedded(&self) -> Result<Vec<Warning>, ConfigError> {
        match &self.backend {
            Backend::Zenoh(settings) => settings.check_embedded(),
            Backend::Disabled => Ok(Vec::new()),
        }
    }

    /// Whether the machine has what the configuration asks for: listening ports free, files
    /// readable, the interface there, the key resolvable; and whether certificates and keys, of
    /// files or of the configuration, can be read and belong together. Nothing is left open.
    /// Returns what deserves a look, as [`check_embedded`](Self::check_embedded).
    ///
    /// # Errors
    /// The first thing missing.
    pub fn preflight(&self) -> Result<Vec<Warning>, ConfigError> {
        if let Some(secret) = &self.mesh.key {
            secret.resolve()?;
        }
        match &self.backend {
            Backend::Zenoh(settings) => settings.preflight(),
            Backend::Disabled => Ok(Vec::new()),
        }
    }

    /// What a node that starts finds by itself, or only in time: the names of `connect.endpoints`
    /// are looked up, for 3 s at most, the port of discovery is tried, and a session of Zenoh is
    /// opened that speaks to nobody. `has_key`: whether the node has a cluster key, by whatever
    /// way; discovery has another port then.
    ///
    /// # Errors
    /// A port of discovery that another program keeps for itself, and settings with which Zenoh
    /// opens no session.
    pub fn check_machine(&self, has_key: bool) -> Result<Vec<Warning>, ConfigError> {
        match &self.backend {
            Backend::Zenoh(settings) => {
                settings.check_opens()?;
                let mut warnings = settings.check_discovery(has_key)?;
                warnings.extend(settings.check_names());
                Ok(warnings)
            }
            Backend::Disabled => Ok(Vec::new()),
        }
    }
}

/// Whether a text is the path of a file, and not a configuration.
fn is_path(text: &str) -> bool {
    let text = text.trim();
    let is_line = !text.contains(['{', '\n', ':']) || text.starts_with("file:");
    let is_rooted = text.starts_with(['/', '~', '.']) && !text.starts_with("//");
    is_line && (is_rooted || text.ends_with(".json5") || text.ends_with(".json"))
}

/// The Zenoh configuration inside the object: text (as the mail server keeps it)
/// or, as a convenience, an object.
fn embedded(
    source: &Source<'_>,
    outline: &Outline,
    config: Option<&Value>,
    warnings: &mut Vec<Warning>,
) -> Result<ZenohSettings, ConfigError> {
    match config {
        None => {
            let span = outline.value(&["@type"]);
            Err(source.error_at(span, ConfigErrorKind::Missing { key: "config" }))
        }
        Some(Value::String(text)) if is_path(text) => {
            let message = "`config` is a path, and the text of a Zenoh configuration is expected: \
                           write the content of that file there, or give that file itself as the \
                           configuration";
            let kind = ConfigErrorKind::Syntax { message: message.to_owned() };
            Err(source.error_at(outline.value(&["config"]), kind))
        }
        Some(Value::String(text)) => {
            let name = format!("`config` in {}", source.name());
            let inner = Source::new(&name, text.as_bytes())?;
            let inner_outline = Outline::of(&inner)?;
            warnings.extend(inner_outline.warnings(&inner));
            let value = inner_outline.parse(&inner)?;
            placeholders::check(&inner, &inner_outline, &value, &mut Vec::new())?;
            ZenohSettings::check(&inner, &inner_outline, value)
        }
        Some(value @ Value::Object(_)) => {
            ZenohSettings::check_at(source, outline, &["config"], value.clone())
        }
        Some(other) => {
            let expected = "a string that holds a Zenoh configuration";
            Err(known::wrong_type(source, outline, &["config"], other, expected))
        }
    }
}
