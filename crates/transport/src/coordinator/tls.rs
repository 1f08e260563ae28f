//! Checks TLS files and logins before Zenoh reads them, since Zenoh's errors may quote them.

use std::fmt::Display;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mailmesh_secrets::pem::{self, Expected, PemError, PemWarning};
use mailmesh_secrets::{buffer_for, display_path, io_error_text, is_secret_name};
use serde_json::Value;
use zeroize::Zeroizing;

use super::Warning;
use super::checked::Checked;
use super::endpoint::{Endpoint, pairs};
use super::endpoint_lists::{ListedEndpoint, each_text};
use super::error::{ConfigError, Place};
use super::link_chain::{LinkChains, TlsLinks};
use super::mesh::taken_from;
use super::schema::{dotted, pointer};

/// Longest file that is read, in bytes.
const MAX_FILE_LEN: u64 = 4 << 20;
/// Most certificates of a chain, and most authorities, that are read.
pub(super) const MAX_CHAIN: usize = 64;
pub(super) const MAX_AUTHORITIES: usize = 4096;
/// Path of Zenoh's TLS settings.
const TLS: [&str; 3] = ["transport", "link", "tls"];

/// The certificates, keys and logins of a configuration.
#[derive(Clone, Default)]
pub(super) struct Credentials {
    authorities: Vec<Material>,
    identities: Vec<IdentityMaterial>,
    dictionary: Option<(String, PathBuf, Place)>,
    links: TlsLinks,
}

/// A certificate and the private key that must match it.
#[derive(Clone, Default)]
struct IdentityMaterial {
    certificate: Option<Material>,
    private_key: Option<Material>,
}

#[derive(Clone)]
struct Material {
    /// The path of the setting.
    key: String,
    /// Its name without the suffix for the form of the PEM, like `listen_certificate`.
    name: String,
    from: Origin,
    place: Place,
}

#[derive(Clone)]
enum Origin {
    File(PathBuf),
    Base64(Zeroizing<String>),
    /// The PEM text itself, in an endpoint.
    Text(Zeroizing<String>),
}

impl Credentials {
    /// The credentials of a configuration and of its `endpoints`.
    pub(super) fn of(checked: &Checked<'_>, value: &Value, endpoints: &[ListedEndpoint]) -> Self {
        let global = |name: &str| {
            let find = |setting: String, from: fn(&str) -> Origin| {
                let path = TLS.iter().map(|part| (*part).to_owned()).chain([setting]);
                let path: Vec<String> = path.collect();
                let text = value.pointer(&pointer(&path))?.as_str()?;
                let place = checked.source.place(checked.span(&path));
                let (key, name) = (dotted(&path), name.to_owned());
                Some(Material { key, name, from: from(text), place })
            };
            find(name.to_owned(), file).or_else(|| find(format!("{name}_base64"), encoded))
        };
        let mut all = Self { links: TlsLinks::of(value, endpoints), ..Self::default() };
        all.authorities.extend(global("root_ca_certificate"));
        for role in ["listen", "connect"] {
            all.identities.push(IdentityMaterial {
                certificate: global(&format!("{role}_certificate")),
                private_key: global(&format!("{role}_private_key")),
            });
        }
        for ListedEndpoint { path, text } in endpoints {
            let endpoint = Endpoint::of(text);
            let own = |name: &str| {
                let find = |suffix: &str, from: fn(&str) -> Origin| {
                    let key = format!("{name}_{suffix}");
                    let text = endpoint.setting(&key)?;
                    let place = checked.source.place(checked.span(path));
                    let key = format!("{}#{key}", dotted(path));
                    Some(Material { key, name: name.to_owned(), from: from(text), place })
                };
                find("raw", raw).or_else(|| find("base64", encoded)).or_else(|| find("file", file))
            };
            all.authorities.extend(own("root_ca_certificate"));
            for role in ["listen", "connect"] {
                let (certificate, private_key) =
                    (format!("{role}_certificate"), format!("{role}_private_key"));
                let (own_certificate, own_key) = (own(&certificate), own(&private_key));
                if own_certificate.is_some() || own_key.is_some() {
                    all.identities.push(IdentityMaterial {
                        certificate: own_certificate.or_else(|| global(&certificate)),
                        private_key: own_key.or_else(|| global(&private_key)),
                    });
                }
            }
        }
        let path = ["transport", "auth", "usrpwd", "dictionary_file"].map(str::to_owned);
        if let Some(dictionary) = value.pointer(&pointer(&path)) {
            let place = checked.source.place(checked.span(&path));
            let file = dictionary.as_str().map(PathBuf::from);
            all.dictionary = file.map(|file| (dotted(&path), file, place));
        }
        all
    }

    /// Checks that all credentials can be read and match; without `files`, only those that the
    /// configuration itself holds. Returns warnings.
    pub(super) fn check(&self, files: bool) -> Result<Vec<Warning>, ConfigError> {
        let (mut warnings, mut chains) = (Vec::new(), LinkChains::default());
        for material in self.authorities.iter().filter(|material| material.is_here(files)) {
            let text = material.read()?;
            let found = material.located(pem::authorities(&text, MAX_AUTHORITIES, now()))?;
            let is_mended = !pem::are_portable(&text, &found.certificates);
            material.warn(&found.warnings, is_mended, &mut warnings);
            chains.add_authorities(&material.key, found.certificates);
        }
        for IdentityMaterial { certificate, private_key } in &self.identities {
            let certificate = certificate.as_ref().filter(|material| material.is_here(files));
            let private_key = private_key.as_ref().filter(|material| material.is_here(files));
            match (certificate, private_key) {
                (Some(certificate), Some(key)) => {
                    let (chain_text, key_text) = (certificate.read()?, key.read()?);
                    let found = read_pair((certificate, &chain_text), (key, &key_text))?;
                    let is_mended = !found.is_chain_portable(&chain_text);
                    let all = found.warnings.iter().cloned().chain(found.date_warnings(now()));
                    let all = all.filter(|warning| matters(warning, is_mended));
                    let (of_key, of_chain): (Vec<_>, Vec<_>) =
                        all.partition(|warning| warning.input() == Expected::PrivateKey);
                    key.warn(&of_key, !found.is_key_portable(&key_text), &mut warnings);
                    certificate.warn(&of_chain, is_mended, &mut warnings);
                    let (name, shown) = (&certificate.name, certificate.shown());
                    chains.add_chain(name, shown, found.chain, certificate.place.clone());
                }
                (Some(certificate), None) => {
                    certificate.located(pem::certificates(&certificate.read()?, MAX_CHAIN))?;
                }
                (None, Some(key)) => {
                    let found = key.located(pem::private_key(&key.read()?))?;
                    key.located(pem::check_key(&found))?;
                }
                (None, None) => {}
            }
        }
        if self.authorities.iter().all(|material| material.is_here(files)) {
            warnings.extend(chains.check(self.links, now()));
        }
        match &self.dictionary {
            Some((key, file, place)) if files => check_dictionary(file)
                .map_err(|why| ConfigError::bad_value(key, &why).at(place.clone()))?,
            _ => {}
        }
        Ok(warnings)
    }

    /// Replaces credentials that Zenoh would read differently by base64 of what was read here. The
    /// others stay paths: on a node that dials, Zenoh rereads the file for each link.
    /// Credentials that cannot be read are left to Zenoh.
    pub(super) fn mend(&self, value: &mut Value) {
        for material in &self.authorities {
            let Ok(text) = material.read() else { continue };
            let Ok(found) = pem::authorities(&text, MAX_AUTHORITIES, now()) else { continue };
            if !pem::are_portable(&text, &found.certificates) {
                let plain = pem::certificates_to_pem(&found.certificates);
                replace(value, material, &STANDARD.encode(plain));
            }
        }
        for IdentityMaterial { certificate, private_key } in &self.identities {
            let (Some(certificate), Some(key)) = (certificate, private_key) else { continue };
            let (Ok(chain_text), Ok(key_text)) = (certificate.read(), key.read()) else { continue };
            let Ok(found) = pem::identity(&chain_text, &key_text, MAX_CHAIN, Some(now())) else {
                continue;
            };
            if !found.is_chain_portable(&chain_text) {
                let plain = pem::certificates_to_pem(&found.chain);
                replace(value, certificate, &STANDARD.encode(plain));
            }
            if let (false, Ok(plain)) =
                (found.is_key_portable(&key_text), pem::key_to_pem(&found.key))
            {
                replace(value, key, &Zeroizing::new(STANDARD.encode(plain.as_bytes())));
            }
        }
    }
}

/// Reads a certificate and its key; an error names the one at fault.
fn read_pair(
    (certificate, chain_text): (&Material, &[u8]),
    (key, key_text): (&Material, &[u8]),
) -> Result<pem::Identity, ConfigError> {
    pem::identity(chain_text, key_text, MAX_CHAIN, Some(now())).map_err(|error| match error.input {
        Expected::Certificates => certificate.because(error.error),
        Expected::PrivateKey => key.because(error.error),
    })
}

/// Whether a warning concerns a link: its ends know their authorities, and dial addresses. A repair
/// matters only if Zenoh is given the repaired copy.
fn matters(warning: &PemWarning, is_mended: bool) -> bool {
    match warning {
        PemWarning::IssuerMissing { .. }
        | PemWarning::NameOnlyInCommonName { .. }
        | PemWarning::AddressesNotServed { .. }
        | PemWarning::NotForServers
        | PemWarning::NoDigitalSignature
        | PemWarning::SelfSigned => false,
        PemWarning::RootLeftOut { .. } | PemWarning::DuplicateLeftOut { .. } => is_mended,
        _ => true,
    }
}

/// Replaces a setting by base64, in the TLS settings and in every endpoint.
fn replace(value: &mut Value, material: &Material, encoded: &str) {
    let (suffixes, given): (&[&str], String) = match &material.from {
        Origin::File(path) => (&["", "_file"], path.to_string_lossy().into_owned()),
        Origin::Base64(text) => (&["_base64"], text.as_str().to_owned()),
        Origin::Text(text) => (&["_raw"], text.as_str().to_owned()),
    };
    let given = Zeroizing::new(given);
    let new = format!("{}_base64", material.name);
    let old: Vec<String> = suffixes.iter().map(|end| format!("{}{end}", material.name)).collect();
    if let Some(Value::Object(tls)) = value.pointer_mut(&pointer(&TLS)) {
        for name in &old {
            if tls.get(name).and_then(Value::as_str) == Some(given.as_str()) {
                tls.remove(name);
                tls.insert(new.clone(), Value::from(encoded));
            }
        }
    }
    for section in ["listen", "connect"] {
        if let Some(endpoints) = value.pointer_mut(&format!("/{section}/endpoints")) {
            each_text(endpoints, &|endpoint| {
                let settings = Endpoint::of(endpoint).settings;
                let is_old = |(name, text): &(&str, &str)| {
                    *text == given.as_str() && old.iter().any(|old| old == name)
                };
                if !pairs(settings).any(|pair| is_old(&pair)) {
                    return Ok(endpoint.to_owned());
                }
                // One allocation of the final size, so that no copy of a key stays in memory.
                let mut text = String::with_capacity(endpoint.len() + new.len() + encoded.len());
                text.push_str(&endpoint[..endpoint.len() - settings.len()]);
                for (index, pair) in pairs(settings).enumerate() {
                    let (name, value) = if is_old(&pair) { (new.as_str(), encoded) } else { pair };
                    let parts = [if index == 0 { "" } else { ";" }, name, "=", value];
                    parts.iter().for_each(|part| text.push_str(part));
                }
                Ok(text)
            })
            .unwrap_or_default();
        }
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

impl Material {
    fn is_here(&self, files: bool) -> bool {
        files || !matches!(self.from, Origin::File(_))
    }

    /// The PEM text.
    fn read(&self) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
        match &self.from {
            Origin::File(path) => read_pem(path).map_err(|why| self.bad(&why)),
            Origin::Text(text) => Ok(Zeroizing::new(text.as_bytes().to_vec())),
            Origin::Base64(text) => {
                // As strict as Zenoh.
                if let Ok(decoded) = STANDARD.decode(text.as_bytes()) {
                    return Ok(Zeroizing::new(decoded));
                }
                let has_blanks = text.contains(char::is_whitespace);
                Err(self.bad(if text.trim_start().starts_with("-----BEGIN") {
                    "this is a PEM text, and the base64 of one is meant; make it with \
                     `base64 -w0 FILE`"
                } else if has_blanks {
                    "there is white space in it; write the base64 in one line, as \
                     `base64 -w0 FILE` does"
                } else {
                    "it is not base64, or cut short; make it with `base64 -w0 FILE`"
                }))
            }
        }
    }

    /// The setting, with the path of the file if it names one.
    fn shown(&self) -> String {
        match &self.from {
            Origin::File(path) => format!("`{}`: {}", self.key, display_path(path)),
            Origin::Base64(_) | Origin::Text(_) => format!("`{}`", self.key),
        }
    }

    /// Adds the location of the material to an error.
    fn located<T>(&self, result: Result<T, PemError>) -> Result<T, ConfigError> {
        result.map_err(|error| self.because(error))
    }

    fn because(&self, error: PemError) -> ConfigError {
        self.bad(&self.words(&error))
    }

    /// A finding about the material, with its location.
    fn words(&self, found: &dyn Display) -> String {
        match &self.from {
            Origin::File(path) => format!("{}: {found}", display_path(path)),
            Origin::Base64(_) => format!("in what its base64 stands for: {found}"),
            Origin::Text(_) => found.to_string(),
        }
    }

    fn warn(&self, found: &[PemWarning], is_mended: bool, warnings: &mut Vec<Warning>) {
        const MENDED: &str = "Zenoh is given a mended copy, made when the node starts; it reads \
                              a file anew for each link only if nothing is to be mended";
        let mut warn = |found: &dyn Display| {
            let message = format!("`{}`: {}", self.key, self.words(found));
            warnings.push(Warning::new(message).at(self.place.clone()));
        };
        found.iter().for_each(|warning| warn(warning));
        if is_mended {
            warn(&MENDED);
        }
    }

    fn bad(&self, why: &str) -> ConfigError {
        ConfigError::bad_value(&self.key, why).at(self.place.clone())
    }
}

fn file(text: &str) -> Origin {
    Origin::File(text.into())
}

fn encoded(text: &str) -> Origin {
    Origin::Base64(Zeroizing::new(text.to_owned()))
}

fn raw(text: &str) -> Origin {
    Origin::Text(Zeroizing::new(text.to_owned()))
}

pub(super) fn read_pem(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let text = path.to_string_lossy();
    if text.contains("-----BEGIN") || text.contains('\n') {
        return Err("this is the text of a PEM file, and the path of one is meant; give that, or \
                    the base64 of the file in the setting that ends in `_base64`"
            .to_owned());
    }
    read(path, "a PEM file")
}

/// The content of a file; `what` names the expected kind of file for the error.
fn read(path: &Path, what: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let shown = display_path(path);
    let failed = |error: std::io::Error| {
        let error = io_error_text(&error);
        format!(
            "cannot read {shown}: {error}; give the path of {what} that the server may read{}",
            taken_from(path)
        )
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Zeroizing::new(buffer_for(&file, MAX_FILE_LEN));
    file.take(MAX_FILE_LEN + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_LEN {
        return Err(format!("{shown} is longer than {MAX_FILE_LEN} bytes; is it the right file?"));
    }
    Ok(bytes)
}

/// Checks a dictionary as Zenoh reads it: one user, a colon and a password per line.
fn check_dictionary(path: &Path) -> Result<(), String> {
    let bytes = read(path, "a file of logins")?;
    let shown = display_path(path);
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| format!("{shown}: it is not UTF-8 text; if it is UTF-16, save it as UTF-8"))?;
    let mut lines = text.lines().map(str::trim).enumerate();
    let bad = lines.find(|(_, line)| {
        let parts = line.split_once(':').map(|(user, password)| (user.trim(), password.trim()));
        !line.is_empty() && parts.is_none_or(|(user, word)| user.is_empty() || word.is_empty())
    });
    match bad {
        None => Ok(()),
        Some((index, _)) => {
            Err(format!("{shown}: line {}: expected a user, a colon and a password", index + 1))
        }
    }
}

/// Collects the secrets of a configuration: the values of settings with secret names, also those in
/// endpoints.
pub(super) fn secrets(value: &Value, is_secret: bool, found: &mut Vec<Zeroizing<String>>) {
    match value {
        Value::String(text) if is_secret => found.push(Zeroizing::new(text.clone())),
        Value::String(text) => {
            let secret =
                pairs(Endpoint::of(text).settings).filter(|(name, _)| is_secret_name(name));
            found.extend(secret.map(|(_, text)| Zeroizing::new(text.to_owned())));
        }
        // `Spans::of` bounds the depth of parsed values.
        Value::Array(items) => items.iter().for_each(|item| secrets(item, is_secret, found)),
        Value::Object(map) => {
            map.iter().for_each(|(key, item)| {
                secrets(item, is_secret || is_secret_name(key), found);
            });
        }
        _ => {}
    }
}
