//! The requirements of a configuration on the machine, and their checks.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;

use serde_json::Value;

use super::Warning;
use super::bind::bind;
use super::checked::Checked;
use super::endpoint::Endpoint;
use super::endpoint_lists::{ListedEndpoint, endpoints, endpoints_of_mode};
use super::error::{ConfigError, ConfigErrorKind, Place};
use super::resolve::{RESOLVE_TIMEOUT, Resolution, resolve, zoned};
use super::schema::pointer;
use super::tls::Credentials;
use super::{session_settings, tls_settings};

/// Ports, files and interfaces that the machine must have. Holds secrets, so it has no `Debug`.
#[derive(Clone, Default)]
pub(super) struct Requirements {
    listens: Vec<(String, Place)>,
    credentials: Credentials,
    interface: Option<(String, Place)>,
    group: Option<Place>,
}

impl Requirements {
    pub(super) fn of(checked: &Checked<'_>, value: &Value) -> Result<Self, ConfigError> {
        let mut requirements = Self::default();
        let place = |path: &[String]| checked.source.place(checked.span(path));
        let mode = value.get("mode").and_then(Value::as_str).unwrap_or("peer");
        for ListedEndpoint { path, text } in endpoints_of_mode(value, "listen", mode) {
            if requirements.listens.iter().any(|(other, _)| *other == text) {
                let why = "it stands twice in this list, and the second cannot be listened on; \
                           take one out";
                return Err(checked.bad(&path, why));
            }
            requirements.listens.push((text, place(&path)));
        }
        let endpoints: Vec<_> =
            ["listen", "connect"].iter().flat_map(|section| endpoints(value, section)).collect();
        requirements.credentials = Credentials::of(checked, value, &endpoints);
        tls_settings::check(checked, value, mode)?;
        session_settings::check(checked, value, mode)?;
        let interface = value.pointer("/scouting/multicast/interface").and_then(Value::as_str);
        if let Some(name) = interface.filter(|name| !name.is_empty() && *name != "auto") {
            let path = ["scouting", "multicast", "interface"].map(str::to_owned);
            requirements.interface = Some((name.to_owned(), place(&path)));
        }
        let group = ["scouting", "multicast", "address"].map(str::to_owned);
        let is_set = value.pointer(&pointer(&group)).is_some();
        requirements.group = is_set.then(|| place(&group));
        Ok(requirements)
    }

    pub(super) fn group(&self) -> Option<&Place> {
        self.group.as_ref()
    }

    /// Checks the certificates and keys that the configuration itself holds.
    pub(super) fn check_embedded(&self) -> Result<Vec<Warning>, ConfigError> {
        self.credentials.check(false)
    }

    /// Replaces credentials in `value` that Zenoh would read differently from mailmesh.
    pub(super) fn mend(&self, value: &mut Value) {
        self.credentials.mend(value);
    }

    pub(super) fn check(&self) -> Result<Vec<Warning>, ConfigError> {
        let warnings = self.credentials.check(true)?;
        if let Some((names, place)) = &self.interface
            && let Some(why) = names
                .split(',')
                .map(str::trim)
                .filter(|name| name.parse::<std::net::IpAddr>().is_err())
                .find_map(no_interface)
        {
            let key = "scouting.multicast.interface".into();
            return Err(ConfigError::new(ConfigErrorKind::BadValue { key, why }).at(place.clone()));
        }
        // All listeners stay open until the end, so that two that exclude each other are found.
        let mut bound: Vec<(&str, Vec<TcpListener>)> = Vec::new();
        for (text, place) in &self.listens {
            let listener = listen(text, &bound).map_err(|why| {
                let kind = ConfigErrorKind::Listen { endpoint: text.clone(), why };
                ConfigError::new(kind).at(place.clone())
            })?;
            bound.push((text, listener.into_iter().collect()));
        }
        Ok(warnings)
    }
}

/// Binds a listener at a TCP or TLS endpoint; `bound` holds the earlier ones, for the error text.
fn listen(text: &str, bound: &[(&str, Vec<TcpListener>)]) -> Result<Option<TcpListener>, String> {
    let endpoint = Endpoint::of(text);
    if !matches!(endpoint.protocol, "tcp" | "tls") {
        return Ok(None);
    }
    let address = endpoint.address;
    let literal = zoned(address).map(|address| Resolution::Addresses(vec![address]));
    let resolved = match literal.or_else(|| resolve(&[address.to_owned()]).pop()) {
        Some(Resolution::Addresses(resolved)) => resolved,
        Some(Resolution::Nothing(why)) => {
            return Err(format!(
                "its host does not resolve: {why}; write an address of this host, or 0.0.0.0"
            ));
        }
        _ => {
            let seconds = RESOLVE_TIMEOUT.as_secs();
            return Err(format!("its host was not resolved within {seconds} s; write an address"));
        }
    };
    let interface = endpoint.setting("iface");
    if let Some(why) = interface.and_then(no_interface) {
        return Err(why);
    }
    let mut failed = None;
    for address in &resolved {
        match bind(*address, interface) {
            Ok(listener) => return Ok(Some(listener)),
            Err(error) => failed = Some((error, *address)),
        }
    }
    let Some((error, address)) = failed else { return Ok(None) };
    let of_list = bound.iter().find(|(_, listeners)| {
        listeners.iter().any(|one| one.local_addr().is_ok_and(|one| one.port() == address.port()))
    });
    let advice = match (error.kind(), of_list) {
        (ErrorKind::AddrInUse, Some((other, _))) => {
            let other = Endpoint::of(other).bare();
            return Err(format!(
                "{error}; {other} of the same list is there already: take one out"
            ));
        }
        (ErrorKind::AddrInUse, None) => {
            "another process listens there; if that is the node itself, which runs, use \
             `--offline`; else stop it, or choose another port"
        }
        (ErrorKind::PermissionDenied, _) => {
            "choose a port above 1023, or give the process the right"
        }
        (ErrorKind::AddrNotAvailable, _) => {
            "no interface here has this address; use one of this machine's, or 0.0.0.0"
        }
        _ => "choose another address or port",
    };
    Err(format!("{error}; {advice}"))
}

/// The error for an interface that this machine does not have.
fn no_interface(name: &str) -> Option<String> {
    let present = interfaces()?;
    let is_one = present.iter().any(|one| one == name);
    (!is_one)
        .then(|| format!("there is no interface `{name}` here; there are {}", present.join(", ")))
}

/// The network interfaces, on systems that list them as files (Linux).
fn interfaces() -> Option<Vec<String>> {
    let entries = std::fs::read_dir(Path::new("/sys/class/net")).ok()?;
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    Some(names)
}
