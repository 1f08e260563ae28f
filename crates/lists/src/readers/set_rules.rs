//! Whether a set blocks or allows: by the rules of the same text that refer to it, or by its name.

use std::collections::HashSet;

use mailmesh_events::Rule;

use crate::verdict::list_name::is_for_other_rule;

/// The sets that the rules of a text accept or drop.
#[derive(Debug, Default)]
pub(crate) struct SetRules {
    accepted: HashSet<String>,
    dropped: HashSet<String>,
}

/// Upper bound on the names that are kept; further sets are judged by their names alone.
const MAX_NAMES: usize = 10_000;

impl SetRules {
    /// Collects the sets from the rules of a text: statements with `@NAME` in them.
    pub(crate) fn of_text(text: &str) -> Self {
        let mut uses = Self::default();
        for line in text.lines().filter(|line| line.contains('@')) {
            for rule in without_quoted(line).split(';') {
                let words = || rule.split(|c: char| c.is_whitespace() || matches!(c, '{' | '}'));
                let names = words().filter_map(|word| word.strip_prefix('@'));
                let has = |verdicts: &[&str]| words().any(|word| verdicts.contains(&word));
                let is_not = rule.contains("!= @");
                uses.add(
                    names,
                    has(&["accept", "return"]) && !is_not,
                    has(&["drop", "reject"]),
                    is_not || (has(&["add", "update", "meter"]) && has(&["limit", "quota"])),
                );
            }
        }
        uses
    }

    /// Adds the sets that a rule in JSON refers to.
    pub(crate) fn add_json(&mut self, rule: &str) {
        let names = rule.split("\"@").skip(1).filter_map(|rest| rest.split('"').next());
        let has = |key: &str| rule.contains(&format!("\"{key}\""));
        let is_not = has("!=");
        let is_meter = has("set") && (has("limit") || has("quota"));
        let is_accepted = (has("accept") || has("return")) && !is_not;
        self.add(names, is_accepted, has("drop") || has("reject"), is_not || is_meter);
    }

    /// Adds the sets that one rule names.
    pub(crate) fn add<'a>(
        &mut self,
        names: impl Iterator<Item = &'a str>,
        is_accepted: bool,
        is_dropped: bool,
        is_exempt: bool,
    ) {
        for name in names {
            if self.accepted.len() + self.dropped.len() >= MAX_NAMES {
                return;
            }
            if is_accepted || is_exempt {
                self.accepted.insert(name.to_owned());
            } else if is_dropped {
                self.dropped.insert(name.to_owned());
            }
        }
    }

    /// Whether a set is for the other rule. A set that one rule accepts and another drops counts as
    /// accepted, so it is not read as bans.
    pub(crate) fn is_other(&self, name: &str, rule: Rule) -> bool {
        match (self.accepted.contains(name), self.dropped.contains(name)) {
            (false, false) => is_for_other_rule(name, rule),
            (is_accepted, _) => is_accepted == (rule == Rule::Block),
        }
    }

    /// Whether a rule refers to the set, so that its name does not count.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.accepted.contains(name) || self.dropped.contains(name)
    }
}

/// A text without the parts in quotes.
pub(crate) fn without_quoted(text: &str) -> String {
    text.split('"').step_by(2).collect::<Vec<_>>().join("\"\"")
}
