//! The endpoints of a configuration, which Zenoh accepts in lists, in lists of lists, and by mode.

use serde_json::Value;

use super::error::ConfigError;

/// An endpoint, and its place in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ListedEndpoint {
    /// The path of the text, as `connect`, `endpoints`, `0`.
    pub(super) path: Vec<String>,
    pub(super) text: String,
}

/// The endpoints of a section that apply to a mode.
pub(super) fn endpoints_of_mode(value: &Value, section: &str, mode: &str) -> Vec<ListedEndpoint> {
    let mut all = endpoints(value, section);
    all.retain(|endpoint| {
        endpoint.path.get(2).is_none_or(|part| part == mode || part.parse::<usize>().is_ok())
    });
    all
}

/// Every endpoint of a section.
pub(super) fn endpoints(value: &Value, section: &str) -> Vec<ListedEndpoint> {
    fn collect(value: &Value, path: &mut Vec<String>, out: &mut Vec<ListedEndpoint>) {
        let mut into = |key: String, value: &Value| {
            path.push(key);
            collect(value, path, out);
            path.pop();
        };
        match value {
            Value::String(text) => {
                out.push(ListedEndpoint { path: path.clone(), text: text.clone() })
            }
            // `Spans::of` bounds the depth of parsed values.
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

/// Replaces each text of nested lists and objects.
pub(super) fn each_text(
    value: &mut Value,
    change: &impl Fn(&str) -> Result<String, ConfigError>,
) -> Result<(), ConfigError> {
    match value {
        Value::String(text) => *text = change(text)?,
        Value::Array(items) => items.iter_mut().try_for_each(|item| each_text(item, change))?,
        Value::Object(map) => map.values_mut().try_for_each(|item| each_text(item, change))?,
        _ => {}
    }
    Ok(())
}
