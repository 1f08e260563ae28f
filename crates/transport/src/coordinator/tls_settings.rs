//! Which settings of TLS each end needs. What Zenoh says of one that is missing names no setting,
//! and of an endpoint that it dials it says nothing.

use serde_json::Value;

use super::checked::Checked;
use super::error::{ConfigError, ConfigErrorKind};
use super::zenoh::endpoints;

const TLS: &str = "/transport/link/tls";
/// Settings that have a form in base64.
const TEXTS: [&str; 5] = [
    "root_ca_certificate",
    "listen_certificate",
    "listen_private_key",
    "connect_certificate",
    "connect_private_key",
];

/// Refuses what no listener, and no endpoint that is dialed, can be had with.
pub(super) fn check(checked: &Checked<'_>, value: &Value, mode: &str) -> Result<(), ConfigError> {
    let path = |name: &str| {
        let path = ["transport", "link", "tls", name];
        path.map(str::to_owned)
    };
    for name in TEXTS {
        let encoded = format!("{name}_base64");
        if is_set(value, name) && is_set(value, &encoded) {
            let why = format!("`{name}` and `{encoded}` are the same in two forms; take one out");
            let key = "transport.link.tls".to_owned();
            let kind = ConfigErrorKind::BadValue { key, why };
            return Err(checked.source.error_at(checked.span(&path(&encoded)), kind));
        }
    }
    for section in ["listen", "connect"] {
        for (at, endpoint) in endpoints(value, section) {
            let is_of_mode =
                at.get(2).is_none_or(|part| part == mode || part.parse::<usize>().is_ok());
            let Some(rest) = endpoint.strip_prefix("tls/").filter(|_| is_of_mode) else { continue };
            let own = rest.split_once('#').map_or("", |(_, own)| own);
            let lacks = |names: &[&'static str]| {
                names.iter().copied().find(|name| {
                    !is_set(value, name)
                        && !is_set(value, &format!("{name}_base64"))
                        && !is_set_in(own, name)
                })
            };
            let is_listener = section == "listen";
            let first = if is_listener {
                lacks(&["listen_certificate", "listen_private_key"])
            } else {
                None
            };
            if let Some(name) = first {
                let why =
                    format!("listening with TLS needs `transport.link.tls.{name}`, a PEM file");
                let kind = ConfigErrorKind::BadValue { key: endpoint.clone(), why };
                return Err(checked.source.error_at(checked.span(&at), kind));
            }
            let own_mutual = setting(own, "enable_mtls");
            let is_mutual = match own_mutual {
                Some(flag) => flag == "true",
                None => is_mutual(value),
            };
            let why = if is_mutual && is_listener && lacks(&["root_ca_certificate"]).is_some() {
                "a node that dials this one shows a certificate then, and `root_ca_certificate`, the authority that \
                 it must be of, is not set"
            } else if is_mutual
                && !is_listener
                && lacks(&["connect_certificate", "connect_private_key"]).is_some()
            {
                "this node, which dials, shows a certificate then: set `connect_certificate` and \
                 `connect_private_key`"
            } else {
                continue;
            };
            let at = if own_mutual.is_some() { at } else { path("enable_mtls").to_vec() };
            return Err(checked.bad(&at, why));
        }
    }
    Ok(())
}

/// Whether a node with TLS at both ends has no certificate to show where it dials.
pub(super) fn shows_nothing(value: &Value) -> bool {
    let lacks = |name: &str| !is_set(value, name) && !is_set(value, &format!("{name}_base64"));
    is_mutual(value) && (lacks("connect_certificate") || lacks("connect_private_key"))
}

fn is_mutual(value: &Value) -> bool {
    value.pointer(&format!("{TLS}/enable_mtls")).and_then(Value::as_bool).unwrap_or(false)
}

fn is_set(value: &Value, name: &str) -> bool {
    value.pointer(&format!("{TLS}/{name}")).is_some_and(|set| !set.is_null())
}

/// Whether the settings of an endpoint have a file, base64 or text of this name.
fn is_set_in(own: &str, name: &str) -> bool {
    ["file", "base64", "raw"].iter().any(|form| setting(own, &format!("{name}_{form}")).is_some())
}

fn setting<'a>(own: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = own.split(';').filter_map(|pair| pair.split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value)
}
