//! Formats where a node listens and which endpoints it dials, for `status`, `members` and `ready`.

use serde_json::Value;

use crate::json::value_text;

/// The endpoints at which a node listens, in one line.
pub(crate) fn listens_text(all: &Value) -> String {
    let shown = all.as_array().into_iter().flatten().map(|endpoint| {
        let endpoint = value_text(endpoint);
        let is_unknown = endpoint.ends_with(":0");
        let why = " (the system chooses the port, and Zenoh does not report it)";
        if is_unknown { endpoint + why } else { endpoint }
    });
    let shown: Vec<String> = shown.collect();
    if shown.is_empty() { "nowhere".to_owned() } else { shown.join(", ") }
}

/// One line for each of `connect.endpoints` of the configuration; without `include_linked` only for
/// those that are not linked to a node.
pub(crate) fn endpoint_lines(all: &Value, include_linked: bool) -> Vec<String> {
    let all = all.as_array().into_iter().flatten();
    let shown =
        all.filter(|one| include_linked || !matches!(state(one), "linked" | "own" | "unknown"));
    shown
        .map(|one| {
            format!("{:<20}{}: {}", "endpoint", value_text(&one["endpoint"]), state_text(one))
        })
        .collect()
}

/// The endpoints through which a member is linked.
pub(crate) fn member_suffix(member: &Value) -> String {
    let endpoints = member["endpoints"].as_array().into_iter().flatten().map(value_text);
    let endpoints: Vec<String> = endpoints.collect();
    if endpoints.is_empty() { String::new() } else { format!("  at {}", endpoints.join(", ")) }
}

fn state(endpoint: &Value) -> &str {
    endpoint["state"].as_str().unwrap_or_default()
}

fn state_text(endpoint: &Value) -> String {
    let mut text = match state(endpoint) {
        "linked" => match endpoint["node"].as_str() {
            Some(name) => format!("linked to {name}"),
            None => "linked".to_owned(),
        },
        "own" => "this node".to_owned(),
        "not-tried" => "not tried yet".to_owned(),
        "trying" => "not linked, trying".to_owned(),
        _ => "dialled by Zenoh, which does not report whether it is linked".to_owned(),
    };
    if let Some(error) = endpoint["last_error"].as_str() {
        text += &format!("; last error: {error}");
    }
    if let Some(wait) = endpoint["next_try_ms"].as_u64() {
        text += &format!("; next try in {:.1} s", wait as f64 / 1e3);
    }
    text
}
