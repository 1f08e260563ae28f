//! Verdicts within the objects and lists of a record: the entry is bad if one may keep it out.

use mailmesh_events::Rule;

use super::spans::{items, members, text_of};
use crate::column::{Role, role_of_name};
use crate::secret_key::excerpt;
use crate::verdict::{
    denies_rule, is_action_of, is_no_refusal, is_true, may_be_other_verdict, says_opposite,
    statement_of, verdict_word,
};
use crate::words::clean;

/// A statement against `rule` in the value of a key, as `key: value`; the caller has bounded the
/// depth.
pub(super) fn other_verdict_within(key: &str, value: &str, rule: Rule) -> Option<String> {
    match value.as_bytes().first()? {
        b'{' => members(value).find_map(|(inner_key, inner)| {
            other_verdict_within(&text_of(inner_key).unwrap_or_default(), inner, rule)
        }),
        b'[' => items(value).find_map(|item| other_verdict_within(key, item, rule)),
        b'"' => other_verdict(key, &text_of(value).unwrap_or_default(), rule),
        _ => other_verdict(key, value, rule),
    }
}

fn other_verdict(key: &str, text: &str, rule: Rule) -> Option<String> {
    let text = clean(text);
    if text.is_empty() || text == "null" {
        return None;
    }
    let role = role_of_name(key).map(|known| known.role);
    let is_other = match role {
        Some(Role::Action) => verdict_word(text).is_some() && !is_action_of(text, rule),
        Some(Role::Simulated) => is_true(text),
        Some(Role::Reason) => says_opposite(text, rule),
        _ => denies_rule(text, rule) || may_be_other_verdict(key, text, rule),
    };
    // `ok` and `pass` are results of checks.
    let is_statement = !is_no_refusal(text)
        && statement_of(key, text).is_some_and(|statement| statement.is_other(rule));
    (is_other || is_statement).then(|| format!("{}: {}", excerpt(key), excerpt(text)))
}
