//! Lists where an object is due: Zenoh's parser takes the elements of one for the settings of the
//! object, in their order.

use serde_json::Value;

use super::checked::Checked;
use super::error::ConfigError;

/// An object of these is by mode, and a plain value or a list may stand in its place.
const MODES: [&str; 3] = ["router", "peer", "client"];

pub(super) fn check(checked: &Checked<'_>, value: &Value) -> Result<(), ConfigError> {
    // The schema, as far as it can be had: what is unset has no shape.
    let defaults = serde_json::from_str(&zenoh::Config::default().to_string());
    defaults.map_or(Ok(()), |defaults| compare(checked, value, &defaults, &mut Vec::new()))
}

fn compare(
    checked: &Checked<'_>,
    value: &Value,
    default: &Value,
    path: &mut Vec<String>,
) -> Result<(), ConfigError> {
    let Value::Object(known) = default else { return Ok(()) };
    match value {
        Value::Array(_) if !known.keys().any(|key| MODES.contains(&key.as_str())) => {
            let one = known.keys().next().map_or("...", String::as_str);
            let expected = format!("an object like {{ {one}: ... }}");
            Err(checked.wrong(path, value, &expected))
        }
        Value::Object(map) => map.iter().try_for_each(|(key, item)| {
            let Some(default) = known.get(key) else { return Ok(()) };
            path.push(key.clone());
            let found = compare(checked, item, default, path);
            path.pop();
            found
        }),
        _ => Ok(()),
    }
}
