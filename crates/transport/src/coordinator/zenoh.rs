//! The Zenoh configuration: mailmesh's own checks, whose errors are clearer, and then the check by
//! Zenoh's own parser, which decides.

use std::fmt;

use mailmesh_secrets::redact;
use serde_json::{Value, json};

use super::Warning;
use super::addresses::HostAddresses;
use super::ask_zenoh::ask_zenoh;
use super::checked::Checked;
use super::endpoint::Endpoint;
use super::endpoint_check;
use super::error::{ConfigError, ConfigErrorKind, Place};
use super::former;
use super::known::{list, nearest};
use super::link_limits;
use super::listening::Listening;
use super::mask::without_source;
use super::outline::Outline;
use super::preflight::Needs;
use super::proof::{each_text, prove};
use super::resolve::zoned;
use super::shapes;
use super::source::Source;
use super::tls::secrets;
use super::tls_literals::take_brackets;
use crate::link_proof::{LinkProof, SessionProof};

/// Default link lease in milliseconds. With Zenoh's default, a cut goes unnoticed for 10 s.
pub(super) const LEASE_MS: u64 = 3_000;
/// Default keep-alives of a lease: one each 1.5 s if nothing else was sent. Each link carries a
/// heartbeat every second, so an idle node sends no keep-alive. With Zenoh's default, 4, each
/// heartbeat would have a keep-alive beside it.
const KEEP_ALIVES: u64 = 2;
/// Default of the largest message accepted from a link, in bytes: almost two of mailmesh's largest
/// frames (260 KiB each). Zenoh's default is 1 GiB.
const MAX_MESSAGE: usize = 512 << 10;
/// Default number of 64 KiB batches of events that may wait for a link: enough for one flight while
/// the link's task is not scheduled. Zenoh's default is 2.
const DATA_QUEUE: usize = 4;
const MODES: [&str; 3] = ["peer", "client", "router"];

/// A checked Zenoh configuration.
#[derive(Clone)]
pub struct ZenohSettings {
    value: Value,
    needs: Needs,
    /// `mesh.names`: more names by which other nodes dial this one.
    names: Vec<String>,
    /// How links prove the cluster key, if there is a key.
    proof: Option<LinkProof>,
    pub(crate) first_slots: Option<usize>,
}

/// Omits the configuration, which may hold keys and passwords.
impl fmt::Debug for ZenohSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZenohSettings").field("mode", &self.mode()).finish_non_exhaustive()
    }
}

impl ZenohSettings {
    /// Sets how many links a gated node may dial before its session is reopened; for tests.
    #[doc(hidden)]
    #[must_use]
    pub fn with_first_slots(mut self, slots: usize) -> Self {
        self.first_slots = Some(slots);
        self
    }

    pub(super) fn check(
        source: &Source<'_>,
        outline: &Outline,
        value: Value,
    ) -> Result<Self, ConfigError> {
        Self::check_at(source, outline, &[], value)
    }

    pub(super) fn check_at(
        source: &Source<'_>,
        outline: &Outline,
        prefix: &[&str],
        value: Value,
    ) -> Result<Self, ConfigError> {
        let checked = Checked::new(source, outline, prefix);
        check_mode(&checked, &value)?;
        check_multicast_address(&checked, &value)?;
        check_negative(&checked, &value, &mut Vec::new())?;
        former::check(&checked, &value)?;
        for section in ["listen", "connect"] {
            for (path, text) in endpoints(&value, section) {
                let is_dialed = section == "connect";
                endpoint_check::check(&text, is_dialed).map_err(|why| checked.bad(&path, why))?;
            }
        }
        shapes::check(&checked, &value)?;
        link_limits::check(&checked, &value)?;
        ask_zenoh(&checked, &value)?;
        let needs = Needs::of(&checked, &value)?;
        Ok(Self {
            value,
            needs,
            names: Vec::new(),
            proof: Some(LinkProof::default()),
            first_slots: None,
        })
    }

    /// Applies the settings of `mesh` that concern links.
    pub(super) fn link_as(&mut self, names: &[String], proof: Option<LinkProof>) {
        (self.names, self.proof) = (names.to_vec(), proof);
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    pub(super) fn proof(&self) -> Option<LinkProof> {
        self.proof
    }

    /// The configuration for Zenoh, with mailmesh's defaults for unset values. With a proof, each
    /// link proves the cluster key, and the node listens at `listening`.
    ///
    /// # Errors
    /// [`ConfigErrorKind::Zenoh`] if Zenoh refuses the result, and the errors of the proof.
    pub(crate) fn to_zenoh(
        &self,
        listening: Option<&Listening>,
        proof: Option<&SessionProof>,
    ) -> Result<zenoh::Config, ConfigError> {
        let refused = |error: &dyn fmt::Display| {
            let why = self.hide(&error.to_string(), proof);
            ConfigError::new(ConfigErrorKind::Zenoh { why })
        };
        let value = self.given_to_zenoh(listening, proof)?;
        let mut config = zenoh::Config::from_json5(&value.to_string()).map_err(|e| refused(&e))?;
        let defaults = [
            ("/transport/link/tx/lease", LEASE_MS.to_string()),
            ("/transport/link/tx/keep_alive", KEEP_ALIVES.to_string()),
            ("/transport/link/rx/max_message_size", MAX_MESSAGE.to_string()),
            ("/transport/link/tx/queue/size/data", DATA_QUEUE.to_string()),
        ];
        for (pointer, default) in defaults {
            if self.value.pointer(pointer).is_none() {
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
        &self,
        listening: Option<&Listening>,
        proof: Option<&SessionProof>,
    ) -> Result<Value, ConfigError> {
        let mut value = self.value.clone();
        // Operators may use one list for all nodes, but Zenoh refuses a node that connects to
        // itself, and would retry for ever.
        if let Some(connect) = value.pointer_mut("/connect/endpoints") {
            leave_out(connect, &self.endpoints("listen"));
        }
        if !matches!(proof, Some(SessionProof::Gate(_)))
            && let Some(now) = HostAddresses::unknown_to_zenoh()
        {
            now.put_into(&mut value, self, listening.is_none());
        }
        if let Some(proof) = proof {
            prove(&mut value, self, listening, proof)?;
        }
        self.needs.mend(&mut value);
        number_zones(&mut value)?;
        take_brackets(&mut value);
        Ok(value)
    }

    /// Whether multicast scouting is on.
    pub(crate) fn scouts(&self) -> bool {
        let enabled = self.value.pointer("/scouting/multicast/enabled");
        enabled.and_then(Value::as_bool).unwrap_or(true)
    }

    /// The configuration of the trial session, which neither listens nor dials.
    ///
    /// # Errors
    /// [`ConfigErrorKind::Zenoh`] if Zenoh refuses the configuration.
    pub(super) fn for_trial(&self) -> Result<zenoh::Config, ConfigError> {
        let mut value = self.value.clone();
        // A client opens only with a router, and a router waits for others.
        value["mode"] = json!("peer");
        for (section, alone) in [
            ("listen", json!({ "endpoints": [] })),
            ("connect", json!({ "endpoints": [] })),
            ("scouting", json!({ "multicast": { "enabled": false } })),
        ] {
            value[section] = alone;
        }
        self.with_value(value).to_zenoh(None, None)
    }

    /// The same settings with another Zenoh configuration.
    pub(super) fn with_value(&self, value: Value) -> Self {
        Self { value, ..self.clone() }
    }

    /// The configuration of a short-lived session whose only connect endpoints are `locators`.
    ///
    /// # Errors
    /// [`ConfigErrorKind::Zenoh`] if Zenoh refuses the configuration.
    pub(crate) fn for_introducing(
        &self,
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
        if let Some(transport) = self.value.get("transport") {
            value["transport"] = transport.clone();
        }
        self.with_value(value).to_zenoh(None, proof)
    }

    /// Checks that the machine meets the configuration; see
    /// [`Coordinator::preflight`](super::Coordinator::preflight).
    ///
    /// # Errors
    /// The first fault found.
    pub fn preflight(&self) -> Result<Vec<Warning>, ConfigError> {
        self.needs.check()
    }

    pub(super) fn check_embedded(&self) -> Result<Vec<Warning>, ConfigError> {
        self.needs.check_embedded()
    }

    /// Removes the secrets of the configuration and of the session from an error of a library that
    /// was given the configuration.
    pub(crate) fn hide(&self, words: &str, proof: Option<&SessionProof>) -> String {
        // Includes the secrets that Zenoh was given in place of files.
        let mut given = self.value.clone();
        self.needs.mend(&mut given);
        let mut found = Vec::new();
        secrets(&self.value, false, &mut found);
        secrets(&given, false, &mut found);
        let mut words = proof.map_or_else(|| words.to_owned(), |proof| proof.hide(words));
        for secret in found.iter().filter(|secret| !secret.is_empty()) {
            words = words.replace(secret.as_str(), "***");
        }
        redact(&without_source(&words))
    }

    pub(super) fn value(&self) -> &Value {
        &self.value
    }

    pub(super) fn mode(&self) -> &str {
        self.value.get("mode").and_then(Value::as_str).unwrap_or("peer")
    }

    /// The endpoints of a section that apply to the mode.
    pub(super) fn endpoints(&self, section: &str) -> Vec<String> {
        let all = endpoints_of_mode(&self.value, section, self.mode());
        all.into_iter().map(|(_, text)| text).collect()
    }

    /// The endpoints that this node dials: `connect.endpoints` without its own listen endpoints.
    pub(super) fn others(&self) -> Vec<String> {
        let own = self.endpoints("listen");
        let mut others = self.endpoints("connect");
        others.retain(|other| !own.contains(other));
        others
    }

    pub(super) fn flag(&self, pointer: &str, default: bool) -> bool {
        self.value.pointer(pointer).and_then(Value::as_bool).unwrap_or(default)
    }

    /// The position of the multicast group, if the configuration names one.
    pub(super) fn group_place(&self) -> Option<&Place> {
        self.needs.group()
    }
}

fn check_mode(checked: &Checked<'_>, value: &Value) -> Result<(), ConfigError> {
    let path = ["mode".to_owned()];
    match value.get("mode") {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(mode)) if MODES.contains(&mode.as_str()) => Ok(()),
        Some(Value::String(mode)) => {
            let hint = nearest(mode, MODES).map(|m| format!(", did you mean \"{m}\"?"));
            let expected = list(&MODES);
            let why = format!(
                "there is no mode \"{mode}\"{}; expected {expected}",
                hint.unwrap_or_default()
            );
            Err(checked.bad(&path, why))
        }
        Some(other) => Err(checked.wrong(&path, other, "one of \"peer\", \"client\", \"router\"")),
    }
}

fn check_multicast_address(checked: &Checked<'_>, value: &Value) -> Result<(), ConfigError> {
    let path = ["scouting", "multicast", "address"].map(str::to_owned);
    let Some(found) = value.pointer("/scouting/multicast/address").filter(|v| !v.is_null()) else {
        return Ok(());
    };
    let Value::String(text) = found else {
        return Err(checked.wrong(&path, found, "a string like \"224.0.0.224:7446\""));
    };
    let Ok(address) = text.parse::<std::net::SocketAddr>() else {
        if text.starts_with('[') && text.contains('%') {
            let why = "no zone stands here; name the interface in `scouting.multicast.interface`";
            return Err(checked.bad(&path, why));
        }
        let why = format!(
            "\"{text}\" is not an address and port; expected one like \"224.0.0.224:7446\""
        );
        return Err(checked.bad(&path, why));
    };
    if !address.ip().is_multicast() {
        let why = format!(
            "{} is not a multicast address; expected one from 224.0.0.0 to 239.255.255.255, or ff00::/8",
            address.ip()
        );
        return Err(checked.bad(&path, why));
    }
    Ok(())
}

/// Refuses negative numbers: the json5 crate reads one as 0 where an unsigned number is expected.
/// Keys named `timeout_ms` are exempt: those of `connect` and `listen` may be negative ("for
/// ever").
fn check_negative(
    checked: &Checked<'_>,
    value: &Value,
    path: &mut Vec<String>,
) -> Result<(), ConfigError> {
    let children: Vec<(String, &Value)> = match value {
        Value::Number(number) if number.as_f64().is_some_and(|n| n < 0.0) => {
            return Err(checked.wrong(path, value, "a whole number, 0 or more"));
        }
        Value::Array(items) => items.iter().enumerate().map(|(i, v)| (i.to_string(), v)).collect(),
        Value::Object(map) => map.iter().map(|(key, v)| (key.clone(), v)).collect(),
        _ => return Ok(()),
    };
    for (key, child) in children.into_iter().filter(|(key, _)| key != "timeout_ms") {
        path.push(key);
        check_negative(checked, child, path)?;
        path.pop();
    }
    Ok(())
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

/// The endpoints of a section that apply to a mode, each with its path.
pub(super) fn endpoints_of_mode(
    value: &Value,
    section: &str,
    mode: &str,
) -> Vec<(Vec<String>, String)> {
    let mut all = endpoints(value, section);
    all.retain(|(path, _)| {
        path.get(2).is_none_or(|part| part == mode || part.parse::<usize>().is_ok())
    });
    all
}

/// Every endpoint of a section, with its path.
pub(super) fn endpoints(value: &Value, section: &str) -> Vec<(Vec<String>, String)> {
    fn collect(value: &Value, path: &mut Vec<String>, out: &mut Vec<(Vec<String>, String)>) {
        let mut into = |key: String, value: &Value| {
            path.push(key);
            collect(value, path, out);
            path.pop();
        };
        match value {
            Value::String(text) => out.push((path.clone(), text.clone())),
            // The outline bounds the depth of parsed values.
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(i, item)| into(i.to_string(), item));
            }
            Value::Object(map) => map.iter().for_each(|(key, item)| into(key.clone(), item)),
            _ => {}
        }
    }
    let mut out = Vec::new();
    if let Some(found) = value.pointer(&format!("/{section}/endpoints")) {
        collect(found, &mut vec![section.to_owned(), "endpoints".to_owned()], &mut out);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_left_out_of_the_list_it_connects_to() {
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
