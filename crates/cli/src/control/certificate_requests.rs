//! Requests of the control socket that concern certificates.

use std::collections::HashMap;

use mailmesh::{
    Certificate, CertificateDetails, Certs, DomainNames, EventError, HostName, Node,
    read_certificate,
};
use serde_json::{Value, json};

use super::cluster_time::cluster_now;

/// Adds a certificate; with `force` also an expired one. Returns the certificate and the warnings
/// about its files.
pub(super) async fn add(
    cluster: &Node,
    chain_pem: &str,
    key_pem: &str,
    force: bool,
) -> Result<Value, String> {
    let (certs, now) = (cluster.certs(), cluster_now(cluster.status().clock_correction_ms));
    let found = read_certificate(chain_pem.as_bytes(), key_pem.as_bytes(), now);
    let found = found.map_err(|error| error.to_string())?;
    let mut value = certificate_json(&found.certificate);
    let warnings: Vec<_> = found.warnings.iter().map(ToString::to_string).collect();
    value["warnings"] = json!(warnings);
    let set = match force {
        true => certs.set_even_if_over(found.certificate).await,
        false => certs.set(found.certificate).await,
    };
    set.map_err(|error| error.to_string())?;
    Ok(value)
}

/// A certificate with its issuer, key type and chain length, without its private key.
fn certificate_json(certificate: &Certificate) -> Value {
    let mut value = json!(certificate);
    if let Ok(details) = CertificateDetails::of(certificate) {
        value["issuer"] = json!(details.issuer);
        value["key_type"] = json!(details.key.to_string());
        value["chain_length"] = json!(details.chain_len);
    }
    value
}

/// The certificates. For each name of a certificate, `hosts` has the certificate that hosts of
/// this name present, and the reason.
pub(super) fn list(certs: &Certs<'_>) -> Value {
    let chosen: HashMap<_, _> = certs.by_name().into_iter().collect();
    let describe = |name: &str, own| {
        let chosen = chosen.get(name)?;
        let presented = chosen.certificate.fingerprint();
        Some(json!({
            "name": name, "presented": presented == own, "fingerprint": presented,
            "why": chosen.to_string(),
        }))
    };
    let all = certs.list().into_iter().map(|certificate| {
        let own = certificate.fingerprint();
        let names = certificate.names().iter().filter_map(|name| describe(name, own));
        let names: Vec<_> = names.collect();
        let mut value = certificate_json(&certificate);
        value["hosts"] = json!(names);
        value
    });
    all.collect()
}

/// Parses DNS names; names in other scripts become A-labels (RFC 5890), as in certificates.
pub(super) fn parse_names(given: &[String]) -> Result<DomainNames, EventError> {
    DomainNames::new(given.iter().map(|name| {
        let (wildcard, host) = match name.strip_prefix("*.") {
            Some(parent) => ("*.", parent),
            None => ("", name.as_str()),
        };
        match HostName::new(host) {
            Some(host) => format!("{wildcard}{}", host.as_str()),
            // `DomainNames::new` refuses it with the reason.
            None => name.clone(),
        }
    }))
}
