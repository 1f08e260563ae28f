//! Reasons and comments that say the opposite of their list: `do not block`, `ban lifted`,
//! `office (allowed)`. One policy for all readers.

use mailmesh_events::Rule;

use super::opposite_words::{Meaning, is_filler, is_two_word_allowance, meaning_of};
use super::vocabulary::{Word, first_word, verdict_word};
use crate::normal_name::normal_name;
use crate::words::is_one_of;

/// Words between a negation and the verdict that it negates, at most.
const MAX_BETWEEN: usize = 3;
/// Words between a block and the word that it has ended, at most.
const MAX_TO_END: usize = 4;

/// Whether a reason may say that its network is not meant for a list of `rule`.
pub(crate) fn says_opposite(text: &str, rule: Rule) -> bool {
    begins_with_other_verdict(text, rule)
        || is_other_verdict(text, rule)
        || clauses(text).any(|clause| clause.denies(rule) || clause.is_for_other(rule))
}

/// Whether a text negates the verdict of `rule`, or says that it has ended (`do not block`, `ban
/// lifted`). Texts that merely have a word of the other verdict in them do not count.
pub(crate) fn denies_rule(text: &str, rule: Rule) -> bool {
    clauses(text).any(|clause| clause.denies(rule))
}

/// Whether a text begins with a word that keeps its network out of a list for `rule`
/// (`whitelist: office`).
pub(crate) fn begins_with_other_verdict(text: &str, rule: Rule) -> bool {
    let first = first_word(text);
    match (rule, verdict_word(first)) {
        (_, Some(Word::BanEnded)) => true,
        (_, Some(Word::Off)) => {
            is_one_of(first, &["removed", "deleted", "delisted", "unlisted", "revoked", "expired"])
        }
        (Rule::Block, Some(Word::Allow)) => {
            !is_one_of(first, &["ok", "pass", "passed", "accept", "accepted", "skip", "relay"])
        }
        (Rule::Allow, Some(Word::Block)) => true,
        _ => {
            let small = text.to_lowercase();
            rule == Rule::Block && ["not blocked", "not banned"].iter().any(|t| small == **t)
        }
    }
}

/// Whether the whole text is a verdict against `rule`.
fn is_other_verdict(text: &str, rule: Rule) -> bool {
    match verdict_word(text) {
        Some(Word::Off | Word::BanEnded) => true,
        Some(Word::Allow | Word::Harmless) => rule == Rule::Block,
        Some(Word::Block) => rule == Rule::Allow,
        Some(Word::OtherAction | Word::AmbiguousAction | Word::On | Word::Yes | Word::No)
        | None => false,
    }
}

/// The words between two signs, by meaning.
#[derive(Debug)]
struct Clause {
    words: Vec<Meaning>,
}

/// The clauses of a text. A hyphen within a word separates words, one that stands alone clauses.
fn clauses(text: &str) -> impl Iterator<Item = Clause> {
    let is_between = |c: char| ".,;:()[]{}<>|=!?\"/\n–—".contains(c);
    text.split(is_between).flat_map(|part| part.split(" - ")).filter_map(|part| {
        let is_space = |c: char| c.is_whitespace() || matches!(c, '-' | '_' | '*' | '#' | '+');
        let words = part.split(is_space).filter(|word| !word.is_empty());
        let mut meanings: Vec<Meaning> = Vec::new();
        let mut before = None;
        for word in words {
            let name = normal_name(word);
            if let Some(before) = before.replace(name)
                && is_two_word_allowance(&before, &name)
            {
                meanings.pop();
                meanings.push(Meaning::Allowance);
            } else {
                meanings.push(meaning_of(&name));
            }
        }
        (!meanings.is_empty()).then_some(Clause { words: meanings })
    })
}

impl Clause {
    /// Whether the clause negates the verdict of `rule`, or says that it has ended.
    fn denies(&self, rule: Rule) -> bool {
        self.words.iter().enumerate().any(|(at, word)| match rule {
            Rule::Block if word.is_block() => {
                self.is_negated(at) || self.is_past(at) || self.has_ended(at)
            }
            Rule::Block => *word == Meaning::Lifted && !self.is_negated(at),
            Rule::Allow if word.is_allowance() => self.is_negated(at) || self.has_ended(at),
            Rule::Allow => *word == Meaning::Revoked && !self.is_negated(at),
        })
    }

    /// Whether the clause states the other verdict.
    fn is_for_other(&self, rule: Rule) -> bool {
        let is_alone = |at: usize| {
            let rest = &self.words[at + 1..];
            let before = self.words[..at].iter().filter(|word| !is_filler(**word)).count();
            before <= 1 && rest.iter().all(|word| is_filler(*word))
        };
        let is_only = |at: usize| {
            self.words.iter().enumerate().all(|(other, word)| other == at || is_filler(*word))
        };
        self.words.iter().enumerate().any(|(at, word)| {
            let is_other = match (rule, word) {
                (Rule::Block, Meaning::Allowance) => true,
                (Rule::Block, Meaning::AllowVerb) => is_alone(at),
                (Rule::Block, Meaning::Harmless) => is_only(at),
                (Rule::Allow, Meaning::Blocked) => !self.is_past(at) && !self.has_ended(at),
                (Rule::Allow, Meaning::BlockVerb) => is_alone(at) && !self.has_ended(at),
                (_, Meaning::Ended) => is_only(at),
                _ => false,
            };
            is_other && !self.is_negated(at)
        })
    }

    /// Whether a negation before the word at `at`, or `nicht` right behind it, is about that word.
    fn is_negated(&self, at: usize) -> bool {
        if self.words.get(at + 1) == Some(&Meaning::NegationBehind) {
            return true;
        }
        let is_loose = self.words[at].is_block() || self.words[at] == Meaning::AllowVerb;
        for word in self.words[..at].iter().rev().take(MAX_BETWEEN + 1) {
            match word {
                Meaning::Negation | Meaning::NegationBehind => return true,
                // `no reverse DNS` negates a noun: only what follows at once counts.
                Meaning::No => return true,
                // `do not remove the block` keeps it.
                Meaning::Removal | Meaning::Ended | Meaning::Lifted => return false,
                word if is_filler(*word) => {}
                _ if is_loose && self.has_negation_before(at) => {}
                _ => return false,
            }
        }
        false
    }

    /// Whether a negation of verbs stands within reach before a word.
    fn has_negation_before(&self, at: usize) -> bool {
        let reach = &self.words[at.saturating_sub(MAX_BETWEEN + 1)..at];
        let is_negation =
            |word: &Meaning| matches!(word, Meaning::Negation | Meaning::NegationBehind);
        reach.iter().any(is_negation)
    }

    /// Whether a word before the one at `at` says that it is over (`was blocked`).
    fn is_past(&self, at: usize) -> bool {
        self.words[at.saturating_sub(2)..at].contains(&Meaning::Past)
    }

    /// Whether a word beside the one at `at` says that it has ended (`ban expired`).
    fn has_ended(&self, at: usize) -> bool {
        let is_end =
            |word: &Meaning| matches!(word, Meaning::Ended | Meaning::Lifted | Meaning::Revoked);
        let end = self.words.len().min(at + 1 + MAX_TO_END);
        let behind = (at + 1..end).any(|i| is_end(&self.words[i]) && !self.is_negated(i));
        behind || at.checked_sub(1).is_some_and(|i| is_end(&self.words[i]) && !self.is_negated(i))
    }
}
