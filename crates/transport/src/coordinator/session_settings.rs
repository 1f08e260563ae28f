//! Refuses settings that Zenoh's parser accepts but its session does not open with: references to
//! missing entries, and settings that exclude each other.

use std::collections::BTreeSet;

use serde_json::Value;

use super::checked::Checked;
use super::endpoint::Endpoint;
use super::endpoint_check::{is_protocol, known_protocol};
use super::endpoint_lists::{ListedEndpoint, endpoints_of_mode};
use super::error::ConfigError;
use super::schema::{nearest, path_of};

/// Lists whose entries may have an `id`, which must be unique.
const WITH_IDS: [&str; 3] = ["/downsampling", "/low_pass_filter", "/qos/network"];

pub(super) fn check(checked: &Checked<'_>, value: &Value, mode: &str) -> Result<(), ConfigError> {
    check_protocols(checked, value, mode)?;
    check_low_latency(checked, value)?;
    for pointer in WITH_IDS {
        check_ids(checked, value, pointer)?;
    }
    check_access(checked, value)
}

/// Refuses a `transport.link.protocols` that lacks a protocol which the node needs.
fn check_protocols(checked: &Checked<'_>, value: &Value, mode: &str) -> Result<(), ConfigError> {
    const POINTER: &str = "/transport/link/protocols";
    let Some(listed) = value.pointer(POINTER).and_then(Value::as_array) else { return Ok(()) };
    for (number, name) in listed.iter().enumerate() {
        if let Some(Err(error)) =
            name.as_str().filter(|name| !is_protocol(name)).map(known_protocol)
        {
            return Err(checked.bad(&path_of(&format!("{POINTER}/{number}")), error.to_string()));
        }
    }
    let usable: Vec<&str> = listed.iter().filter_map(Value::as_str).collect();
    if usable.iter().all(|name| known_protocol(name).is_err()) {
        let why = match usable.first().map(|name| known_protocol(name)) {
            Some(Err(error)) => error.to_string(),
            _ => "without a protocol no session opens".to_owned(),
        };
        let why = format!("{why}; name \"tcp\" or \"tls\", or take `protocols` out");
        return Err(checked.bad(&path_of(POINTER), why));
    }
    // A peer or router starts even if it cannot dial an endpoint; `reachability.rs` warns of that.
    let sections = if mode == "client" { &["listen", "connect"][..] } else { &["listen"] };
    for section in sections {
        for ListedEndpoint { path: at, text } in endpoints_of_mode(value, section, mode) {
            let protocol = Endpoint::of(&text).protocol;
            if !usable.contains(&protocol) {
                let why = format!(
                    "`transport.link.protocols` has no \"{protocol}\", so no link is made by this \
                     endpoint; add it there, or use an endpoint of {}",
                    usable.join(" or ")
                );
                return Err(checked.bad(&at, why));
            }
        }
    }
    let is_set = value.pointer("/listen/endpoints").is_some_and(|set| match set {
        Value::Object(by_mode) => by_mode.contains_key(mode),
        set => !set.is_null(),
    });
    if mode != "client" && !is_set && !usable.contains(&"tcp") {
        let why = "the node listens by tcp unless `listen.endpoints` says otherwise: set that, or \
                   add \"tcp\" here";
        return Err(checked.bad(&path_of(POINTER), why));
    }
    Ok(())
}

/// Refuses `lowlatency` together with `qos`, which is on by default: it has no priority queues.
fn check_low_latency(checked: &Checked<'_>, value: &Value) -> Result<(), ConfigError> {
    const POINTER: &str = "/transport/unicast/lowlatency";
    let flag = |pointer: &str| value.pointer(pointer).and_then(Value::as_bool);
    let is_low = flag(POINTER) == Some(true);
    let has_qos = flag("/transport/unicast/qos/enabled") != Some(false);
    if is_low && has_qos {
        let why = "it excludes `transport.unicast.qos.enabled`, which is on unless it is set: take \
                   `lowlatency` out (urgent messages then go ahead of others), or set `qos: \
                   { enabled: false }`";
        return Err(checked.bad(&path_of(POINTER), why));
    }
    Ok(())
}

/// Refuses an `id` that occurs twice in a list.
fn check_ids(checked: &Checked<'_>, value: &Value, pointer: &str) -> Result<(), ConfigError> {
    let mut seen = BTreeSet::new();
    let items = value.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    for (number, item) in items.enumerate() {
        let Some(id) = item.get("id").and_then(Value::as_str) else { continue };
        let at = || path_of(&format!("{pointer}/{number}/id"));
        if !seen.insert(id) {
            return Err(checked.bad(&at(), format!("the id \"{id}\" stands twice; change one")));
        }
    }
    Ok(())
}

/// Refuses access control that lacks a list, or refers to a missing entry.
fn check_access(checked: &Checked<'_>, value: &Value) -> Result<(), ConfigError> {
    let Some(access) = value.get("access_control") else { return Ok(()) };
    if access.get("enabled").and_then(Value::as_bool) != Some(true) {
        return Ok(());
    }
    let list = |name: &str| access.get(name).and_then(Value::as_array);
    let names = ["rules", "subjects", "policies"];
    if let Some(missing) = names.iter().find(|name| list(name).is_none()) {
        let why = format!(
            "with `enabled: true` it needs `rules`, `subjects` and `policies`; `{missing}` is not \
             there: write `{missing}: []` if there are none"
        );
        return Err(checked.bad(&path_of("/access_control"), why));
    }
    if names.iter().all(|name| list(name).is_some_and(Vec::is_empty)) {
        return Ok(());
    }
    for name in names {
        check_ids(checked, value, &format!("/access_control/{name}"))?;
    }
    let ids = |name: &str| {
        let items = list(name).into_iter().flatten();
        items.filter_map(|item| item.get("id").and_then(Value::as_str)).collect::<Vec<_>>()
    };
    for name in ["rules", "subjects"] {
        if let Some(number) = ids(name).iter().position(|id| id.trim().is_empty()) {
            let at = path_of(&format!("/access_control/{name}/{number}/id"));
            return Err(checked.bad(&at, "it is empty; policies name it by its id"));
        }
    }
    check_subjects(checked, list("subjects"))?;
    for (number, policy) in list("policies").into_iter().flatten().enumerate() {
        for name in ["rules", "subjects"] {
            let at = format!("/access_control/policies/{number}/{name}");
            let named = policy.get(name).and_then(Value::as_array);
            if named.is_some_and(Vec::is_empty) {
                let why = format!("it names no {name}, so that the policy says nothing; name some");
                return Err(checked.bad(&path_of(&at), why));
            }
            for (index, id) in named.into_iter().flatten().enumerate() {
                let known = ids(name);
                let Some(id) = id.as_str().filter(|id| !known.contains(id)) else { continue };
                let hint = nearest(id, known.iter().copied());
                let hint = hint.map(|near| format!(", did you mean \"{near}\"?"));
                let why = format!(
                    "there is no \"{id}\" in `access_control.{name}`{}",
                    hint.unwrap_or_default()
                );
                return Err(checked.bad(&path_of(&format!("{at}/{index}")), why));
            }
        }
    }
    Ok(())
}

/// Refuses empty names of interfaces, certificates and users.
fn check_subjects(checked: &Checked<'_>, subjects: Option<&Vec<Value>>) -> Result<(), ConfigError> {
    for (number, subject) in subjects.into_iter().flatten().enumerate() {
        for name in ["interfaces", "cert_common_names", "usernames"] {
            let items = subject.get(name).and_then(Value::as_array).into_iter().flatten();
            for (index, item) in items.enumerate() {
                if item.as_str().is_some_and(|text| text.trim().is_empty()) {
                    let at = format!("/access_control/subjects/{number}/{name}/{index}");
                    return Err(checked.bad(&path_of(&at), "it is empty; take it out"));
                }
            }
        }
    }
    Ok(())
}
