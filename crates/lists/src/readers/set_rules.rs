//! Whether a set blocks or allows: by the rules of the same text that refer to it, or by its name.

use std::collections::HashSet;

use mailmesh_events::Rule;

use crate::verdict::list_name::is_for_other_rule;

/// What a rule does with the traffic of the sets that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RuleEffect {
    /// The rule accepts the traffic, or only counts or limits it.
    LetsIn,
    Drops,
    Other,
}

impl RuleEffect {
    /// The effect of a rule with these verdicts: to let in wins, so that no such set is banned.
    pub(crate) fn of(lets_in: bool, drops: bool) -> Self {
        match (lets_in, drops) {
            (true, _) => Self::LetsIn,
            (false, true) => Self::Drops,
            (false, false) => Self::Other,
        }
    }
}

/// The sets that the rules of a text accept or drop.
#[derive(Debug, Default)]
pub(crate) struct SetRules {
    accepted: HashSet<String>,
    dropped: HashSet<String>,
}

/// Upper bound on the names that are kept; further sets are judged by their names alone.
const MAX_SETS: usize = 10_000;

impl SetRules {
    /// Collects the sets from the rules of a text: statements with `@NAME` in them.
    pub(crate) fn of_text(text: &str) -> Self {
        let mut rules = Self::default();
        for line in text.lines().filter(|line| line.contains('@')) {
            for rule in without_quoted(line).split(';') {
                let words = || rule.split(|c: char| c.is_whitespace() || matches!(c, '{' | '}'));
                let names = words().filter_map(|word| word.strip_prefix('@'));
                let has = |verdicts: &[&str]| words().any(|word| verdicts.contains(&word));
                let is_not = rule.contains("!= @");
                let is_meter = has(&["add", "update", "meter"]) && has(&["limit", "quota"]);
                let lets_in = is_not || has(&["accept", "return"]) || is_meter;
                rules.add(names, RuleEffect::of(lets_in, has(&["drop", "reject"])));
            }
        }
        rules
    }

    /// Adds the sets that a rule in JSON refers to.
    pub(crate) fn add_json(&mut self, rule: &str) {
        let names = rule.split("\"@").skip(1).filter_map(|rest| rest.split('"').next());
        let has = |key: &str| rule.contains(&format!("\"{key}\""));
        let is_not = has("!=");
        let is_meter = has("set") && (has("limit") || has("quota"));
        let lets_in = is_not || has("accept") || has("return") || is_meter;
        self.add(names, RuleEffect::of(lets_in, has("drop") || has("reject")));
    }

    /// Adds the sets that one rule names.
    pub(crate) fn add<'a>(&mut self, names: impl Iterator<Item = &'a str>, effect: RuleEffect) {
        for name in names {
            if self.accepted.len() + self.dropped.len() >= MAX_SETS {
                return;
            }
            match effect {
                RuleEffect::LetsIn => self.accepted.insert(name.to_owned()),
                RuleEffect::Drops => self.dropped.insert(name.to_owned()),
                RuleEffect::Other => false,
            };
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
    pub(crate) fn is_named(&self, name: &str) -> bool {
        self.accepted.contains(name) || self.dropped.contains(name)
    }
}

/// A text without the parts in quotes.
pub(crate) fn without_quoted(text: &str) -> String {
    text.split('"').step_by(2).collect::<Vec<_>>().join("\"\"")
}
