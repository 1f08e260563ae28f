//! Forms that operators carry over: the syntax of Zenoh before 1.0, and endpoints one level too
//! high. Zenoh's own errors about these forms do not name the replacement.

use serde_json::Value;

use super::checked::Checked;
use super::endpoint::{Endpoint, pairs};
use super::endpoint_lists::{ListedEndpoint, endpoints};
use super::error::{ConfigError, ConfigErrorKind};
use super::schema::dotted;

/// TLS settings before Zenoh 1.0, and their present names.
const RENAMED_TLS_SETTINGS: [(&str, &str); 10] = [
    ("server_certificate", "listen_certificate"),
    ("server_certificate_base64", "listen_certificate_base64"),
    ("server_private_key", "listen_private_key"),
    ("server_private_key_base64", "listen_private_key_base64"),
    ("client_certificate", "connect_certificate"),
    ("client_certificate_base64", "connect_certificate_base64"),
    ("client_private_key", "connect_private_key"),
    ("client_private_key_base64", "connect_private_key_base64"),
    ("client_auth", "enable_mtls"),
    ("server_name_verification", "verify_name_on_connect"),
];
/// Settings that list the kinds of nodes to link to.
const MATCHER_POINTERS: [&str; 3] =
    ["/scouting/multicast/autoconnect", "/scouting/gossip/autoconnect", "/scouting/gossip/target"];
/// Most endpoints that an error repeats.
const MAX_REPEATED_ENDPOINTS: usize = 4;

/// Refuses the first such form; the error names the replacement.
pub(super) fn check(checked: &Checked<'_>, value: &Value) -> Result<(), ConfigError> {
    check_mesh(checked, value)?;
    for section in ["listen", "connect"] {
        check_endpoints(checked, value, section)?;
    }
    for pointer in MATCHER_POINTERS {
        check_matcher(checked, value, pointer)?;
    }
    check_tls(checked, value)
}

/// Refuses `mesh` and `@type` inside the Zenoh configuration.
fn check_mesh(checked: &Checked<'_>, value: &Value) -> Result<(), ConfigError> {
    let is_there = |key: &&str| value.get(*key).is_some();
    let Some(key) = ["mesh", "@type"].into_iter().find(is_there) else { return Ok(()) };
    let path = [key.to_owned()];
    let message = format!(
        "`{key}` stands beside `config`, not in it: {{\"@type\": \"Zenoh\", \"config\": {{ ... }}, \
         \"mesh\": {{ ... }}}}"
    );
    let kind = ConfigErrorKind::Syntax { message };
    Err(checked.source.error_at(checked.key_span(&path), kind))
}

/// Refuses `connect: ['tcp/...']` and `endpoints: 'tcp/...'`.
fn check_endpoints(checked: &Checked<'_>, value: &Value, section: &str) -> Result<(), ConfigError> {
    let kind = |value: &Value| match value {
        Value::Array(items) if items.iter().all(Value::is_string) => Some("a list"),
        Value::String(_) => Some("a text"),
        _ => None,
    };
    let list = |value: &Value| {
        let texts: Vec<&Value> = match value {
            Value::Array(items) => items.iter().take(MAX_REPEATED_ENDPOINTS).collect(),
            one => vec![one],
        };
        let more = matches!(value, Value::Array(items) if items.len() > MAX_REPEATED_ENDPOINTS);
        let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        format!("endpoints: [{}{}]", texts.join(", "), if more { ", ..." } else { "" })
    };
    let Some(found) = value.get(section) else { return Ok(()) };
    let path = [section.to_owned()];
    if let Some(kind) = kind(found) {
        let why = format!(
            "`{section}` is {kind}, and the endpoints stand one level deeper; write \
             `{section}: {{ {} }}`",
            list(found)
        );
        return Err(instead(checked, &path, why));
    }
    if let Some(endpoints) = found.get("endpoints") {
        let mut path = vec![section.to_owned(), "endpoints".to_owned()];
        check_groups(checked, endpoints, &mut path)?;
    }
    match found.get("endpoints") {
        Some(text @ Value::String(_)) => {
            let path = [section.to_owned(), "endpoints".to_owned()];
            let why = format!("`{section}.endpoints` is a text; write `{}`", list(text));
            Err(instead(checked, &path, why))
        }
        _ => Ok(()),
    }
}

/// Refuses `endpoints: [{ strategy: 'allOf', locators: ['tcp/...'] }]`.
fn check_groups(
    checked: &Checked<'_>,
    value: &Value,
    path: &mut Vec<String>,
) -> Result<(), ConfigError> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(group) if ["strategy", "locators"].iter().any(|k| group.contains_key(*k)) => {
            let listed = group.get("locators").and_then(Value::as_array);
            let locators: Vec<String> = listed
                .into_iter()
                .flatten()
                .take(MAX_REPEATED_ENDPOINTS)
                .map(ToString::to_string)
                .collect();
            let more = if listed.is_some_and(|all| all.len() > MAX_REPEATED_ENDPOINTS) {
                ", ..."
            } else {
                ""
            };
            let why = format!(
                "groups of locators are not supported; write each locator as an endpoint of its \
                 own: `endpoints: [{}{more}]`",
                locators.join(", ")
            );
            return Err(checked.bad(path, why));
        }
        Value::Object(by_mode) => by_mode.iter().map(|(mode, v)| (mode.clone(), v)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(i, v)| (i.to_string(), v)).collect(),
        _ => return Ok(()),
    };
    for (key, child) in children {
        path.push(key);
        check_groups(checked, child, path)?;
        path.pop();
    }
    Ok(())
}

/// Refuses `autoconnect: { router: '', peer: 'router|peer' }`.
fn check_matcher(checked: &Checked<'_>, value: &Value, pointer: &str) -> Result<(), ConfigError> {
    let path: Vec<String> = pointer[1..].split('/').map(str::to_owned).collect();
    let Some(found) = value.pointer(pointer) else { return Ok(()) };
    let now = |value: &Value| match value {
        Value::String(text) => {
            let parts = text.split('|').map(str::trim).filter(|part| !part.is_empty());
            let parts: Vec<String> = parts.map(|part| format!("{part:?}")).collect();
            Some(format!("[{}]", parts.join(", ")))
        }
        _ => None,
    };
    let name = path.last().map_or("", String::as_str);
    let write = match found {
        Value::Object(by_mode) if by_mode.values().any(Value::is_string) => {
            let each = by_mode.iter().map(|(mode, value)| {
                format!("{mode}: {}", now(value).unwrap_or_else(|| value.to_string()))
            });
            format!("{name}: {{ {} }}", each.collect::<Vec<_>>().join(", "))
        }
        text => match now(text) {
            Some(list) => format!("{name}: {list}"),
            None => return Ok(()),
        },
    };
    let why = format!("a text was the form of Zenoh before 1.0; write lists: `{write}`");
    Err(checked.bad(&path, why))
}

/// Refuses `server_certificate` and the other old names, in TLS settings and in endpoints.
fn check_tls(checked: &Checked<'_>, value: &Value) -> Result<(), ConfigError> {
    let describe = |found: &[(&str, &str)]| {
        let all: Vec<String> =
            found.iter().map(|(old, new)| format!("`{old}` is now `{new}`")).collect();
        format!("named as in Zenoh before 1.0: {}", all.join(", "))
    };
    let tls = ["transport", "link", "tls"].map(str::to_owned);
    if let Some(Value::Object(set)) = value.pointer("/transport/link/tls") {
        let found = RENAMED_TLS_SETTINGS.iter().filter(|(old, _)| set.contains_key(*old)).copied();
        let mut found: Vec<(&str, &str)> = found.collect();
        let place = |(old, _): &(&str, &str)| {
            let path = tls.iter().cloned().chain([(*old).to_owned()]);
            checked.key_span(&path.collect::<Vec<_>>())
        };
        found.sort_by_key(|names| place(names).start);
        if let Some(first) = found.first() {
            let kind = ConfigErrorKind::BadValue { key: dotted(&tls), why: describe(&found) };
            return Err(checked.source.error_at(place(first), kind));
        }
    }
    for section in ["listen", "connect"] {
        for ListedEndpoint { path, text } in endpoints(value, section) {
            let is_set = |name: &str| {
                let mut names = pairs(Endpoint::of(&text).settings);
                names.any(|(set, _)| set.strip_suffix("_file").unwrap_or(set) == name)
            };
            let found = RENAMED_TLS_SETTINGS.iter().filter(|(old, _)| is_set(old)).copied();
            let found: Vec<(&str, &str)> = found.collect();
            if !found.is_empty() {
                return Err(checked.bad(&path, describe(&found)));
            }
        }
    }
    Ok(())
}

/// An error whose message itself begins with the key.
fn instead(checked: &Checked<'_>, path: &[String], message: String) -> ConfigError {
    checked.source.error_at(checked.span(path), ConfigErrorKind::Syntax { message })
}
