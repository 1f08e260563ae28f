//! The Zenoh configuration: what we check ourselves because we can say it better,
//! then Zenoh's own parser, which has the last word.

use std::fmt;

use mailmesh_secrets::{is_secret_name, redact};
use serde_json::{Value, json};

use super::Warning;
use super::addresses::HostAddresses;
use super::checked::Checked;
use super::error::{ConfigError, ConfigErrorKind, Place};
use super::former;
use super::known::{dotted, list, nearest};
use super::listening::Listening;
use super::outline::Outline;
use super::preflight::{Needs, endpoint};
use super::proof::prove;
use super::source::Source;
use super::tls::secrets;
use super::tls_literals::{refuse_zone, take_brackets};
use crate::link_proof::{LinkProof, SessionProof};

/// Link lease in milliseconds unless the configuration sets one. Zenoh's default
/// of 10 s is how long a cut goes unnoticed.
pub(super) const LEASE_MS: u64 = 3_000;
/// Keep-alives of a lease unless the configuration sets them: one each 1.5 s, if nothing else was
/// sent. A heartbeat goes over each link every second, so that a node at rest sends none; with
/// Zenoh's default, 4, one goes beside each heartbeat.
const KEEP_ALIVES: u64 = 2;
/// Largest message accepted off a link, in bytes, unless the configuration sets
/// one: two of our largest frames. Zenoh's default is 1 GiB.
const MAX_MESSAGE: usize = 512 << 10;
/// Batches of 64 KiB that wait for a link, of events, unless the configuration sets it: a flight
/// fits while the link's task is not scheduled. Zenoh's default is 2.
const DATA_QUEUE: usize = 4;
const MODES: [&str; 3] = ["peer", "client", "router"];

/// A checked Zenoh configuration.
#[derive(Clone)]
pub struct ZenohSettings {
    value: Value,
    needs: Needs,
    /// More names by which other nodes dial this one.
    names: Vec<String>,
    /// How links prove the cluster key, if there is one.
    proof: Option<LinkProof>,
    pub(crate) first_slots: Option<usize>,
}

/// Not the configuration, which may hold keys and passwords.
impl fmt::Debug for ZenohSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZenohSettings").field("mode", &self.mode()).finish_non_exhaustive()
    }
}

impl ZenohSettings {
    /// How many links a gated node may dial before its session is opened anew; for tests.
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
                let zone = || if is_dialed { refuse_zone(&text) } else { Ok(()) };
                endpoint(&text).and_then(|()| zone()).map_err(|why| checked.bad(&path, why))?;
            }
        }
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

    /// Takes over what `mesh` says of links.
    pub(super) fn link_as(&mut self, names: &[String], proof: Option<LinkProof>) {
        (self.names, self.proof) = (names.to_vec(), proof);
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    pub(super) fn proof(&self) -> Option<LinkProof> {
        self.proof
    }

    /// The configuration for Zenoh, with our defaults where it sets none; with a proof, each
    /// link proves the cluster key, and the node listens at `listening`.
    ///
    /// # Errors
    /// [`ConfigErrorKind::Zenoh`] if Zenoh refuses it after all.
    pub(crate) fn to_zenoh(
        &self,
        listening: Option<&Listening>,
        proof: Option<&SessionProof>,
    ) -> Result<zenoh::Config, ConfigError> {
        let refused = |error: &dyn fmt::Display| {
            let why = self.hide(&error.to_string(), proof);
            ConfigError::new(ConfigErrorKind::Zenoh { why })
        };
        let mut value = self.value.clone();
        // One list for all nodes is handy; a node that connects to itself is refused, again
        // and again.
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
        take_brackets(&mut value);
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

    /// Whether peers are found by multicast.
    pub(crate) fn scouts(&self) -> bool {
        let enabled = self.value.pointer("/scouting/multicast/enabled");
        enabled.and_then(Value::as_bool).unwrap_or(true)
    }

    /// The configuration of a short-lived session that connects to `locators` alone.
    ///
    /// # Errors
    /// [`ConfigErrorKind::Zenoh`] if Zenoh refuses it.
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
        // How links are made, their certificates among it.
        if let Some(transport) = self.value.get("transport") {
            value["transport"] = transport.clone();
        }
        Self { value, ..self.clone() }.to_zenoh(None, proof)
    }

    /// Whether the machine has what it asks for; see
    /// [`Coordinator::preflight`](super::Coordinator::preflight).
    ///
    /// # Errors
    /// The first thing missing.
    pub fn preflight(&self) -> Result<Vec<Warning>, ConfigError> {
        self.needs.check()
    }

    pub(super) fn check_embedded(&self) -> Result<Vec<Warning>, ConfigError> {
        self.needs.check_embedded()
    }

    /// Words of a library that was given the configuration, without the secrets of it and of
    /// the session.
    pub(crate) fn hide(&self, words: &str, proof: Option<&SessionProof>) -> String {
        // With the secrets that Zenoh was given in place of files.
        let mut given = self.value.clone();
        self.needs.mend(&mut given);
        let mut found = Vec::new();
        secrets(&self.value, false, &mut found);
        secrets(&given, false, &mut found);
        let mut words = proof.map_or_else(|| words.to_owned(), |proof| proof.hide(words));
        for secret in found.iter().filter(|secret| !secret.is_empty()) {
            words = words.replace(secret.as_str(), "***");
        }
        redact(&words)
    }

    pub(super) fn value(&self) -> &Value {
        &self.value
    }

    pub(super) fn mode(&self) -> &str {
        self.value.get("mode").and_then(Value::as_str).unwrap_or("peer")
    }

    /// The endpoints of a section that apply to the mode.
    pub(super) fn endpoints(&self, section: &str) -> Vec<String> {
        let mode = self.mode();
        let applies = |path: &[String]| {
            path.get(2).is_none_or(|part| part == mode || part.parse::<usize>().is_ok())
        };
        let all = endpoints(&self.value, section);
        all.into_iter().filter(|(path, _)| applies(path)).map(|(_, text)| text).collect()
    }

    pub(super) fn flag(&self, pointer: &str, default: bool) -> bool {
        self.value.pointer(pointer).and_then(Value::as_bool).unwrap_or(default)
    }

    /// Where the multicast group stands, if the configuration names one.
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

/// The json5 crate reads a negative number as 0 where an unsigned one is meant.
/// Only the time-outs of connecting and listening may be negative ("for ever").
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

/// Every endpoint text of a section, with its path.
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

pub(super) fn endpoints(value: &Value, section: &str) -> Vec<(Vec<String>, String)> {
    fn collect(value: &Value, path: &mut Vec<String>, out: &mut Vec<(Vec<String>, String)>) {
        let mut into = |key: String, value: &Value| {
            path.push(key);
            collect(value, path, out);
            path.pop();
        };
        match value {
            Value::String(text) => out.push((path.clone(), text.clone())),
            // The outline bounds the depth of what is parsed.
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

/// Zenoh's own parser refuses unknown keys and wrong types; its error is placed
/// in the text that the user wrote.
fn ask_zenoh(checked: &Checked<'_>, value: &Value) -> Result<(), ConfigError> {
    let text = value.to_string();
    let Err(error) = zenoh::Config::from_json5(&text) else {
        return Ok(());
    };
    let Some(json5::Error::Message { msg, location }) = error.downcast_ref::<json5::Error>() else {
        let kind = ConfigErrorKind::Zenoh { why: error.to_string() };
        return Err(checked.source.error_at(checked.span(&[]), kind));
    };
    if let Some((key, known)) = unknown_field(msg) {
        let mut paths: Vec<_> = checked.outline.paths_of(&key).collect();
        paths.sort();
        let span = paths.first().map_or(0..1, |path| checked.outline.key(path));
        let kind = ConfigErrorKind::UnknownKey {
            nearest: nearest(&key, known.iter().map(String::as_str)),
            expected: list(&known),
            key,
        };
        return Err(checked.source.error_at(span, kind));
    }
    let path = location.as_ref().and_then(|location| {
        let source = Source::new("", text.as_bytes()).ok()?;
        let outline = Outline::of(&source).ok()?;
        outline.path_at(source.offset_of(location.line, location.column)).cloned()
    });
    let span = checked.span(path.as_deref().unwrap_or_default());
    let kind = match path {
        Some(path) if !path.is_empty() => {
            let found = value.pointer(&format!("/{}", path.join("/")));
            if let (Some(found), Some(expected)) = (found, expected_type(msg)) {
                return Err(checked.wrong(&path, found, expected));
            }
            // What it says of the value of a secret, or of a text that holds one, may show it.
            let mut found = Vec::new();
            let is_secret = path.iter().any(|key| is_secret_name(key));
            if let Some(value) = value.pointer(&format!("/{}", path.join("/"))) {
                secrets(value, is_secret, &mut found);
            }
            let holds_none = !is_secret && found.is_empty();
            let why = if holds_none { msg.clone() } else { "Zenoh does not take this".to_owned() };
            ConfigErrorKind::BadValue { key: dotted(&path), why }
        }
        _ => ConfigErrorKind::Zenoh { why: msg.clone() },
    };
    Err(checked.source.error_at(span, kind))
}

/// What was expected, of serde's "invalid type: a, expected b" and of what the
/// json5 crate says of a number that does not fit.
fn expected_type(message: &str) -> Option<&str> {
    if message.starts_with("error parsing") {
        return Some("a whole number, 0 or more");
    }
    let rest = message.strip_prefix("invalid type: ")?;
    rest.rsplit_once(", expected ").map(|(_, expected)| expected)
}

/// The key and the known ones, of serde's "unknown field `a`, expected one of `b`, `c`".
fn unknown_field(message: &str) -> Option<(String, Vec<String>)> {
    let rest = message.strip_prefix("unknown field `")?;
    // The key may be anything, quotes among it; those that are known are not.
    let (key, rest) = rest.rsplit_once("`, expected ").or_else(|| rest.rsplit_once("`, there "))?;
    let known = rest.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    Some((key.to_owned(), known))
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

    #[test]
    fn an_unknown_key_is_told_from_the_known_ones_whatever_is_in_it() {
        let found = |message| unknown_field(message).unwrap();
        let known = vec!["b".to_owned(), "c".to_owned()];
        assert_eq!(
            found("unknown field `a`, expected one of `b`, `c`"),
            ("a".into(), known.clone())
        );
        assert_eq!(found("unknown field `a`x`, expected `b` or `c`"), ("a`x".into(), known));
        assert_eq!(found("unknown field `a`, there are no fields"), ("a".into(), Vec::new()));
        assert_eq!(unknown_field("invalid type: map, expected a string"), None);
    }
}
