//! Whether a set blocks or allows: by the rules of the same text that refer to it, or by its name.

use std::collections::HashMap;

use mailmesh_events::Rule;

use super::filled_sets::MAX_SETS;
use crate::verdict::list_name::is_for_other_rule;

/// The action of a rule on the traffic of the sets that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RuleEffect {
    /// The rule accepts traffic from the addresses.
    Accepts,
    /// The rule counts or limits, or is about other addresses: such a set is no ban.
    LetsIn,
    Drops,
    Other,
}

impl RuleEffect {
    /// The effect of a rule with these verdicts: to let in wins, so that no such set is banned.
    pub(crate) fn of(accepts: bool, lets_in: bool, drops: bool) -> Self {
        match (lets_in, accepts, drops) {
            (true, ..) => Self::LetsIn,
            (false, true, _) => Self::Accepts,
            (false, false, true) => Self::Drops,
            (false, false, false) => Self::Other,
        }
    }
}

/// The sets that the rules of a text accept or drop, and in which order.
#[derive(Debug, Default)]
pub(crate) struct SetRules {
    by_set: HashMap<String, SetUse>,
    /// The last drop and the last accept of any set, for each chain.
    last_drops: Places,
    last_accepts: Places,
    /// The number of rules so far.
    count: usize,
}

/// How rules use a set.
#[derive(Debug, Default)]
struct SetUse {
    is_accepted: bool,
    is_dropped: bool,
    /// The first rule of each chain that accepts traffic from the set, or drops it.
    accepts: Places,
    drops: Places,
}

/// The number of a rule in each chain.
type Places = HashMap<String, usize>;

/// Upper bound on the chains that are told apart.
const MAX_CHAINS: usize = 64;

impl SetRules {
    /// Collects the sets from the rules of a text: statements with `@NAME` in them.
    pub(crate) fn of_text(text: &str) -> Self {
        let mut rules = Self::default();
        let mut chain = "";
        for line in text.lines() {
            chain = chain_of(line).unwrap_or(chain);
            if !line.contains('@') {
                continue;
            }
            for rule in without_quoted(line).split(';') {
                let is_between = |c: char| c.is_whitespace() || matches!(c, '{' | '}');
                let words = || rule.split(is_between).filter(|word| !word.is_empty());
                let names = words().filter_map(|word| word.strip_prefix('@'));
                let has = |verdicts: &[&str]| words().any(|word| verdicts.contains(&word));
                let is_not = rule.contains("!= @");
                let is_meter = has(&["add", "update", "meter"]) && has(&["limit", "quota"]);
                let is_far = rule.contains("daddr @");
                // The name of a chain tells what its rules do, as does that of a set.
                let jumps = words().skip_while(|word| !matches!(*word, "jump" | "goto"));
                let is_let_in = jumps.skip(1).any(|to| is_for_other_rule(to, Rule::Block));
                let accepts = has(&["accept", "return"]) || is_let_in;
                let lets_in = is_not || is_meter || (accepts && is_far);
                rules.add(names, chain, RuleEffect::of(accepts, lets_in, has(&["drop", "reject"])));
            }
        }
        rules
    }

    /// Adds the sets that a rule in JSON refers to.
    pub(crate) fn add_json(&mut self, rule: &str) {
        let names = rule.split("\"@").skip(1).filter_map(|rest| rest.split('"').next());
        let has = |key: &str| rule.contains(&format!("\"{key}\""));
        let is_meter = has("set") && (has("limit") || has("quota"));
        let accepts = has("accept") || has("return");
        let lets_in = has("!=") || is_meter || (accepts && has("daddr"));
        let effect = RuleEffect::of(accepts, lets_in, has("drop") || has("reject"));
        let chain = rule.split_once("\"chain\"").and_then(|(_, rest)| rest.split('"').nth(1));
        self.add(names, chain.unwrap_or_default(), effect);
    }

    /// Adds the sets that one rule of a chain names. The caller adds rules in their order.
    pub(crate) fn add<'a>(
        &mut self,
        names: impl Iterator<Item = &'a str>,
        chain: &str,
        effect: RuleEffect,
    ) {
        self.count += 1;
        for name in names {
            // Further sets are judged by their names alone.
            if effect == RuleEffect::Other || self.by_set.len() >= MAX_SETS {
                return;
            }
            let set = self.by_set.entry(name.to_owned()).or_default();
            set.is_accepted |= matches!(effect, RuleEffect::Accepts | RuleEffect::LetsIn);
            set.is_dropped |= effect == RuleEffect::Drops;
            let (first, last) = match effect {
                RuleEffect::Accepts => (&mut set.accepts, &mut self.last_accepts),
                RuleEffect::Drops => (&mut set.drops, &mut self.last_drops),
                RuleEffect::LetsIn | RuleEffect::Other => continue,
            };
            if last.len() < MAX_CHAINS || last.contains_key(chain) {
                first.entry(chain.to_owned()).or_insert(self.count);
                last.insert(chain.to_owned(), self.count);
            }
        }
    }

    /// Whether a set is for the other rule. A set that one rule accepts and another drops is clear
    /// for neither.
    pub(crate) fn is_other(&self, name: &str, rule: Rule) -> bool {
        match (self.by_set.get(name), rule) {
            (None, _) => is_for_other_rule(name, rule),
            (Some(set), Rule::Block) => set.is_accepted,
            (Some(set), Rule::Allow) => set.is_dropped,
        }
    }

    /// Whether the networks of a set for the other rule are to be cut out of the list: the set's
    /// rule may apply before one of the list's rule. The order of two chains does not follow from
    /// the text.
    pub(crate) fn is_exception(&self, name: &str, rule: Rule) -> bool {
        let Some(set) = self.by_set.get(name) else { return is_for_other_rule(name, rule) };
        let (firsts, lasts) = match rule {
            Rule::Block => (&set.accepts, &self.last_drops),
            Rule::Allow => (&set.drops, &self.last_accepts),
        };
        firsts
            .iter()
            .any(|(chain, first)| lasts.iter().any(|(other, last)| other != chain || first < last))
    }

    /// Whether a rule refers to the set, so that its name does not count.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        self.by_set.contains_key(name)
    }
}

/// The chain that a line opens, or to which it adds a rule.
fn chain_of(line: &str) -> Option<&str> {
    let mut words = line.trim_start_matches(['#', ' ', '\t']).split_whitespace();
    match words.next()? {
        "chain" => words.next(),
        "add" | "insert" if words.next() == Some("rule") => words.nth(2),
        _ => None,
    }
}

/// A text without the parts in quotes.
pub(crate) fn without_quoted(text: &str) -> String {
    text.split('"').step_by(2).collect::<Vec<_>>().join("\"\"")
}
