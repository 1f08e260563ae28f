//! Certificates for clients of the control socket.

use std::collections::HashMap;

use mailmesh::secrets::redact;
use mailmesh::{
    Certificate, CertificateDetails, Certs, Cluster, DomainNames, Error, EventError, HostName,
    StateError, read_certificate,
};
use serde_json::{Value, json};

use super::cluster_now;

/// Sets a certificate, with `force` also one that has expired. Returns the certificate that was
/// taken, with its warnings.
pub(super) async fn add(
    cluster: &Cluster,
    chain_pem: &str,
    key_pem: &str,
    force: bool,
) -> Result<Value, String> {
    let (certs, now) = (cluster.certs(), cluster_now(cluster.status().clock_correction_ms));
    let found = read_certificate(chain_pem.as_bytes(), key_pem.as_bytes(), now);
    let found = found.map_err(|error| error.to_string())?;
    let mut value = described(&found.certificate);
    let said: Vec<_> = found.warnings.iter().map(ToString::to_string).collect();
    value["warnings"] = json!(said);
    let set = match force {
        true => certs.set_even_if_over(found.certificate).await,
        false => certs.set(found.certificate).await,
    };
    set.map_err(|error| match &error {
        Error::State(StateError::FewerIssuers { .. }) => {
            format!("{error}, or set it all the same with `--force`")
        }
        _ => error.to_string(),
    })?;
    Ok(value)
}

/// Certificates that an error names.
const NAMED: usize = 3;

/// Withdraws the certificate of exactly these names. Where they are some names of a certificate,
/// the error has the command with all of them: it stops serving the others, too.
pub(super) async fn remove(cluster: &Cluster, given: &[String]) -> Result<Value, String> {
    // A key that was given for a name is not shown.
    let names = names(given).map_err(|error| redact(&error.to_string()))?;
    let certs = cluster.certs();
    let error = match certs.withdraw(names.clone()).await {
        Ok(()) => return Ok(json!(names)),
        Err(error @ Error::State(StateError::NotFound { .. })) => error,
        Err(error) => return Err(error.to_string()),
    };
    let has_one = |certificate: &Certificate| {
        let mut of_it = certificate.names().iter();
        of_it.any(|name| names.iter().any(|given| given == name))
    };
    let commands: Vec<String> = certs
        .list()
        .iter()
        .filter(|certificate| has_one(certificate))
        .take(NAMED)
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

/// A certificate with what it says of itself; never its key.
fn described(certificate: &Certificate) -> Value {
    let mut value = json!(certificate);
    if let Ok(details) = CertificateDetails::of(certificate) {
        value["issuer"] = json!(details.issuer);
        value["key_type"] = json!(details.key.to_string());
        value["chain_length"] = json!(details.chain_len);
    }
    value
}

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
        let mut value = described(&certificate);
        value["hosts"] = json!(names);
        value
    });
    with_reasons.collect()
}

/// The names, those in other scripts as the A-labels that certificates have.
fn names(given: &[String]) -> Result<DomainNames, EventError> {
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
