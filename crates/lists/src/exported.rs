//! The forms by which readers know an export of this crate, whose texts they do not interpret.

use mailmesh_events::Rule;

use crate::end_in_comment::end_in;
use crate::ends::date::parse_moment;
use crate::ends::may_be_end;
use crate::network::{ParsedNetwork, is_addresses, network};
use crate::words::clean;
use crate::{Ends, ListError};

/// The field names of an exported entry, in CSV and JSON. Exports of earlier versions have no
/// [`RULE`].
pub(crate) const FIELDS: [&str; 4] = ["network", "reason", "origin", "expires"];
/// The name of the last field, which marks an entry as one to block or to let in.
pub(crate) const RULE: &str = "rule";
/// The first line of a plain list of exceptions. A plain list of blocks has networks alone.
pub(crate) const EXCEPTIONS: &str = "# mailmesh: exceptions";

/// The words of the field [`RULE`].
const WORDS: [(&str, Rule); 2] = [("block", Rule::Block), ("allow", Rule::Allow)];

/// The word that marks an entry of a rule.
pub(crate) fn word_of(rule: Rule) -> &'static str {
    match rule {
        Rule::Block => WORDS[0].0,
        Rule::Allow => WORDS[1].0,
    }
}

/// How an entry is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// The names of the fields are those of an export without the field [`RULE`].
    None,
    /// The field [`RULE`] names the rule that the list is read for.
    Rule,
    /// The field [`RULE`] has another word.
    Unclear,
}

impl Mark {
    /// The mark of an entry of a list that is read for `rule`.
    ///
    /// # Errors
    /// [`ListError::OtherRule`] if the entry is one of the other rule.
    pub(crate) fn of(word: &str, rule: Rule, line: usize) -> Result<Self, ListError> {
        match WORDS.iter().find(|(known, _)| *known == word) {
            None => Ok(Self::Unclear),
            Some((_, marked)) if *marked == rule => Ok(Self::Rule),
            Some((_, marked)) => Err(other_rule(*marked, line)),
        }
    }
}

/// Refuses a text with the mark of a plain list of exceptions, if it is read for blocks.
pub(crate) fn refuse_exceptions(text: &str, rule: Rule) -> Result<(), ListError> {
    let mut lines = (1..).zip(text.lines());
    match lines.find(|(_, line)| clean(line) == EXCEPTIONS) {
        Some((line, _)) if rule == Rule::Block => Err(other_rule(Rule::Allow, line)),
        _ => Ok(()),
    }
}

fn other_rule(marked: Rule, line: usize) -> ListError {
    let (what, command) = match marked {
        Rule::Block => ("blocks", "mailmesh block import FILE"),
        Rule::Allow => ("exceptions, which let networks in", "mailmesh block import --allow FILE"),
    };
    ListError::OtherRule { line, what, command }
}

/// The fields of an entry as they are written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExportedFields<'a> {
    pub(crate) network: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) origin: &'a str,
    pub(crate) expires: &'a str,
}

/// The network and the end of an exported entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExportedEntry {
    pub(crate) network: ParsedNetwork,
    pub(crate) ends: Ends,
}

impl ExportedFields<'_> {
    /// The entry, if all fields have the forms in which this crate writes them. A text that is an
    /// address or an end may be of another column, unless the entry has the mark of its rule: a
    /// shifted row has none.
    pub(crate) fn parse(&self, mark: Mark) -> Option<ExportedEntry> {
        let is_value = |text: &str| is_addresses(text) || may_be_end(text);
        let is_shifted =
            || is_value(self.reason) || is_value(self.origin) || end_in(self.origin).is_some();
        if mark == Mark::Unclear || (mark == Mark::None && is_shifted()) {
            return None;
        }
        let network = network(self.network).ok()?;
        let ends = match self.expires {
            "" => Ends::Never,
            text => Ends::At(parse_moment(text).filter(|at| at.to_string() == text)?),
        };
        (network.network.to_string() == self.network).then_some(ExportedEntry { network, ends })
    }
}
