//! JSON values as text.

use serde_json::Value;

/// A string without its quotes; any other value as JSON.
pub(crate) fn value_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
