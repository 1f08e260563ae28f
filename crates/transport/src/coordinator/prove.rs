//! Changes a Zenoh configuration so that its links prove the cluster key.

use serde_json::{Value, json};

use super::endpoint_lists::each_text;
use super::error::ConfigError;
use super::listening::Listening;
use super::tls_endpoints::{PROOF_TIMEOUT_MS, as_tls};
use super::zenoh_settings::ZenohSettings;
use crate::gate::SessionSlots;
use crate::link_keys::TlsCredentials;
use crate::link_proof::SessionProof;

/// Most open links that have not proven the key.
const MAX_PENDING_LINKS: u32 = 1_000;
/// Timeout of a slot that waits for a link before Zenoh dials it again, in milliseconds: a day.
const SLOT_TIMEOUT_MS: u32 = 86_400_000;
/// Links that Zenoh accepts behind the gate: the 1,024 of the gate, and as many that are closing.
const MIN_SESSIONS: u64 = 2_048;

/// Changes a configuration so that every link proves the cluster key.
///
/// # Errors
/// [`ConfigErrorKind::BadValue`] for an endpoint that TLS cannot dial.
pub(super) fn prove(
    value: &mut Value,
    settings: &ZenohSettings,
    listening: Option<&Listening>,
    proof: &SessionProof,
) -> Result<(), ConfigError> {
    if let SessionProof::Gate(slots) = proof {
        behind_the_gate(value, settings, slots);
        return Ok(());
    }
    if let Some(listening) = listening.filter(|_| settings.mode() != "client") {
        let endpoints = listening.endpoints();
        value["listen"]["endpoints"] = json!({ settings.mode(): endpoints });
    }
    if settings.discovers(false) {
        value["scouting"]["multicast"]["enabled"] = json!(false);
    }
    set_defaults(value);
    match proof {
        SessionProof::Gate(_) => Ok(()),
        SessionProof::Challenge { own, accepted, .. } => {
            value["transport"]["link"]["protocols"] = json!(["tcp"]);
            value["transport"]["auth"]["usrpwd"] = json!({
                "user": own.user,
                "password": *own.password,
                "dictionary_file": accepted.path(),
            });
            Ok(())
        }
        SessionProof::Tls(credentials) => encrypt(value, credentials),
    }
}

/// Sets what the operator left unset, for links that prove the key to Zenoh itself.
fn set_defaults(value: &mut Value) {
    let unicast = &mut value["transport"]["unicast"];
    for (key, bound) in
        [("accept_timeout", PROOF_TIMEOUT_MS), ("accept_pending", MAX_PENDING_LINKS)]
    {
        if unicast[key].is_null() {
            unicast[key] = json!(bound);
        }
    }
    // Zenoh would wait up to 500 ms for the first links, which delivery does not need.
    let conditions = &mut value["open"]["return_conditions"];
    if conditions.is_null() {
        *conditions = json!({ "connect_scouted": false, "declares": false });
    }
    // Zenoh refuses the second link of a pair whose logins differ, and logins differ by direction.
    // If two nodes dialed each other at once, each would refuse the other's link: only one dials.
    let gossip = &mut value["scouting"]["gossip"];
    if gossip["autoconnect_strategy"].is_null() {
        gossip["autoconnect_strategy"] = json!({ "router": "greater-zid", "peer": "greater-zid" });
    }
    // Peers dial a reopened session again before senders drop this node (500 ms).
    let retry = &mut value["connect"]["retry"];
    if retry.is_null() {
        *retry =
            json!({ "period_init_ms": 100, "period_max_ms": 4_000, "period_increase_factor": 2 });
    }
}

/// Makes Zenoh listen for the gate and dial the gate, and nothing else.
fn behind_the_gate(value: &mut Value, settings: &ZenohSettings, slots: &SessionSlots) {
    value["listen"] = json!({ "endpoints": { settings.mode(): [slots.listen()] } });
    value["connect"] = json!({
        "endpoints": { settings.mode(): slots.connect() },
        "timeout_ms": -1,
        "exit_on_failure": false,
        "retry": { "period_init_ms": 20, "period_max_ms": 200, "period_increase_factor": 2 },
    });
    value["scouting"]["multicast"]["enabled"] = json!(false);
    value["scouting"]["gossip"]["enabled"] = json!(false);
    value["open"]["return_conditions"] = json!({ "connect_scouted": false, "declares": false });
    value["transport"]["link"]["protocols"] = json!(["unixsock-stream"]);
    let unicast = &mut value["transport"]["unicast"];
    unicast["open_timeout"] = json!(SLOT_TIMEOUT_MS);
    // Only proven nodes get this far.
    unicast["accept_pending"] = json!(MAX_PENDING_LINKS);
    let max_sessions = unicast["max_sessions"].as_u64().unwrap_or(0).max(MIN_SESSIONS);
    unicast["max_sessions"] = json!(max_sessions);
}

fn encrypt(value: &mut Value, credentials: &TlsCredentials) -> Result<(), ConfigError> {
    for (section, listens) in [("listen", true), ("connect", false)] {
        if let Some(endpoints) = value.pointer_mut(&format!("/{section}/endpoints")) {
            each_text(endpoints, &|endpoint| as_tls(endpoint, listens))?;
        }
    }
    let TlsCredentials { authorities, certificate, private_key } = credentials;
    let link = &mut value["transport"]["link"];
    link["protocols"] = json!(["tls"]);
    link["tls"] = json!({
        "root_ca_certificate_base64": authorities,
        "listen_certificate_base64": certificate,
        "listen_private_key_base64": **private_key,
        "connect_certificate_base64": certificate,
        "connect_private_key_base64": **private_key,
        "enable_mtls": true,
        "verify_name_on_connect": true,
    });
    Ok(())
}
