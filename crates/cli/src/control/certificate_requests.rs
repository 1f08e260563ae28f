//! Requests of the control socket that concern certificates.

use std::collections::HashMap;

use mailmesh::secrets::redact;
use mailmesh::{
    Certificate, CertificateDetails, Certs, DomainNames, EventError, HostName, MirrorError, Node,
    StateError, read_certificate,
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
        true => certs.set(found.certificate).force().await,
        false => certs.set(found.certificate).await,
    };
    set.map_err(|error| match &error {
        MirrorError::Refused(StateError::FewerIssuers { .. }) => {
            format!("{error}, or set it all the same with `--force`")
        }
        _ => error.to_string(),
    })?;
    Ok(value)
}

/// Maximum number of certificates that an error names.
const MAX_SHOWN_CERTIFICATES: usize = 3;

/// Withdraws the certificate with exactly these names. If they are some names of a certificate, the
/// error contains the command with all of them: the other names would no longer be served either.
pub(super) async fn remove(node: &Node, given: &[String]) -> Result<Value, String> {
    // A key that was given in place of a name is not shown.
    let names = parse_names(given).map_err(|error| redact(&error.to_string()))?;
    let certs = node.certs();
    let error = match certs.withdraw(names.clone()).await {
        Ok(()) => return Ok(json!(names)),
        Err(error @ MirrorError::Refused(StateError::NotFound { .. })) => error,
        Err(error) => return Err(error.to_string()),
    };
    let has_one = |certificate: &Certificate| {
        certificate.names().iter().any(|name| names.iter().any(|given| given == name))
    };
    let commands: Vec<String> = certs
        .list()
        .iter()
        .filter(|certificate| has_one(certificate))
        .take(MAX_SHOWN_CERTIFICATES)
        .map(|certificate| {
            let all: Vec<&str> = certificate.names().iter().collect();
            format!("`mailmesh cert remove {}`", all.join(" "))
        })
        .collect();
    if commands.is_empty() {
        let error = redact(&error.to_string());
        return Err(format!("{error}; `mailmesh cert list` shows the certificates there are"));
    }
    Err(format!(
        "no certificate has exactly these names; a certificate is withdrawn by all of its \
         names: {}",
        commands.join(" or ")
    ))
}

/// A certificate with its issuer, key type and chain length, without its private key.
fn certificate_json(certificate: &Certificate) -> Value {
    let mut value = json!(certificate);
    if let Ok(details) = CertificateDetails::try_from(certificate) {
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
fn parse_names(given: &[String]) -> Result<DomainNames, EventError> {
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
