//! Tables of Postfix and Sendmail (access(5), cidr_table(5)): networks with answers, where one line
//! can decide whether another line counts.

use mailmesh_events::Network;

use crate::network::{ParsedNetwork, is_within, network, network_of_leading_octets};
use crate::readers::comment::is_comment;
use crate::verdict::access_map::{answered_rule, is_distinctive_answer};
use crate::words::{clean, words};
use crate::{List, ListError, check_line};

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

/// Upper bound on the lines that decide for the addresses outside of a network.
const MAX_WITHIN: usize = 64;

impl PostfixTable {
    pub(super) fn of(text: &str) -> Self {
        let mut table = Self::default();
        for line in text.lines().map(clean) {
            if is_comment(line) || check_line(line).is_err() {
                continue;
            }
            let all: Vec<&str> = words(line).take(3).collect();
            let Some((first, rest)) = all.split_first() else { continue };
            if answered_rule(rest).is_none() {
                continue;
            }
            let is_part = network_of_partial_key(first, rest).is_some();
            table.is_hash |= is_part;
            table.is_answered |= is_part || network(first).is_ok();
        }
        table
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
