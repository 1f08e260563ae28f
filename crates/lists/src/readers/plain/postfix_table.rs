//! Tables of Postfix and Sendmail (access(5), cidr_table(5)): networks with answers, where one line
//! can decide whether another line counts.

use std::borrow::Cow;
use std::iter::Peekable;

use mailmesh_events::Network;

use crate::network::{ParsedNetwork, is_within, network, network_of_leading_octets};
use crate::readers::comment::is_comment;
use crate::verdict::access_map::{answered_rule, is_distinctive_answer};
use crate::words::{clean, words};
use crate::{List, ListError, MAX_LINE, check_line};

/// A list as a table of a mail server; most lists are none.
#[derive(Debug, Default)]
pub(super) struct PostfixTable {
    /// At least one line has the answer of a mail server.
    pub(super) is_answered: bool,
    /// A key is a part of an address: the longest matching key decides, not the first.
    pub(super) is_hash: bool,
    /// A line before (`!NETWORK`) decided for addresses outside of each of these networks.
    within: Vec<Network>,
}

/// Upper bound on the comments and blank lines between two parts of a logical line.
const MAX_BETWEEN: usize = 64;

/// A line joined with the lines that continue it.
pub(super) struct JoinedLine<'a> {
    pub(super) line: Cow<'a, str>,
    /// The number of lines behind the first.
    pub(super) continued: usize,
}

/// Whether a line continues the line before it.
fn continues(line: &str) -> bool {
    let text = clean(line);
    line.starts_with([' ', '\t'])
        && !text.is_empty()
        && !is_comment(text)
        && words(text).next().is_some_and(|first| network(first).is_err())
}

/// Upper bound on the lines that decide for the addresses outside of a network.
const MAX_WITHIN: usize = 64;

impl PostfixTable {
    pub(super) fn of(text: &str) -> Self {
        let mut table = Self::default();
        let mut key = None;
        for written in text.lines() {
            let line = clean(written);
            if is_comment(line) || check_line(line).is_err() {
                continue;
            }
            let all: Vec<&str> = words(line).take(3).collect();
            let Some((first, rest)) = all.split_first() else { continue };
            let key_before = key.replace(*first).filter(|_| written.starts_with([' ', '\t']));
            // The answer may stand on the line behind its key.
            let (first, rest) = match key_before {
                Some(key) if answered_rule(&all).is_some() => (key, all.as_slice()),
                _ => (*first, rest),
            };
            if answered_rule(rest).is_none() {
                continue;
            }
            let is_part = network_of_partial_key(first, rest).is_some();
            table.is_hash |= is_part;
            table.is_answered |= is_part || network(first).is_ok();
        }
        table
    }

    /// Joins a line with the lines that continue it: those that begin with white space, with
    /// comments and blank lines between them (postconf(5)).
    pub(super) fn join<'a>(
        &self,
        line: &'a str,
        lines: &mut Peekable<impl Iterator<Item = (usize, &'a str)> + Clone>,
    ) -> JoinedLine<'a> {
        let mut joined = JoinedLine { line: Cow::Borrowed(line), continued: 0 };
        if !self.is_answered {
            return joined;
        }
        loop {
            let is_between = |line: &str| clean(line).is_empty() || is_comment(clean(line));
            let ahead = lines.clone().take(MAX_BETWEEN);
            let between = ahead.take_while(|(_, line)| is_between(line)).count();
            let next = lines.clone().nth(between).filter(|(_, next)| continues(next));
            let Some((_, next)) = next else { return joined };
            for _ in 0..=between {
                joined.continued += usize::from(lines.next().is_some());
            }
            // A line past the limit is bad, whatever follows.
            if joined.line.len() <= MAX_LINE {
                let text = joined.line.to_mut();
                text.push(' ');
                text.push_str(clean(next));
            }
        }
    }

    /// Keeps later lines from blocking the network of a line that cannot be read: the mail server's
    /// search may end at the unread line.
    pub(super) fn shield(&mut self, list: &mut List, line: &str) -> Result<(), ListError> {
        let all: Vec<&str> = words(line).take(3).collect();
        let (true, Some((first, rest))) = (self.is_answered, all.split_first()) else {
            return Ok(());
        };
        // The unread line answers with the list's rule: a later line of that rule does no harm.
        if answered_rule(rest) == Some(list.rule()) {
            return Ok(());
        }
        let inner = first.strip_prefix('!');
        let named = inner.unwrap_or(first);
        let known = network(named).ok().map(|parsed| parsed.network);
        let Some(network) = known.or_else(|| network_of_leading_octets(named)) else {
            return Ok(());
        };
        if inner.is_some() {
            if self.within.len() <= MAX_WITHIN {
                self.within.push(network);
            }
            Ok(())
        } else if self.is_hash {
            list.except_by_longest_match(network)
        } else {
            list.except_in_later_units(network)
        }
    }

    /// Whether the key of a line is a host name, a domain or a mail address.
    pub(super) fn is_of_host(&self, line: &str) -> bool {
        let all: Vec<&str> = words(line).take(3).collect();
        let Some((first, rest)) = all.split_first() else { return false };
        let is_name = first.contains(|c: char| c.is_ascii_alphabetic())
            && first.chars().all(|c| c.is_alphanumeric() || "@.-_".contains(c));
        self.is_answered && is_name && answered_rule(rest).is_some()
    }

    /// Whether no line before has decided for these networks.
    pub(super) fn allows(&self, networks: &[ParsedNetwork]) -> bool {
        let is_inside = |parsed: &ParsedNetwork| {
            self.within.iter().all(|outer| is_within(parsed.network, *outer))
        };
        self.within.len() <= MAX_WITHIN && networks.iter().all(is_inside)
    }
}

/// The network of a key that is the beginning of an address (`192.0.2`), before the answer of a
/// mail server.
pub(super) fn network_of_partial_key(key: &str, answer: &[&str]) -> Option<Network> {
    let is_sure =
        is_distinctive_answer(answer) || (key.contains('.') && answered_rule(answer).is_some());
    if is_sure { network_of_leading_octets(key) } else { None }
}
