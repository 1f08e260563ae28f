//! Keys of an object that apply to all entries of the lists inside the object.

use mailmesh_events::Rule;

use super::addresses::names_networks;
use super::spans::{members, text_of};
use crate::column::{Hint, Role, hint_of_name, role_of_name};
use crate::ends::{BareNumber, parse_end};
use crate::normal_name::normal_name;
use crate::secret_key::excerpt;
use crate::verdict::list_name::is_for_other_rule;
use crate::verdict::{Statement, is_action_of, is_false, is_true, statement_of};
use crate::words::clean;
use crate::{Ends, Reason};

/// The statements of the enclosing objects about all entries inside them.
#[derive(Debug, Clone)]
pub(super) struct Enclosing {
    pub(super) verdict: Option<Verdict>,
    /// The end of entries that have none of their own.
    pub(super) ends: Ends,
}

impl Default for Enclosing {
    fn default() -> Self {
        Self { verdict: None, ends: Ends::Never }
    }
}

/// Why the entries are not imported.
#[derive(Debug, Clone)]
pub(super) enum Verdict {
    LeftOut(Reason),
    Unclear(String),
}

impl Enclosing {
    /// Adds the keys of an object that holds lists.
    pub(super) fn add(&mut self, object: &str, rule: Rule) {
        for (key, value) in members(object) {
            if value.starts_with('{') && !names_networks(value) {
                self.add_metadata(key, value, rule);
            }
            if value.starts_with(['{', '[']) || value == "null" {
                continue;
            }
            let key = text_of(key).unwrap_or_default();
            let text = text_of(value).unwrap_or_else(|_| value.to_owned());
            // A reason to leave entries out outweighs an unclear statement.
            let is_left_out = matches!(self.verdict, Some(Verdict::LeftOut(_)));
            match effect_of(&key, clean(&text), rule) {
                Some(Effect::Verdict(verdict)) if !is_left_out => self.verdict = Some(verdict),
                Some(Effect::Ends(ends)) => self.ends = ends,
                _ => {}
            }
        }
    }

    /// Adds an object without networks beside the lists: its statements may be about the list.
    fn add_metadata(&mut self, key: &str, object: &str, rule: Rule) {
        let mut inner = Self::default();
        for (key, value) in members(object).filter(|(_, value)| !value.starts_with(['{', '['])) {
            let key = text_of(key).unwrap_or_default();
            let text = text_of(value).unwrap_or_else(|_| value.to_owned());
            match effect_of(&key, clean(&text), rule) {
                Some(Effect::Verdict(verdict @ Verdict::LeftOut(_))) => {
                    inner.verdict.get_or_insert(verdict);
                }
                Some(Effect::Ends(ends)) => inner.ends = ends,
                _ => {}
            }
        }
        if self.verdict.is_none() && (inner.verdict.is_some() || inner.ends != Ends::Never) {
            let key = excerpt(&text_of(key).unwrap_or_default());
            let why = format!("`{key}` beside its list may say what holds for these, or its end");
            self.verdict = Some(Verdict::Unclear(why));
        }
    }
}

/// The meaning that a key beside lists has for their entries.
enum Effect {
    Verdict(Verdict),
    Ends(Ends),
}

impl Effect {
    fn left_out(reason: Reason) -> Option<Self> {
        Some(Self::Verdict(Verdict::LeftOut(reason)))
    }

    fn unclear(key: &str, value: &str) -> Option<Self> {
        let (key, value) = (excerpt(key), excerpt(value));
        let why = format!("`{key}` beside its list says `{value}`: what does it mean for these?");
        Some(Self::Verdict(Verdict::Unclear(why)))
    }
}

fn effect_of(key: &str, value: &str, rule: Rule) -> Option<Effect> {
    let role = role_of_name(key).map(|known| known.role);
    match role {
        Some(Role::Until) => return effect_of_end(key, value, BareNumber::Moment),
        Some(Role::Lasts) => return effect_of_end(key, value, BareNumber::Seconds),
        Some(Role::Action) => {
            // `remediation` of a CrowdSec alert says whether there is a remediation.
            let is_ours = value.is_empty() || is_true(value) || is_action_of(value, rule);
            return if is_ours { None } else { Effect::left_out(Reason::OtherAction) };
        }
        Some(Role::Simulated) if is_true(value) => return Effect::left_out(Reason::Simulated),
        Some(Role::Simulated) if !is_false(value) => return Effect::unclear(key, value),
        _ => {}
    }
    if role.is_none() && hint_of_name(key) == Hint::End && !value.is_empty() && !is_false(value) {
        return Effect::unclear(key, value);
    }
    if is_reply_status(key, value) {
        return None;
    }
    match statement_of(key, value) {
        Some(Statement::Unclear) => Effect::unclear(key, value),
        Some(statement) if statement.is_other(rule) => Effect::left_out(Reason::OtherAction),
        _ => effect_of_list_name(key, value, rule),
    }
}

fn effect_of_end(key: &str, value: &str, bare: BareNumber) -> Option<Effect> {
    match parse_end(value, bare) {
        Ok(Ends::Never) => None,
        Ok(ends) => Some(Effect::Ends(ends)),
        Err(_) => Effect::unclear(key, value),
    }
}

/// The effect of a name or description of the list that says that it is for the other rule.
fn effect_of_list_name(key: &str, value: &str, rule: Rule) -> Option<Effect> {
    if !is_for_other_rule(value, rule) {
        return None;
    }
    match normal_name(key).as_str() {
        "description" | "comment" | "comments" | "note" | "notes" | "summary" | "purpose" => {
            Effect::unclear(key, value)
        }
        name if name.ends_with("name") || LIST_NAMES.contains(&name) => {
            Effect::left_out(Reason::OtherAction)
        }
        _ => None,
    }
}

/// Keys that hold the name or kind of a list.
const LIST_NAMES: [&str; 11] =
    ["title", "kind", "type", "label", "id", "group", "set", "list", "category", "tag", "listtype"];

/// Whether a key belongs to the reply of a service (`"status": "ok"`), not to its entries.
fn is_reply_status(key: &str, value: &str) -> bool {
    const GOOD: [&str; 9] = [
        "ok",
        "success",
        "succeeded",
        "successful",
        "done",
        "complete",
        "completed",
        "200",
        "true",
    ];
    matches!(&*normal_name(key), "status" | "state" | "result" | "statut" | "estado" | "stato")
        && GOOD.iter().any(|good| value.eq_ignore_ascii_case(good))
}
