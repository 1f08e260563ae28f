//! The check by Zenoh's own parser, with its errors placed in the operator's text.

use mailmesh_secrets::is_secret_name;
use serde_json::Value;

use super::checked::Checked;
use super::display_text::without_source;
use super::error::{ConfigError, ConfigErrorKind};
use super::schema::{dotted, list, nearest, pointer};
use super::source::Source;
use super::spans::Spans;
use super::tls::secrets;

/// Refuses unknown keys and wrong types by Zenoh's own parser. An error points into the operator's
/// text.
pub(super) fn ask_zenoh(checked: &Checked<'_>, value: &Value) -> Result<(), ConfigError> {
    let text = value.to_string();
    let error = match zenoh::Config::from_json5(&text) {
        Ok(config) => return check_numbers(checked, value, &config),
        Err(error) => error,
    };
    let Some(json5::Error::Message { msg, location }) = error.downcast_ref::<json5::Error>() else {
        let kind = ConfigErrorKind::Zenoh { why: without_source(&error.to_string()) };
        return Err(checked.source.error_at(checked.span(&[]), kind));
    };
    if let Some((key, known)) = unknown_field(msg) {
        let mut paths: Vec<_> = checked.spans.paths_of(&key).collect();
        paths.sort();
        let span = paths.first().map_or(0..1, |path| checked.spans.key(path));
        let kind = ConfigErrorKind::UnknownKey {
            nearest: nearest(&key, known.iter().map(String::as_str)),
            expected: list(&known),
            key,
        };
        return Err(checked.source.error_at(span, kind));
    }
    let path = location.as_ref().and_then(|location| {
        let source = Source::new("", text.as_bytes()).ok()?;
        let spans = Spans::of(&source).ok()?;
        spans.path_at(source.offset_of(location.line, location.column)).cloned()
    });
    let span = checked.span(path.as_deref().unwrap_or_default());
    let kind = match path {
        Some(path) if !path.is_empty() => {
            let found = value.pointer(&pointer(&path));
            if let (Some(found), true) = (found, msg.starts_with("error parsing"))
                && let Some(max) = max_accepted(value, &path, found)
            {
                let expected = format!("a whole number from 0 to {max}");
                return Err(checked.wrong(&path, found, &expected));
            }
            if let (Some(found), Some(expected)) = (found, expected_type(msg)) {
                return Err(checked.wrong(&path, found, expected));
            }
            // Zenoh's error about a secret, or about a text that contains one, may quote it.
            let mut found = Vec::new();
            let is_secret = path.iter().any(|key| is_secret_name(key));
            if let Some(value) = value.pointer(&pointer(&path)) {
                secrets(value, is_secret, &mut found);
            }
            let holds_none = !is_secret && found.is_empty();
            let why = if holds_none {
                without_source(msg)
            } else {
                "Zenoh does not take this".to_owned()
            };
            ConfigErrorKind::BadValue { key: dotted(&path), why }
        }
        _ => ConfigErrorKind::Zenoh { why: without_source(msg) },
    };
    Err(checked.source.error_at(span, kind))
}

/// The greatest number that Zenoh accepts in place of `found`, a whole number that is out of
/// range. Zenoh's errors do not state the range.
fn max_accepted(value: &Value, path: &[String], found: &Value) -> Option<u64> {
    let given = found.as_f64().filter(|given| given.fract() == 0.0 && *given >= 0.0)?;
    let pointer = pointer(path);
    let limits = [i64::MAX as u64, u32::MAX.into(), u16::MAX.into(), u8::MAX.into()];
    limits.into_iter().filter(|max| given > *max as f64).find(|max| {
        let mut changed = value.clone();
        let Some(place) = changed.pointer_mut(&pointer) else { return false };
        *place = Value::from(*max);
        let read = zenoh::Config::from_json5(&changed.to_string());
        let read = read.ok().and_then(|config| as_read(&config));
        read.is_some_and(|read| read.pointer(&pointer) == Some(&Value::from(*max)))
    })
}

/// The configuration as Zenoh read it.
fn as_read(config: &zenoh::Config) -> Option<Value> {
    serde_json::from_str(&config.to_string()).ok()
}

/// Refuses a number that Zenoh reads as a different one: the json5 crate truncates a number to the
/// bits of its setting.
fn check_numbers(
    checked: &Checked<'_>,
    value: &Value,
    config: &zenoh::Config,
) -> Result<(), ConfigError> {
    let Some(read) = as_read(config) else { return Ok(()) };
    let Some((path, found)) = changed_number(value, &read, &mut Vec::new()) else { return Ok(()) };
    let expected = match max_accepted(value, &path, found) {
        Some(max) => format!("a whole number from 0 to {max}"),
        None => "a whole number, 0 or more".to_owned(),
    };
    Err(checked.wrong(&path, found, &expected))
}

/// The first number that Zenoh read as a different one, with its path.
fn changed_number<'a>(
    value: &'a Value,
    read: &Value,
    path: &mut Vec<String>,
) -> Option<(Vec<String>, &'a Value)> {
    match (value, read) {
        (Value::Number(given), Value::Number(read)) => {
            (given.as_f64() != read.as_f64()).then(|| (path.clone(), value))
        }
        (Value::Object(given), Value::Object(read)) => given.iter().find_map(|(key, item)| {
            let read = read.get(key)?;
            path.push(key.clone());
            let found = changed_number(item, read, path);
            path.pop();
            found
        }),
        (Value::Array(given), Value::Array(read)) => {
            let mut pairs = given.iter().zip(read).enumerate();
            pairs.find_map(|(index, (item, read))| {
                path.push(index.to_string());
                let found = changed_number(item, read, path);
                path.pop();
                found
            })
        }
        _ => None,
    }
}

/// The expected type in serde's "invalid type: a, expected b", or in the json5 crate's error for a
/// number that does not fit.
fn expected_type(message: &str) -> Option<&str> {
    if message.starts_with("error parsing") {
        return Some("a whole number, 0 or more");
    }
    let rest = message.strip_prefix("invalid type: ")?;
    rest.rsplit_once(", expected ").map(|(_, expected)| expected)
}

/// The key and the known keys of serde's "unknown field `a`, expected one of `b`, `c`".
fn unknown_field(message: &str) -> Option<(String, Vec<String>)> {
    let rest = message.strip_prefix("unknown field `")?;
    // The unknown key may contain quotes; known keys do not.
    let (key, rest) = rest.rsplit_once("`, expected ").or_else(|| rest.rsplit_once("`, there "))?;
    let known = rest.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    Some((key.to_owned(), known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_field_error_yields_the_field_and_the_known_fields() {
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
