//! Refuses missing TLS settings. Zenoh's error about a listener does not name the missing setting,
//! and Zenoh reports nothing about an endpoint that it dials.

use serde_json::Value;

use super::checked::Checked;
use super::endpoint::Endpoint;
use super::endpoint_lists::{ListedEndpoint, endpoints_of_mode};
use super::error::{ConfigError, ConfigErrorKind};
use super::schema::path_of;

const TLS: &str = "/transport/link/tls";
const MUTUAL: &str = "enable_mtls";
/// Settings that also have a base64 form.
const TEXTS: [&str; 5] = [
    "root_ca_certificate",
    "listen_certificate",
    "listen_private_key",
    "connect_certificate",
    "connect_private_key",
];

/// Refuses settings with which a TLS endpoint can neither be listened at nor dialed.
pub(super) fn check(checked: &Checked<'_>, value: &Value, mode: &str) -> Result<(), ConfigError> {
    check_forms(checked, value)?;
    for section in ["listen", "connect"] {
        for ListedEndpoint { path: at, text } in endpoints_of_mode(value, section, mode) {
            let endpoint = Endpoint::of(&text);
            if endpoint.protocol == "tls" {
                let end = End { value, endpoint, is_listener: section == "listen" };
                end.check_certificate(checked, &at)?;
                end.check_mutual(checked, &at)?;
            }
        }
    }
    Ok(())
}

fn path(name: &str) -> Vec<String> {
    path_of(&format!("{TLS}/{name}"))
}

/// Refuses a setting that is given both as a path and as base64.
fn check_forms(checked: &Checked<'_>, value: &Value) -> Result<(), ConfigError> {
    for name in TEXTS {
        let encoded = format!("{name}_base64");
        if is_set(value, name) && is_set(value, &encoded) {
            let why = format!("`{name}` and `{encoded}` are the same in two forms; take one out");
            let key = "transport.link.tls".to_owned();
            let kind = ConfigErrorKind::BadValue { key, why };
            return Err(checked.source.error_at(checked.span(&path(&encoded)), kind));
        }
    }
    Ok(())
}

/// One end of a TLS link.
struct End<'a> {
    value: &'a Value,
    endpoint: Endpoint<'a>,
    is_listener: bool,
}

impl End<'_> {
    /// The first of `names` that neither the configuration nor the endpoint sets.
    fn lacks(&self, names: &[&'static str]) -> Option<&'static str> {
        names.iter().copied().find(|name| {
            !is_set(self.value, name)
                && !is_set(self.value, &format!("{name}_base64"))
                && !is_set_in(&self.endpoint, name)
        })
    }

    /// Refuses a listener without a certificate or its key.
    fn check_certificate(&self, checked: &Checked<'_>, at: &[String]) -> Result<(), ConfigError> {
        let needed = ["listen_certificate", "listen_private_key"];
        let Some(name) = self.lacks(&needed).filter(|_| self.is_listener) else { return Ok(()) };
        let why = format!("listening with TLS needs `transport.link.tls.{name}`, a PEM file");
        let kind = ConfigErrorKind::BadValue { key: self.endpoint.text.to_owned(), why };
        Err(checked.source.error_at(checked.span(at), kind))
    }

    /// With `enable_mtls`: a listener needs authorities, and a dialer needs a certificate.
    fn check_mutual(&self, checked: &Checked<'_>, at: &[String]) -> Result<(), ConfigError> {
        let own = self.endpoint.setting("enable_mtls");
        if !is_mutual(self.value, &self.endpoint) {
            return Ok(());
        }
        let (needed, why): (&[_], _) = if self.is_listener {
            (
                &["root_ca_certificate"],
                "a node that dials this one shows a certificate then: set `root_ca_certificate`, \
                 the file of the authority that it must be of, or switch `enable_mtls` off",
            )
        } else {
            (
                &["connect_certificate", "connect_private_key"],
                "this node, which dials, shows a certificate then: set `connect_certificate` and \
                 `connect_private_key`",
            )
        };
        let at = if own.is_some() { at.to_vec() } else { path(MUTUAL) };
        self.lacks(needed).map_or(Ok(()), |_| Err(checked.bad(&at, why)))
    }
}

/// Whether mutual TLS is on, but this node has no certificate to show where it dials.
pub(super) fn shows_nothing(value: &Value) -> bool {
    let lacks = |name: &str| !is_set(value, name) && !is_set(value, &format!("{name}_base64"));
    is_mutual_with_found_nodes(value)
        && (lacks("connect_certificate") || lacks("connect_private_key"))
}

/// Whether both ends of the endpoint's links show a certificate.
pub(super) fn is_mutual(value: &Value, endpoint: &Endpoint<'_>) -> bool {
    tls_flag(value, endpoint, MUTUAL).unwrap_or(false)
}

/// Whether this node checks the host name in the certificate of a peer that it dials.
pub(super) fn verifies_name(value: &Value, endpoint: &Endpoint<'_>) -> bool {
    tls_flag(value, endpoint, "verify_name_on_connect").unwrap_or(true)
}

/// The flag of the endpoint, or else the shared one; `None` if neither is set.
fn tls_flag(value: &Value, endpoint: &Endpoint<'_>, name: &str) -> Option<bool> {
    endpoint.setting(name).map(|own| own == "true").or_else(|| shared_flag(value, name))
}

/// The flag that applies to links of endpoints without a flag of their own, and of found nodes.
fn shared_flag(value: &Value, name: &str) -> Option<bool> {
    value.pointer(&format!("{TLS}/{name}")).and_then(Value::as_bool)
}

/// Whether this node shows a certificate to nodes that it finds.
pub(super) fn is_mutual_with_found_nodes(value: &Value) -> bool {
    shared_flag(value, MUTUAL).unwrap_or(false)
}

fn is_set(value: &Value, name: &str) -> bool {
    value.pointer(&format!("{TLS}/{name}")).is_some_and(|set| !set.is_null())
}

/// Whether the endpoint sets `name` as a file, as base64 or as text.
fn is_set_in(endpoint: &Endpoint<'_>, name: &str) -> bool {
    let mut forms = ["file", "base64", "raw"].into_iter();
    forms.any(|form| endpoint.setting(&format!("{name}_{form}")).is_some())
}
