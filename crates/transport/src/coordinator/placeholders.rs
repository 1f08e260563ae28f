//! Refuses placeholders that other programs or a shell would replace: mailmesh reads a
//! configuration literally.

use serde_json::Value;

use mailmesh_secrets::is_secret_name;

use super::error::{ConfigError, ConfigErrorKind};
use super::schema::dotted;
use super::source::Source;
use super::spans::Spans;

/// Sections whose texts belong to the operator or to another program.
const FREE_SECTIONS: [&str; 2] = ["metadata", "plugins"];

/// Refuses the first text with a placeholder. `path` is the path of `value`.
pub(super) fn check(
    source: &Source<'_>,
    spans: &Spans,
    value: &Value,
    path: &mut Vec<String>,
) -> Result<(), ConfigError> {
    match value {
        Value::String(text) => match kind(text, path) {
            Some(kind) => {
                let is_of_key = path.first().is_some_and(|part| part == "mesh")
                    && path.get(1).is_some_and(|part| part == "key");
                let instead = if is_of_key {
                    "; a key that a variable of the environment holds is named as {\"@type\": \
                     \"EnvironmentVariable\", \"variableName\": \"NAME\"}"
                } else {
                    ", or fill it in before the node starts (`envsubst`)"
                };
                let why = format!(
                    "{kind} is not replaced: a configuration is read as it is; write the value \
                     itself{instead}"
                );
                let kind = ConfigErrorKind::BadValue { key: dotted(path), why };
                Err(source.error_at(spans.value(path), kind))
            }
            None => Ok(()),
        },
        Value::Array(items) => items.iter().enumerate().try_for_each(|(number, item)| {
            path.push(number.to_string());
            let found = check(source, spans, item, path);
            path.pop();
            found
        }),
        Value::Object(map) => map.iter().try_for_each(|(key, item)| {
            if FREE_SECTIONS.contains(&key.as_str())
                || (path.is_empty() && key == "config" && item.is_string())
            {
                return Ok(());
            }
            path.push(key.clone());
            let found = check(source, spans, item, path);
            path.pop();
            found
        }),
        _ => Ok(()),
    }
}

/// The kind of placeholder in a text, if there is one. A secret may contain any character, so a
/// secret is refused only if the placeholder is the whole text.
fn kind(text: &str, path: &[String]) -> Option<&'static str> {
    let between = |open: &str, close: &str| {
        let rest = text.split_once(open).map(|(_, rest)| rest);
        rest.is_some_and(|rest| rest.contains(close))
    };
    let is_variable = |rest: &str| rest.starts_with(|c: char| c.is_ascii_uppercase() || c == '_');
    let is_file = path.last().is_some_and(|part| part == "filePath");
    if path.iter().any(|part| is_secret_name(part)) && !is_file {
        let whole = |open: &str, close: &str| {
            let name = text.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
            let is_name = |c: char| c.is_ascii_alphanumeric() || "_:".contains(c);
            name.is_some_and(|name| !name.is_empty() && name.chars().all(is_name))
        };
        // A cluster key has none of these characters, but a password may be `$WORD`.
        let is_key = path.first().is_some_and(|part| part == "mesh") && whole("$", "");
        return if is_key || whole("${", "}") {
            Some("a variable (`$...`)")
        } else if whole("%{", "}%") {
            Some("a macro (`%{...}%`)")
        } else {
            None
        };
    }
    if between("${", "}") {
        Some("a variable (`${...}`)")
    } else if between("%{", "}%") {
        Some("a macro (`%{...}%`)")
    } else if between("{{", "}}") {
        Some("a template (`{{...}}`)")
    } else if text.split('$').skip(1).any(is_variable) {
        Some("a variable (`$...`)")
    } else if text.starts_with("~/") {
        Some("a home directory (`~/`)")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollar_signs_in_secrets_and_wildcards_are_no_placeholders() {
        let of = |path: &[&str]| path.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>();
        let password = of(&["transport", "auth", "usrpwd", "password"]);
        for kept in ["pa$WORD", "a${b}c", "$1", "$WORD", "~/x", "$", "{{x}}"] {
            assert_eq!(kind(kept, &password), None, "{kept}");
        }
        assert!(kind("${PASSWORD}", &password).is_some());
        assert!(kind("$KEY", &of(&["mesh", "key", "secret"])).is_some());
        for kept in ["mail/$*/x", "a$b", "100%", "tcp/a:1"] {
            assert_eq!(kind(kept, &of(&["mode"])), None, "{kept}");
        }
    }
}
