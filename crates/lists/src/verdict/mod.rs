//! Reads from words and columns whether a network is blocked.

pub(crate) mod access_map;
pub(crate) mod list_name;
mod opposite;
mod opposite_words;
mod questions;
mod vocabulary;

use mailmesh_events::Rule;

use crate::network::is_addresses;
use crate::normal_name::normal_name;
use crate::secret_key::excerpt;
use crate::words::{clean, is_one_of};
pub(crate) use opposite::{begins_with_other_verdict, denies_rule, says_opposite};
use questions::{Question, question_of};
pub(crate) use questions::{is_place_name, may_be_state_of_country};
use vocabulary::Word;
pub(crate) use vocabulary::verdict_word;

/// The statement of a source about one network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Statement {
    Blocked,
    NotBlocked,
    Allowed,
    NotAllowed,
    /// An action that neither blocks nor allows, such as a captcha.
    Neither,
    /// The entry is not in force.
    Off,
    /// A verdict in unknown words.
    Unclear,
}

impl Statement {
    /// Whether this statement keeps the network out of a list that is read for `rule`.
    pub(crate) fn is_other(self, rule: Rule) -> bool {
        match self {
            Self::Blocked | Self::NotAllowed => rule == Rule::Allow,
            Self::NotBlocked | Self::Allowed => rule == Rule::Block,
            Self::Neither | Self::Off => true,
            Self::Unclear => false,
        }
    }
}

/// The statement of a column or key, by its name and value; `None` if the two state nothing.
pub(crate) fn statement_of(name: &str, value: &str) -> Option<Statement> {
    let (question, value) = (question_of(name)?, clean(value));
    if is_blank(value) || is_placeholder(value) {
        return statement_of_blank(question, name, value);
    }
    if is_check_mark(value) {
        return statement_of_mark(question);
    }
    let known = verdict_word(value);
    match question {
        Question::Kind if known == Some(Word::Harmless) => Some(Statement::NotBlocked),
        Question::Kind => statement_of_phrase(value)
            .filter(|s| matches!(s, Statement::Allowed | Statement::Blocked)),
        Question::Reason if is_allowance(value) => Some(Statement::Allowed),
        Question::Reason => (known == Some(Word::Block)).then_some(Statement::Blocked),
        Question::Score => clean(value.trim_end_matches('%'))
            .parse::<f64>()
            .is_ok_and(|score| score <= 0.0)
            .then_some(Statement::NotBlocked),
        Question::Blocked => match known {
            Some(Word::Yes | Word::On | Word::Block) => Some(Statement::Blocked),
            Some(Word::No | Word::Harmless) => Some(Statement::NotBlocked),
            Some(Word::Allow) => Some(Statement::Allowed),
            Some(Word::Off) => Some(Statement::Off),
            Some(Word::BanEnded | Word::OtherAction | Word::AmbiguousAction) => {
                Some(Statement::Neither)
            }
            None if is_count(name, value) => Some(Statement::Blocked),
            None => statement_of_phrase(value).or(Some(Statement::Unclear)),
        },
        Question::Allowed => match known {
            Some(Word::Yes | Word::On | Word::Allow | Word::Harmless) => Some(Statement::Allowed),
            Some(Word::No | Word::Off) => Some(Statement::NotAllowed),
            Some(Word::Block) => Some(Statement::Blocked),
            _ => Some(Statement::Unclear),
        },
        Question::Ended => match known {
            Some(Word::Yes | Word::Off) => Some(Statement::Off),
            Some(Word::No) => None,
            // `exclude` may also hold the exceptions from a network.
            _ if is_addresses(value) => None,
            _ => Some(Statement::Unclear),
        },
        Question::Active | Question::Status => match known {
            Some(Word::Yes | Word::On) => None,
            Some(Word::No | Word::Off) => Some(Statement::Off),
            Some(Word::Block) => Some(Statement::Blocked),
            Some(Word::Allow) if may_be_state_of_country(name) && is_code_of_place(value) => None,
            Some(Word::Allow) => Some(Statement::Allowed),
            Some(Word::Harmless) => Some(Statement::NotBlocked),
            Some(Word::BanEnded | Word::OtherAction | Word::AmbiguousAction) => {
                Some(Statement::Neither)
            }
            None if is_kind_of_abuse(value) => Some(Statement::Blocked),
            None if may_be_state_of_country(name) && is_code_of_place(value) => None,
            None => statement_of_phrase(value).or(Some(Statement::Unclear)),
        },
    }
}

/// Whether a column or key holds a score of which 0 means that the network is not blocked.
pub(crate) fn is_score(name: &str) -> bool {
    question_of(name) == Some(Question::Score)
}

/// The note to the operator on a column or key that holds a score.
pub(crate) fn score_note(name: &str) -> String {
    format!("{}: only 0 is looked at; entries of any score are blocked", excerpt(name))
}

/// Whether a column or key of this name may state something ([`statement_of`]).
pub(crate) fn is_verdict_name(name: &str) -> bool {
    question_of(name).is_some()
}

/// The statement of a column or key whose value is blank. Where a mark says yes, a blank says no.
fn statement_of_blank(question: Question, name: &str, value: &str) -> Option<Statement> {
    let is_blank = is_blank(value);
    match question {
        Question::Blocked if is_blank => Some(Statement::NotBlocked),
        Question::Active if is_blank => Some(Statement::Off),
        Question::Blocked | Question::Active => Some(Statement::Unclear),
        // To block, it is enough that nothing lets the network in.
        Question::Allowed => Some(Statement::NotAllowed),
        // DMARC: the receiver took no action.
        Question::Status
            if matches!(&*normal_name(name), "disposition" | "decision" | "result") =>
        {
            value.eq_ignore_ascii_case("none").then_some(Statement::Neither)
        }
        Question::Status if value.is_empty() => None,
        Question::Status => Some(Statement::Unclear),
        Question::Ended | Question::Kind | Question::Reason | Question::Score => None,
    }
}

/// The statement of a column or key whose value is a check mark.
fn statement_of_mark(question: Question) -> Option<Statement> {
    match question {
        Question::Blocked => Some(Statement::Blocked),
        // In other columns it may also mean "no".
        Question::Allowed | Question::Ended => Some(Statement::Unclear),
        // It names no state.
        Question::Active | Question::Status => None,
        Question::Kind | Question::Reason | Question::Score => None,
    }
}

fn is_check_mark(value: &str) -> bool {
    matches!(value, "x" | "X" | "✓" | "✔" | "☑" | "✅")
}

/// Whether a value says that there is none.
fn is_blank(value: &str) -> bool {
    is_one_of(value, &["", "-", "none"])
}

/// Whether a value stands for one that is not known.
fn is_placeholder(value: &str) -> bool {
    is_one_of(value, &["null", "n/a", "na", "nil", "\\N", "undefined"])
}

/// Whether a value may be the two-letter code of a place: `OK` is Oklahoma.
fn is_code_of_place(value: &str) -> bool {
    value.len() == 2 && value.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// Whether the value is the number of services that list the network.
fn is_count(name: &str, value: &str) -> bool {
    matches!(&*normal_name(name), "malicious" | "listed") && value.parse::<u32>().is_ok()
}

/// Whether a value is a word by which services classify harmful addresses.
fn is_kind_of_abuse(value: &str) -> bool {
    const KINDS: [&str; 14] = [
        "abuse",
        "attack",
        "attacker",
        "botnet",
        "bruteforce",
        "c2",
        "ddos",
        "exploit",
        "malware",
        "phishing",
        "scan",
        "scanner",
        "spam",
        "spammer",
    ];
    is_one_of(value, &KINDS)
}

/// The statement of a phrase, found by the beginnings of its words (`banned for a day`).
fn statement_of_phrase(value: &str) -> Option<Statement> {
    const ALLOW: [&str; 6] = ["allow", "whitelist", "permit", "trusted", "unban", "unblock"];
    const BLOCK: [&str; 6] = ["block", "blacklist", "ban", "denied", "deny", "reject"];
    match verdict_word(value) {
        Some(Word::Allow | Word::BanEnded | Word::OtherAction | Word::AmbiguousAction) => {
            return Some(Statement::Allowed);
        }
        Some(Word::Block) => return Some(Statement::Blocked),
        _ => {}
    }
    let small = value.to_lowercase();
    let mut words = small.split(|c: char| !c.is_alphanumeric());
    let begins = |word: &str, with: &[&str]| with.iter().any(|begin| word.starts_with(begin));
    let is_not = words.clone().any(|word| matches!(word, "not" | "no" | "nicht" | "non" | "un"));
    if is_not && words.clone().any(|word| begins(word, &ALLOW) || begins(word, &BLOCK)) {
        return Some(Statement::Unclear);
    }
    if words.clone().any(|word| begins(word, &ALLOW)) {
        return Some(Statement::Allowed);
    }
    words.any(|word| begins(word, &BLOCK)).then_some(Statement::Blocked)
}

/// Whether a value behind an address means "not blocked" (nginx, HAProxy, Postfix).
pub(crate) fn means_not_blocked(value: &str) -> bool {
    let is_permit = value.get(..6).is_some_and(|begin| begin.eq_ignore_ascii_case("permit"));
    // Two letters may be the code of a country.
    let is_code = value.len() <= 2 && !is_one_of(value, &["0", "no", "ok"]);
    let known = verdict_word(value).filter(|_| !is_code);
    let is_not = matches!(known, Some(Word::No | Word::Allow | Word::Harmless));
    is_not || is_permit || is_allowance(value) || value.eq_ignore_ascii_case("none")
}

/// Whether a value behind an address means "blocked" and gives no reason beyond that.
pub(crate) fn means_blocked(value: &str) -> bool {
    is_one_of(value, &["yes", "true", "on"]) || is_block_word(value)
}

/// Whether a value behind an address means "no", whether the list blocks or allows.
pub(crate) fn means_no(value: &str) -> bool {
    verdict_word(value) == Some(Word::No) || value.eq_ignore_ascii_case("none")
}

pub(crate) fn is_true(text: &str) -> bool {
    verdict_word(text) == Some(Word::Yes)
}

pub(crate) fn is_false(text: &str) -> bool {
    verdict_word(text) == Some(Word::No)
}

/// Whether an action is a block. An unknown action is not: CrowdSec has captchas, throttles and
/// remediations that operators define.
pub(crate) fn is_block_word(text: &str) -> bool {
    verdict_word(text) == Some(Word::Block)
}

/// Whether an action is the one of `rule`: block or allow.
pub(crate) fn is_action_of(text: &str, rule: Rule) -> bool {
    verdict_word(text) == Some(if rule == Rule::Block { Word::Block } else { Word::Allow })
}

/// Whether a text says that an address is let in, or at least not blocked.
pub(crate) fn is_allowance(text: &str) -> bool {
    matches!(verdict_word(text), Some(Word::Allow | Word::BanEnded | Word::OtherAction))
}

/// Whether a type beside a scope or a duration is a remediation, not a kind of attack or address.
/// With a scope, any other single word may be a remediation that an operator defined.
pub(crate) fn is_remediation(kind: &str, has_scope: bool) -> bool {
    const KINDS: [&str; 8] = ["ip", "ipv4", "ipv6", "range", "cidr", "network", "host", "address"];
    let is_word = kind.chars().all(|c| c.is_ascii_alphanumeric());
    is_block_word(kind)
        || is_allowance(kind)
        || verdict_word(kind) == Some(Word::AmbiguousAction)
        || (has_scope && is_word && !is_one_of(kind, &KINDS))
}

/// Whether a value is the result of SPF or a similar check.
pub(crate) fn is_no_refusal(value: &str) -> bool {
    is_one_of(value, &["ok", "pass", "passed"])
}

/// Whether a word says that an address does no harm.
pub(crate) fn is_harmless_word(word: &str) -> bool {
    verdict_word(word) == Some(Word::Harmless)
}

/// Whether a value in a column or key without a role may be a verdict against `rule`.
pub(crate) fn may_be_other_verdict(name: &str, value: &str, rule: Rule) -> bool {
    let colours = ["white", "gray", "grey"];
    // The colours of the Traffic Light Protocol say to whom a report may be disclosed.
    let is_marking = || {
        let name = normal_name(name);
        ["tlp", "marking", "color", "colour"].iter().any(|part| name.contains(part))
    };
    match (rule, verdict_word(value)) {
        (_, Some(Word::Allow)) if is_no_refusal(value) => false,
        (_, Some(Word::OtherAction | Word::Harmless)) if is_one_of(value, &colours) => {
            !is_marking()
        }
        (_, Some(Word::BanEnded | Word::OtherAction)) => true,
        (Rule::Block, Some(Word::Allow)) => true,
        (Rule::Allow, Some(Word::Block)) => !is_marking(),
        _ => false,
    }
}
