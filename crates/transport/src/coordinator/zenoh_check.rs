//! Checks a Zenoh configuration: mailmesh's own checks, whose errors are clearer, and then the
//! check by Zenoh's own parser, which decides.

use serde_json::Value;

use super::ask_zenoh::ask_zenoh;
use super::checked::Checked;
use super::endpoint_check;
use super::endpoint_lists::{ListedEndpoint, endpoints};
use super::error::ConfigError;
use super::link_limits;
use super::old_syntax;
use super::preflight::Requirements;
use super::schema::{list, nearest};
use super::shapes;
use super::source::Source;
use super::spans::Spans;
use super::zenoh_settings::ZenohSettings;

const MODES: [&str; 3] = ["peer", "client", "router"];

/// Checks the Zenoh configuration that stands at `prefix` in a text.
///
/// # Errors
/// The first fault found.
pub(super) fn check_zenoh(
    source: &Source<'_>,
    spans: &Spans,
    prefix: &[&str],
    value: Value,
) -> Result<ZenohSettings, ConfigError> {
    let checked = Checked::new(source, spans, prefix);
    check_mode(&checked, &value)?;
    check_multicast_address(&checked, &value)?;
    check_negative(&checked, &value, &mut Vec::new())?;
    old_syntax::check(&checked, &value)?;
    for section in ["listen", "connect"] {
        for ListedEndpoint { path, text } in endpoints(&value, section) {
            let is_dialed = section == "connect";
            endpoint_check::check(&text, is_dialed).map_err(|why| checked.bad(&path, why))?;
        }
    }
    shapes::check(&checked, &value)?;
    link_limits::check(&checked, &value)?;
    ask_zenoh(&checked, &value)?;
    let requirements = Requirements::of(&checked, &value)?;
    Ok(ZenohSettings::new(value, requirements))
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
            "{} is not a multicast address; expected one from 224.0.0.0 to 239.255.255.255, or \
             ff00::/8",
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
