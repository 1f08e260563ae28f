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
            let (verdict, ends) = of(&key, clean(&text), rule);
            // A reason to leave entries out outweighs an unclear statement.
            let is_left_out = matches!(self.verdict, Some(Verdict::LeftOut(_)));
            if verdict.is_some() && !is_left_out {
                self.verdict = verdict;
            }
            if let Some(ends) = ends {
                self.ends = ends;
            }
        }
    }
}

impl Enclosing {
    /// Adds an object without networks beside the lists: its statements may be about the list.
    fn add_metadata(&mut self, key: &str, object: &str, rule: Rule) {
        let mut inner = Self::default();
        for (key, value) in members(object).filter(|(_, value)| !value.starts_with(['{', '['])) {
            let key = text_of(key).unwrap_or_default();
            let text = text_of(value).unwrap_or_else(|_| value.to_owned());
            let (verdict, ends) = of(&key, clean(&text), rule);
            inner.verdict = inner.verdict.or(verdict.filter(|v| matches!(v, Verdict::LeftOut(_))));
            inner.ends = ends.unwrap_or(inner.ends);
        }
        if self.verdict.is_none() && (inner.verdict.is_some() || inner.ends != Ends::Never) {
            let key = excerpt(&text_of(key).unwrap_or_default());
            let why = format!("`{key}` beside its list may say what holds for these, or its end");
            self.verdict = Some(Verdict::Unclear(why));
        }
    }
}

/// The verdict and the end that a key beside lists gives to their entries.
fn of(key: &str, value: &str, rule: Rule) -> (Option<Verdict>, Option<Ends>) {
    let unclear = || {
        let (key, value) = (excerpt(key), excerpt(value));
        let why = format!("`{key}` beside its list says `{value}`: what does it mean for these?");
        Some(Verdict::Unclear(why))
    };
    let left_out = |reason| Some(Verdict::LeftOut(reason));
    let bare = match role_of_name(key).map(|known| known.role) {
        Some(Role::Until) => Some(BareNumber::Moment),
        Some(Role::Lasts) => Some(BareNumber::Seconds),
        // `remediation` of a CrowdSec alert says whether there is a remediation.
        Some(Role::Action) if value.is_empty() || is_true(value) || is_action_of(value, rule) => {
            return (None, None);
        }
        Some(Role::Action) => return (left_out(Reason::NotABan), None),
        Some(Role::Simulated) if is_true(value) => {
            return (left_out(Reason::Simulated), None);
        }
        Some(Role::Simulated) if !is_false(value) => return (unclear(), None),
        _ => None,
    };
    if let Some(bare) = bare {
        return match parse_end(value, bare) {
            Ok(Ends::Never) => (None, None),
            Ok(ends) => (None, Some(ends)),
            Err(_) => (unclear(), None),
        };
    }
    if role_of_name(key).is_none()
        && hint_of_name(key) == Hint::End
        && !value.is_empty()
        && !is_false(value)
    {
        return (unclear(), None);
    }
    if is_answer(key, value) {
        return (None, None);
    }
    match statement_of(key, value) {
        Some(Statement::Unclear) => return (unclear(), None),
        Some(said) if said.is_other(rule) => return (left_out(Reason::NotABan), None),
        _ => {}
    }
    match normal_name(key).as_str() {
        _ if !is_for_other_rule(value, rule) => (None, None),
        "description" | "comment" | "comments" | "note" | "notes" | "summary" | "purpose" => {
            (unclear(), None)
        }
        name if name.ends_with("name") || NAMES.contains(&name) => {
            (left_out(Reason::NotABan), None)
        }
        _ => (None, None),
    }
}

/// Keys that hold the name or kind of a list.
const NAMES: [&str; 11] =
    ["title", "kind", "type", "label", "id", "group", "set", "list", "category", "tag", "listtype"];

/// Whether a key belongs to the reply of a service (`"status": "ok"`), not to its entries.
fn is_answer(key: &str, value: &str) -> bool {
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
