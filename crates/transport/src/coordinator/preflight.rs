//! What a configuration asks of the machine.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use serde_json::Value;

use super::Warning;
use super::checked::Checked;
use super::error::{ConfigError, ConfigErrorKind, Place};
use super::known::nearest;
use super::resolve::{Found, WITHIN, resolve};
use super::tls::Credentials;
use super::zenoh::endpoints;
use super::{link_limits, tls_settings};

/// Every transport of Zenoh, and the feature of ours that builds it in.
const PROTOCOLS: [(&str, Option<&str>); 9] = [
    ("tcp", None),
    ("tls", None),
    ("quic", Some("quic")),
    ("udp", Some("udp")),
    ("ws", Some("ws")),
    ("unixsock-stream", Some("unixsock")),
    ("unixpipe", Some("")),
    ("serial", Some("")),
    ("vsock", Some("")),
];

/// Checks an endpoint like `tcp/192.0.2.1:7447`.
pub(super) fn endpoint(text: &str) -> Result<(), String> {
    const EXAMPLE: &str = "expected one like \"tcp/192.0.2.1:7447\"";
    let Some((protocol, rest)) = text.split_once('/') else {
        return Err(format!("\"{text}\" names no protocol; {EXAMPLE}"));
    };
    match PROTOCOLS.iter().find(|(name, _)| *name == protocol) {
        None => {
            let hint = nearest(protocol, PROTOCOLS.map(|(name, _)| name));
            let hint = hint.map(|p| format!(", did you mean \"{p}\"?")).unwrap_or_default();
            return Err(format!("there is no protocol \"{protocol}\"{hint}; {EXAMPLE}"));
        }
        Some((_, None)) => {}
        Some((_, Some(""))) => {
            return Err(format!("the protocol \"{protocol}\" is not supported; use tcp or tls"));
        }
        Some((_, Some(feature))) if !built_in(feature) => {
            return Err(format!(
                "the protocol \"{protocol}\" is not built in; build with the feature `{feature}`, or use tcp or tls"
            ));
        }
        Some(_) => {}
    }
    if protocol == "unixsock-stream" {
        return Ok(());
    }
    let address = rest.split(['?', '#']).next().unwrap_or_default();
    let Some((host, port)) = address.rsplit_once(':') else {
        return Err(format!("\"{text}\" has no port; {EXAMPLE}"));
    };
    if port.parse::<u16>().is_err() {
        return Err(format!("\"{port}\" is not a port from 0 to 65535; {EXAMPLE}"));
    }
    let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let looks_v4 = !host.is_empty() && host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let is_bad = match bracketed {
        Some(v6) => v6.split('%').next().is_none_or(|v6| v6.parse::<std::net::Ipv6Addr>().is_err()),
        None if looks_v4 => host.parse::<std::net::Ipv4Addr>().is_err(),
        None if host.contains(':') => {
            return Err(format!(
                "an IPv6 address stands in brackets: \"{protocol}/[{host}]:{port}\""
            ));
        }
        None => host.is_empty() || host.contains(char::is_whitespace),
    };
    if is_bad {
        return Err(format!("\"{host}\" is not an address or host name; {EXAMPLE}"));
    }
    Ok(())
}

fn built_in(feature: &str) -> bool {
    match feature {
        "quic" => cfg!(feature = "quic"),
        "udp" => cfg!(feature = "udp"),
        "ws" => cfg!(feature = "ws"),
        "unixsock" => cfg!(feature = "unixsock"),
        _ => false,
    }
}

/// Ports, files and interfaces that must be there. It holds secrets, so it has no `Debug`.
#[derive(Clone, Default)]
pub(super) struct Needs {
    listens: Vec<(String, Place)>,
    credentials: Credentials,
    interface: Option<(String, Place)>,
    group: Option<Place>,
}

impl Needs {
    pub(super) fn of(checked: &Checked<'_>, value: &Value) -> Result<Self, ConfigError> {
        let mut needs = Self::default();
        let place = |path: &[String]| checked.source.place(checked.span(path));
        let mode = value.get("mode").and_then(Value::as_str).unwrap_or("peer");
        let base = ["listen".to_owned(), "endpoints".to_owned()];
        let lists = match value.pointer("/listen/endpoints") {
            Some(Value::Array(list)) => vec![(base.to_vec(), list)],
            Some(Value::Object(by_mode)) => match by_mode.get(mode) {
                Some(Value::Array(list)) => {
                    vec![(base.iter().cloned().chain([mode.to_owned()]).collect(), list)]
                }
                _ => Vec::new(),
            },
            _ => Vec::new(),
        };
        for (path, list) in lists {
            for (index, text) in list.iter().enumerate() {
                let Some(text) = text.as_str() else { continue };
                let mut path: Vec<String> = path.clone();
                path.push(index.to_string());
                needs.listens.push((text.to_owned(), place(&path)));
            }
        }
        let endpoints: Vec<_> =
            ["listen", "connect"].iter().flat_map(|section| endpoints(value, section)).collect();
        needs.credentials = Credentials::of(checked, value, &endpoints);
        tls_settings::check(checked, value, mode)?;
        link_limits::check(checked, value)?;
        let interface = value.pointer("/scouting/multicast/interface").and_then(Value::as_str);
        if let Some(name) = interface.filter(|name| !name.is_empty() && *name != "auto") {
            let path = ["scouting", "multicast", "interface"].map(str::to_owned);
            needs.interface = Some((name.to_owned(), place(&path)));
        }
        let group = ["scouting", "multicast", "address"].map(str::to_owned);
        let is_set = value.pointer(&format!("/{}", group.join("/"))).is_some();
        needs.group = is_set.then(|| place(&group));
        Ok(needs)
    }

    pub(super) fn group(&self) -> Option<&Place> {
        self.group.as_ref()
    }

    /// Whether what the configuration itself holds can be used.
    pub(super) fn check_embedded(&self) -> Result<Vec<Warning>, ConfigError> {
        self.credentials.check(false)
    }

    /// Puts what Zenoh would read otherwise than we do into its configuration.
    pub(super) fn mend(&self, value: &mut Value) {
        self.credentials.mend(value);
    }

    pub(super) fn check(&self) -> Result<Vec<Warning>, ConfigError> {
        let warnings = self.credentials.check(true)?;
        if let Some((name, place)) = &self.interface
            && name.parse::<std::net::IpAddr>().is_err()
            && let Some(present) = interfaces()
            && !present.contains(name)
        {
            let why =
                format!("there is no interface `{name}` here; there are {}", present.join(", "));
            let key = "scouting.multicast.interface".into();
            return Err(ConfigError::new(ConfigErrorKind::BadValue { key, why }).at(place.clone()));
        }
        self.listens.iter().try_for_each(|(text, place)| {
            listen(text).map_err(|why| {
                let kind = ConfigErrorKind::Listen { endpoint: text.clone(), why };
                ConfigError::new(kind).at(place.clone())
            })
        })?;
        Ok(warnings)
    }
}

/// Tries whether a TCP endpoint can be listened on.
fn listen(text: &str) -> Result<(), String> {
    let Some(address) = text.strip_prefix("tcp/").or_else(|| text.strip_prefix("tls/")) else {
        return Ok(());
    };
    let address = address.split(['?', '#']).next().unwrap_or_default();
    let literal = address.parse::<SocketAddr>().map(|address| Found::Addresses(vec![address]));
    let resolved: Vec<SocketAddr> = match literal
        .ok()
        .or_else(|| resolve(&[address.to_owned()]).pop())
    {
        Some(Found::Addresses(resolved)) => resolved,
        Some(Found::Nothing(why)) => return Err(format!("its host does not resolve: {why}")),
        _ => {
            let within = WITHIN.as_secs();
            return Err(format!("its host was not resolved within {within} s; write an address"));
        }
    };
    let Some(error) = TcpListener::bind(resolved.as_slice()).err() else {
        return Ok(());
    };
    let advice = match error.kind() {
        ErrorKind::AddrInUse => {
            "another process listens there; if that is the node itself, which runs, use `--offline`; \
             else stop it, or choose another port"
        }
        ErrorKind::PermissionDenied => "choose a port above 1023, or give the process the right",
        ErrorKind::AddrNotAvailable => {
            "no interface here has this address; use one of this machine's, or 0.0.0.0"
        }
        _ => "choose another address or port",
    };
    Err(format!("{error}; {advice}"))
}

/// The network interfaces, where the system lists them as files.
fn interfaces() -> Option<Vec<String>> {
    let entries = std::fs::read_dir(Path::new("/sys/class/net")).ok()?;
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    Some(names)
}
