//! Refuses a list where an object is expected: Zenoh's parser would assign the elements to the
//! settings of the object, in their order.

use serde_json::Value;

use super::checked::Checked;
use super::error::ConfigError;

/// An object with these keys selects by mode; a plain value or a list may replace it.
const MODES: [&str; 3] = ["router", "peer", "client"];

pub(super) fn check(checked: &Checked<'_>, value: &Value) -> Result<(), ConfigError> {
    // Zenoh's defaults serve as the schema; an unset default imposes no shape.
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
