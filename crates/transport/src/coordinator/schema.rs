//! Checks of keys and types, with the most similar known name for an unknown one.

use mailmesh_secrets::is_secret_name;
use serde_json::{Map, Value};

use super::error::{ConfigError, ConfigErrorKind};
use super::source::Source;
use super::spans::Spans;

/// Coordinators that the mail server has and mailmesh does not support.
const UNSUPPORTED_COORDINATORS: [&str; 7] =
    ["Default", "Kafka", "Keep", "Nats", "Redis", "RedisCluster", "RedisSentinel"];
/// Names that older mail servers and operators use for Zenoh.
const ZENOH_ALIASES: [&str; 4] = ["peer-to-peer", "PeerToPeer", "peer_to_peer", "p2p"];

/// The entry of `known` most similar to `word`, if it is similar enough to be meant.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let lower = word.to_lowercase();
    let score = |k: &str| strsim::damerau_levenshtein(&lower, &k.to_lowercase());
    let best = known.into_iter().map(|k| (score(k), k)).min()?;
    let allowed = (word.chars().count() / 3).max(1);
    (best.0 <= allowed + 1).then(|| best.1.to_owned())
}

pub(super) fn unknown_type(name: &str) -> ConfigErrorKind {
    let shown = name.chars().take(40).collect::<String>();
    match UNSUPPORTED_COORDINATORS.iter().find(|known| known.eq_ignore_ascii_case(name)) {
        Some(known) => ConfigErrorKind::NotBuiltIn { name: (*known).into() },
        None => {
            let is_zenoh = ZENOH_ALIASES.iter().any(|known| known.eq_ignore_ascii_case(name));
            let nearest = match is_zenoh {
                true => Some("Zenoh".to_owned()),
                false => nearest(name, ["Zenoh", "Disabled"]),
            };
            ConfigErrorKind::UnknownType { name: shown, nearest }
        }
    }
}

/// Sections of a Zenoh configuration that operators write beside it.
const ZENOH_SECTIONS: [&str; 7] =
    ["access_control", "connect", "listen", "mode", "scouting", "transport", "timestamping"];

/// Refuses the first key of the outer object that belongs into `mesh` or `config`.
pub(super) fn check_places(
    source: &Source<'_>,
    spans: &Spans,
    object: &Map<String, Value>,
    of_mesh: &[&str],
) -> Result<(), ConfigError> {
    for key in object.keys() {
        let into = match key.as_str() {
            key if of_mesh.contains(&key) => "mesh",
            key if ZENOH_SECTIONS.contains(&key) => "config",
            _ => continue,
        };
        let message = format!(
            "`{key}` stands one level too high: move it into the object of `{into}`, which stands \
             beside `@type`"
        );
        let kind = ConfigErrorKind::Syntax { message };
        return Err(source.error_at(spans.key(&[key]), kind));
    }
    Ok(())
}

/// Refuses the first key of `object` that is not in `known`; `path` is the path of `object`.
pub(super) fn check_keys(
    source: &Source<'_>,
    spans: &Spans,
    path: &[&str],
    object: &Map<String, Value>,
    known: &[&str],
) -> Result<(), ConfigError> {
    let Some(key) = object.keys().find(|key| !known.contains(&key.as_str())) else {
        return Ok(());
    };
    let path: Vec<&str> = path.iter().copied().chain([key.as_str()]).collect();
    let kind = ConfigErrorKind::UnknownKey {
        key: key.chars().take(60).collect(),
        nearest: nearest(key, known.iter().copied()),
        expected: list(known),
    };
    Err(source.error_at(spans.key(&path), kind))
}

/// "one of `a`, `b`, `c`"
pub(super) fn list<S: AsRef<str>>(known: &[S]) -> String {
    let quoted: Vec<_> = known.iter().map(|key| format!("`{}`", key.as_ref())).collect();
    match quoted.as_slice() {
        [only] => only.clone(),
        _ => format!("one of {}", quoted.join(", ")),
    }
}

pub(super) fn wrong_type<S: AsRef<str>>(
    source: &Source<'_>,
    spans: &Spans,
    path: &[S],
    found: &Value,
    expected: &str,
) -> ConfigError {
    let kind = ConfigErrorKind::WrongType {
        key: dotted(path),
        found: describe(found, path.iter().any(|part| is_secret_name(part.as_ref()))),
        expected: expected.into(),
    };
    source.error_at(spans.value(path), kind)
}

/// `a.b.0`
pub(super) fn dotted<S: AsRef<str>>(path: &[S]) -> String {
    path.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(".")
}

/// `/a/b/0`, the JSON pointer (RFC 6901) of a path.
pub(super) fn pointer<S: AsRef<str>>(path: &[S]) -> String {
    let escaped = path.iter().map(|part| part.as_ref().replace('~', "~0").replace('/', "~1"));
    escaped.map(|part| format!("/{part}")).collect()
}

/// The path of a JSON pointer without escapes.
pub(super) fn path_of(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(str::to_owned).collect()
}

fn describe(value: &Value, is_secret: bool) -> String {
    match value {
        Value::Bool(_) if is_secret => "a boolean".into(),
        Value::Number(_) if is_secret => "a number".into(),
        Value::String(_) if is_secret => "a string".into(),
        Value::Null => "null".into(),
        Value::Bool(b) => format!("the boolean {b}"),
        Value::Number(n) => format!("the number {n}"),
        Value::String(s) => {
            let shown: String = s.chars().take(40).collect();
            format!("the string \"{shown}\"")
        }
        Value::Array(_) => "an array".into(),
        Value::Object(_) => "an object".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pointer_of_a_path_finds_keys_with_any_character() {
        let value = serde_json::json!({ "mail/~1": { "b": [7] } });
        let found = value.pointer(&pointer(&["mail/~1", "b", "0"]));
        assert_eq!(found, Some(&Value::from(7)));
        assert_eq!(value.pointer(&pointer::<&str>(&[])), Some(&value));
        assert_eq!(path_of("/a/b/0"), ["a", "b", "0"]);
    }
}
