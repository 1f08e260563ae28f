//! Objects with the keys of an export of this crate.

use mailmesh_events::Rule;

use super::spans::{members, text_of};
use crate::ListError;
use crate::exported::{FIELDS, Mark, RULE};

/// The mark of an object that has no other keys than an export; `None` if it has others.
pub(super) fn mark_of(item: &str, rule: Rule, line: usize) -> Result<Option<Mark>, ListError> {
    let is_known = |key: &str| text_of(key).is_ok_and(|key| key == RULE || FIELDS.contains(&&*key));
    if !members(item).all(|(key, _)| is_known(key)) {
        return Ok(None);
    }
    let word = members(item).find(|(key, _)| text_of(key).is_ok_and(|key| key == RULE));
    match word {
        None => Ok(Some(Mark::None)),
        Some((_, word)) => Mark::of(&text_of(word).unwrap_or_default(), rule, line).map(Some),
    }
}

/// Whether an object has all keys of an export in their order, with texts behind them; only the end
/// may be `null`.
pub(super) fn has_all_fields(item: &str) -> bool {
    let keys = || members(item).map(|(key, _)| text_of(key).unwrap_or_default());
    let marked = FIELDS.into_iter().chain([RULE]);
    let are_texts = members(item).all(|(key, value)| {
        value.starts_with('"') || (key == "\"expires\"" && value == "null") || is_rule(key)
    });
    (keys().eq(FIELDS) || keys().eq(marked)) && are_texts
}

/// Whether an object states that its entry has no end.
pub(super) fn is_endless(item: &str) -> bool {
    members(item).any(|(key, value)| key == "\"expires\"" && value == "null")
}

fn is_rule(key: &str) -> bool {
    text_of(key).is_ok_and(|key| key == RULE)
}
