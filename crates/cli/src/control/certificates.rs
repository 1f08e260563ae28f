//! Certificates for clients of the control socket.

use std::collections::HashMap;

use mailmesh::{Certs, DomainNames, EventError, HostName};
use serde_json::{Value, json};

/// The certificates; with each of its names the certificate that hosts of this name get, and why.
pub(super) fn list(certs: &Certs<'_>) -> Value {
    let chosen: HashMap<_, _> = certs.by_name().into_iter().collect();
    let describe = |name: &str, own| {
        let chosen = chosen.get(name)?;
        let gets = chosen.certificate.fingerprint();
        Some(json!({
            "name": name, "presented": gets == own, "fingerprint": gets, "why": chosen.to_string(),
        }))
    };
    let with_reasons = certs.list().into_iter().map(|certificate| {
        let own = certificate.fingerprint();
        let names = certificate.names().iter().filter_map(|name| describe(name, own));
        let names: Vec<_> = names.collect();
        let mut value = json!(*certificate);
        value["hosts"] = json!(names);
        value
    });
    with_reasons.collect()
}

/// The names, those in other scripts as the A-labels that certificates have.
pub(super) fn names(given: &[String]) -> Result<DomainNames, EventError> {
    DomainNames::new(given.iter().map(|name| {
        let (wildcard, host) = match name.strip_prefix("*.") {
            Some(parent) => ("*.", parent),
            None => ("", name.as_str()),
        };
        match HostName::new(host) {
            Some(host) => format!("{wildcard}{}", host.as_str()),
            // Refused with the reason.
            None => name.clone(),
        }
    }))
}
