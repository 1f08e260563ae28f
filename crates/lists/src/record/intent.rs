//! Whether the source of a record means it for the rule that the list is read for.

use mailmesh_events::Rule;

use super::Record;
use crate::Reason;
use crate::candidate::opposite_fault;
use crate::column::{Hint, Role, is_destination_type};
use crate::ends::date::is_date;
use crate::ends::duration::parse_duration;
use crate::network::network;
use crate::secret_key::excerpt;
use crate::verdict::{
    Statement, denies_rule, is_action_of, is_allowance, is_false, is_place_name, is_remediation,
    is_true, may_be_other_verdict, may_be_state_of_country, says_opposite, verdict_word,
};
use crate::words::is_one_of;

/// Whether a record is meant.
pub(super) enum Intent {
    Meant,
    LeftOut(Reason),
    /// The source allows the network of a block list, so a wider entry must not block it.
    LetIn,
    /// Why it is unclear.
    Unclear(String),
}

impl Record<'_> {
    pub(super) fn intent(&self, rule: Rule) -> Intent {
        if self.is_of_other_scope() {
            Intent::LeftOut(Reason::OtherScope)
        } else if is_true(self.get(Role::Simulated)) {
            Intent::LeftOut(Reason::Simulated)
        } else if self.is_destination() {
            Intent::LeftOut(Reason::OtherScope)
        } else if self.has_other_verdict(rule) {
            if self.is_let_in(rule) { Intent::LetIn } else { Intent::LeftOut(Reason::OtherAction) }
        } else {
            let unclear = (self.unclear.map(str::to_owned))
                .or_else(|| self.unknown_verdict())
                .or_else(|| self.unknown_action())
                .or_else(|| self.unclear_simulation())
                .or_else(|| self.verdict_under_other_name(rule))
                .or_else(|| self.opposite_text(rule));
            unclear.map_or(Intent::Meant, Intent::Unclear)
        }
    }

    /// Whether the record is of something else than a source address: a country, a user, a target.
    fn is_of_other_scope(&self) -> bool {
        let has_only_target =
            !self.names_network() && !self.has(Role::From) && self.has(Role::Destination);
        let value = self.get(Role::Network);
        let has_scope_in_value = value.split_once(':').is_some_and(|(scope, _)| {
            is_one_of(scope, &["country", "as", "username", "user", "session"])
        });
        has_only_target
            || !is_one_of(self.get(Role::Scope), &["", "ip", "range"])
            || (has_scope_in_value && network(value).is_err())
    }

    /// Whether the type of the value says that it is a target: `ip-dst` of MISP.
    fn is_destination(&self) -> bool {
        self.has(Role::Network) && is_destination_type(self.get(Role::Kind))
    }

    fn has_other_verdict(&self, rule: Rule) -> bool {
        let kind = self.get(Role::Kind);
        let is_decision = self.has(Role::Scope) || self.has(Role::Lasts);
        let is_decided = is_decision && is_remediation(kind, self.has(Role::Scope));
        let decided = if is_decided { kind } else { "" };
        let is_other = |action: &str| !action.is_empty() && !is_action_of(action, rule);
        let action = self.get(Role::Action);
        // An unknown action of a CrowdSec decision is not a ban; elsewhere it makes the record bad.
        let is_known_action = self.has(Role::Scope) || verdict_word(action).is_some();
        is_other(decided)
            || (is_known_action && is_other(action))
            || (rule == Rule::Block && is_allowance(kind))
            || self.statements.iter().any(|statement| statement.is_other(rule))
    }

    /// Whether the source allows a network of a block list, rather than having ended its ban.
    fn is_let_in(&self, rule: Rule) -> bool {
        let is_off = self.statements.contains(&Statement::Off);
        let is_allowed = self.statements.contains(&Statement::Allowed)
            || [Role::Action, Role::Kind]
                .into_iter()
                .any(|role| is_action_of(self.get(role), Rule::Allow));
        rule == Rule::Block && is_allowed && !is_off
    }

    fn unknown_verdict(&self) -> Option<String> {
        let is_of_country = |name: &str| {
            may_be_state_of_country(name)
                && self.others.iter().any(|other| is_place_name(other.name))
        };
        let unknown = self.unknown_verdicts.iter().find(|verdict| !is_of_country(verdict.name))?;
        let is_end = is_date(unknown.value) || parse_duration(unknown.value).is_ok();
        let end = if is_end { ": it may be its end; name it `expires` or `ttl` then" } else { "" };
        let (name, value) = (excerpt(unknown.name), excerpt(unknown.value));
        Some(format!("`{name}` says `{value}`, which is no known verdict{end}"))
    }

    fn unknown_action(&self) -> Option<String> {
        let action = self.get(Role::Action);
        let is_unknown =
            !action.is_empty() && verdict_word(action).is_none() && !self.has(Role::Scope);
        is_unknown.then(|| format!("`{}` is no known action", excerpt(action)))
    }

    fn unclear_simulation(&self) -> Option<String> {
        let simulated = self.get(Role::Simulated);
        let is_unclear = !simulated.is_empty() && !is_false(simulated) && simulated != "null";
        is_unclear.then(|| format!("`{}` is neither yes nor no (simulated)", excerpt(simulated)))
    }

    fn verdict_under_other_name(&self, rule: Rule) -> Option<String> {
        let is_verdict = |name: &str, text: &str| may_be_other_verdict(name, text, rule);
        let other = self.others.iter().find(|other| is_verdict(other.name, other.text))?;
        Some(format!(
            "`{}` in `{}` may say that it is not meant: name the column `action`, if it does",
            excerpt(other.text),
            excerpt(other.name)
        ))
    }

    /// A reason that says the opposite, or the text of another column that denies the rule.
    fn opposite_text(&self, rule: Rule) -> Option<String> {
        let reasons = self.all(Role::Reason).map(|reason| reason.text);
        let others = self.others.iter().filter(|other| other.hint == Hint::Nothing);
        let is_opposite = |text: &&str| says_opposite(text, rule);
        let opposite = reasons
            .skip(1)
            .find(is_opposite)
            .or_else(|| others.map(|other| other.text).find(|text| denies_rule(text, rule)))?;
        Some(opposite_fault(opposite))
    }
}
