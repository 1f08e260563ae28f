//! The configuration that Zenoh is given: the checked one with mailmesh's defaults, and with the
//! changes that the proof of the cluster key, the host's addresses and faults of Zenoh ask for.

use std::fmt;

use serde_json::{Value, json};

use super::addresses::HostAddresses;
use super::endpoint::Endpoint;
use super::endpoint_lists::each_text;
use super::error::{ConfigError, ConfigErrorKind};
use super::listening::Listening;
use super::prove::prove;
use super::readdress::name_addresses;
use super::resolve::zoned;
use super::tls_endpoints::take_brackets;
use super::zenoh_settings::{LEASE_MS, ZenohSettings};
use crate::link_proof::SessionProof;

/// Default keep-alives of a lease: one each 1.5 s if nothing else was sent. Each link carries a
/// heartbeat every second, so an idle node sends no keep-alive. With Zenoh's default, 4, each
/// heartbeat would have a keep-alive beside it.
const KEEP_ALIVES: u64 = 2;
/// Default of the largest message accepted from a link, in bytes: almost two of mailmesh's largest
/// frames (260 KiB each). Zenoh's default is 1 GiB.
const MAX_MESSAGE_LEN: usize = 512 << 10;
/// Default number of 64 KiB batches of events that may wait for a link: enough for one flight while
/// the link's task is not scheduled. Zenoh's default is 2.
const DATA_QUEUE_BATCHES: usize = 4;

/// The configuration for Zenoh, with mailmesh's defaults for unset values. With a proof, each
/// link proves the cluster key, and the node listens at `listening`.
///
/// # Errors
/// [`ConfigErrorKind::Zenoh`] if Zenoh refuses the result, and the errors of the proof.
pub(crate) fn zenoh_config(
    settings: &ZenohSettings,
    listening: Option<&Listening>,
    proof: Option<&SessionProof>,
) -> Result<zenoh::Config, ConfigError> {
    let refused = |error: &dyn fmt::Display| {
        let why = settings.hide(&error.to_string(), proof);
        ConfigError::new(ConfigErrorKind::Zenoh { why })
    };
    let value = given_to_zenoh(settings, listening, proof)?;
    let mut config = zenoh::Config::from_json5(&value.to_string()).map_err(|e| refused(&e))?;
    let defaults = [
        ("/transport/link/tx/lease", LEASE_MS.to_string()),
        ("/transport/link/tx/keep_alive", KEEP_ALIVES.to_string()),
        ("/transport/link/rx/max_message_size", MAX_MESSAGE_LEN.to_string()),
        ("/transport/link/tx/queue/size/data", DATA_QUEUE_BATCHES.to_string()),
    ];
    for (pointer, default) in defaults {
        if settings.value().pointer(pointer).is_none() {
            config.insert_json5(&pointer[1..], &default).map_err(|e| refused(&e))?;
        }
    }
    Ok(config)
}

/// The configuration that Zenoh is given, without mailmesh's defaults.
///
/// # Errors
/// Those of the proof.
pub(super) fn given_to_zenoh(
    settings: &ZenohSettings,
    listening: Option<&Listening>,
    proof: Option<&SessionProof>,
) -> Result<Value, ConfigError> {
    let mut value = settings.value().clone();
    // Operators may use one list for all nodes, but Zenoh refuses a node that connects to
    // itself, and would retry for ever.
    if let Some(connect) = value.pointer_mut("/connect/endpoints") {
        leave_out(connect, &settings.endpoints("listen"));
    }
    if !matches!(proof, Some(SessionProof::Gate(_)))
        && let Some(now) = HostAddresses::unknown_to_zenoh()
    {
        name_addresses(&now, &mut value, settings, listening.is_none());
    }
    if let Some(proof) = proof {
        prove(&mut value, settings, listening, proof)?;
    }
    settings.mend(&mut value);
    number_zones(&mut value)?;
    take_brackets(&mut value);
    Ok(value)
}

/// The configuration of the trial session, which neither listens nor dials.
///
/// # Errors
/// [`ConfigErrorKind::Zenoh`] if Zenoh refuses the configuration.
pub(super) fn trial_config(settings: &ZenohSettings) -> Result<zenoh::Config, ConfigError> {
    let mut value = settings.value().clone();
    // A client opens only with a router, and a router waits for others.
    value["mode"] = json!("peer");
    for (section, alone) in [
        ("listen", json!({ "endpoints": [] })),
        ("connect", json!({ "endpoints": [] })),
        ("scouting", json!({ "multicast": { "enabled": false } })),
    ] {
        value[section] = alone;
    }
    zenoh_config(&settings.with_value(value), None, None)
}

/// The configuration of a short-lived session whose only connect endpoints are `locators`.
///
/// # Errors
/// [`ConfigErrorKind::Zenoh`] if Zenoh refuses the configuration.
pub(crate) fn introducing_config(
    settings: &ZenohSettings,
    locators: &[String],
    proof: Option<&SessionProof>,
) -> Result<zenoh::Config, ConfigError> {
    let mut value = json!({
        "mode": "peer",
        "listen": { "endpoints": [] },
        "connect": { "endpoints": locators, "timeout_ms": 500, "exit_on_failure": false },
        "scouting": { "multicast": { "enabled": false }, "gossip": { "enabled": true } },
    });
    // The session makes links as the node does, with the same certificates.
    if let Some(transport) = settings.value().get("transport") {
        value["transport"] = transport.clone();
    }
    zenoh_config(&settings.with_value(value), None, proof)
}

/// Writes the zones of IPv6 addresses as numbers: Zenoh accepts no interface name as a zone.
fn number_zones(value: &mut Value) -> Result<(), ConfigError> {
    for section in ["listen", "connect"] {
        let Some(endpoints) = value.pointer_mut(&format!("/{section}/endpoints")) else { continue };
        each_text(endpoints, &|text| {
            let address = Endpoint::of(text).address;
            let numbered = address.contains('%').then(|| zoned(address)).flatten();
            Ok(match numbered {
                Some(numbered) => text.replacen(address, &numbered.to_string(), 1),
                None => text.to_owned(),
            })
        })?;
    }
    Ok(())
}

/// Removes a node's own endpoints from those that it dials.
fn leave_out(endpoints: &mut Value, own: &[String]) {
    match endpoints {
        Value::Array(items) => {
            items
                .retain(|item| item.as_str().is_none_or(|text| !own.iter().any(|own| own == text)));
            items.iter_mut().for_each(|item| leave_out(item, own));
        }
        Value::Object(map) => map.values_mut().for_each(|value| leave_out(value, own)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_removes_its_own_endpoints_from_the_connect_list() {
        let own = ["tcp/10.0.0.1:7447".to_owned()];
        for (connect, left) in [
            (
                serde_json::json!(["tcp/10.0.0.1:7447", "tcp/10.0.0.2:7447"]),
                serde_json::json!(["tcp/10.0.0.2:7447"]),
            ),
            (
                serde_json::json!({"peer": ["tcp/10.0.0.1:7447"], "router": []}),
                serde_json::json!({"peer": [], "router": []}),
            ),
            (serde_json::json!([["tcp/10.0.0.1:7447"]]), serde_json::json!([[]])),
        ] {
            let mut connect = connect;
            leave_out(&mut connect, &own);
            assert_eq!(connect, left);
        }
    }
}
