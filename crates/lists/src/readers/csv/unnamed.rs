//! Rows of a table without column names: network, reason and end; or addresses alone.

use std::time::Duration;

use mailmesh_events::{Network, Rule};

use super::rows::Row;
use crate::candidate::{Candidate, EXCEPTION_BEHIND};
use crate::ends::likely::{is_likely_moment, may_be_any_end};
use crate::ends::{BareNumber, may_be_end, parse_end};
use crate::exception::excepted;
use crate::network::{ParsedNetwork, is_addresses, is_length, network, network_of_pair, networks};
use crate::readers::p2p::may_be_level_or_score;
use crate::readers::plain::{LineContext, UNKNOWN_NAMES, read_line};
use crate::secret_key::excerpt;
use crate::verdict::{
    begins_with_other_verdict, is_block_word, may_be_other_verdict, means_no, means_not_blocked,
};
use crate::words::{clean, is_number};
use crate::{Ends, List, ListError, NEVER, Reason};

/// The fault of a row if the first line names columns, but none for the network.
const NO_NETWORK: &str =
    "no column of the first line is known to hold the network: name that one `ip`";

/// The decision on a row.
enum Decision<'a> {
    Bad(String),
    /// The row is bad, and excludes networks from the list all the same.
    BadException(Vec<Network>),
    /// The row is bad; wider entries must not block its networks.
    BadVerdict(String),
    /// The row allows what the list blocks, or blocks what it allows.
    OtherAction,
    /// As `OtherAction`; wider entries must not block the networks of the row.
    LetIn,
    /// The row holds networks alone.
    Networks(Vec<ParsedNetwork>),
    /// A network with its prefix length, and a reason that is not a verdict.
    WithLength(ParsedNetwork),
    /// The networks of the first field, with a reason that may be a verdict.
    Entry {
        reason: &'a str,
        ends: Ends,
    },
}

impl Decision<'_> {
    fn bad(why: impl Into<String>) -> Self {
        Self::Bad(why.into())
    }
}

/// A row that begins with a network.
struct Unnamed<'a> {
    row: &'a Row,
    /// The row as written.
    text: &'a str,
    first: &'a str,
    networks: Vec<ParsedNetwork>,
    /// The second field.
    reason: &'a str,
    /// The third field.
    until: &'a str,
}

/// Reads a row into the list.
pub(super) fn read_row(
    list: &mut List,
    line: usize,
    row: &Row,
    text: &str,
    context: &mut LineContext,
) -> Result<(), ListError> {
    let field = |at: usize| row.get(at).map_or("", clean);
    let first = field(0);
    // Plain lists contain commas too, in comments or between addresses.
    let Ok(networks) = networks(first) else { return read_line(list, context, line, clean(text)) };
    let row = Unnamed { row, text, first, networks, reason: field(1), until: field(2) };
    let rule = list.rule();
    let decision = (row.under_unknown_names(context))
        .or_else(|| row.several_addresses())
        .or_else(|| row.network_and_length())
        .or_else(|| row.unclear_number(context))
        .or_else(|| row.exception_behind())
        .or_else(|| row.verdict_behind(rule))
        .or_else(|| row.start_and_duration())
        .or_else(|| row.beyond_the_third(rule))
        .unwrap_or_else(|| row.reason_and_end(list, line));
    row.apply(&decision, list, line)
}

impl<'a> Unnamed<'a> {
    fn apply(
        &self,
        decision: &Decision<'_>,
        list: &mut List,
        line: usize,
    ) -> Result<(), ListError> {
        match decision {
            Decision::Bad(why) => {
                list.refuse(line, why);
                Ok(())
            }
            Decision::BadVerdict(why) => {
                list.refuse(line, why);
                list.except_all_by_longest_match(&self.networks)
            }
            Decision::BadException(excepted) => {
                list.refuse(line, EXCEPTION_BEHIND);
                list.except_all_everywhere(excepted)
            }
            Decision::OtherAction => {
                list.leave_out(Reason::OtherAction);
                Ok(())
            }
            Decision::LetIn => {
                list.leave_out(Reason::OtherAction);
                list.except_all_by_longest_match(&self.networks)
            }
            Decision::Networks(networks) => Candidate::bare(line, networks).add(list),
            Decision::WithLength(network) => {
                let reason = self.until;
                Candidate { reason, ..Candidate::bare(line, &[*network]) }.add_if_meant(list)
            }
            Decision::Entry { reason, ends } => {
                let (reason, ends) = (*reason, *ends);
                Candidate { reason, ends, ..Candidate::bare(line, &self.networks) }
                    .add_if_meant(list)
            }
        }
    }

    /// The fields behind the first.
    fn behind(&self) -> impl Iterator<Item = &'a str> + Clone {
        self.row.fields().skip(1)
    }

    /// The fields behind network, reason and end.
    fn beyond(&self) -> impl Iterator<Item = &'a str> + Clone {
        self.row.fields().skip(3)
    }

    fn has_beyond(&self) -> bool {
        self.beyond().any(|field| !clean(field).is_empty())
    }

    /// A row below names that are not known.
    fn under_unknown_names(&self, context: &LineContext) -> Option<Decision<'a>> {
        if context.lacks_network && self.row.fields().count() > 1 {
            return Some(Decision::bad(NO_NETWORK));
        }
        (context.has_unknown_names && self.behind().any(is_addresses))
            .then(|| Decision::bad(UNKNOWN_NAMES))
    }

    /// A network and its mask, the bounds of a range, or addresses side by side.
    fn several_addresses(&self) -> Option<Decision<'a>> {
        if !self.behind().any(is_addresses) {
            return None;
        }
        let filled: Vec<&str> = self.row.filled().take(3).collect();
        if let [first, second] = *filled
            && let Some(parsed) = network_of_pair(first, second)
        {
            return Some(match parsed {
                Ok(parsed) => Decision::Networks(vec![parsed]),
                Err(why) => Decision::Bad(why),
            });
        }
        let all: Result<Vec<Vec<ParsedNetwork>>, String> =
            self.row.filled().map(networks).collect();
        Some(match all {
            Ok(all) => Decision::Networks(all.into_iter().flatten().collect()),
            Err(_) => Decision::bad(
                "several addresses and other columns: name the columns in the first line",
            ),
        })
    }

    /// Network, prefix length and reason.
    fn network_and_length(&self) -> Option<Decision<'a>> {
        let length = self.reason;
        if !is_length(length) {
            return None;
        }
        if self.has_beyond() {
            let why = "a length and other columns: name the columns in the first line";
            return Some(Decision::bad(why));
        }
        Some(match network(&format!("{}{length}", self.first)) {
            Ok(parsed) => Decision::WithLength(parsed),
            Err(why) => Decision::Bad(why),
        })
    }

    /// A number that may be one thing or another.
    fn unclear_number(&self, context: &LineContext) -> Option<Decision<'a>> {
        if context.has_unknown_names && (is_number(self.reason) || is_number(self.until)) {
            let why = "it has a number, and the names in the first line are not known";
            return Some(Decision::bad(why));
        }
        may_be_level_or_score(self.first, self.reason).then(|| {
            Decision::Bad(format!(
                "`{}` may be a score, or an access level of eMule: name the columns in the first \
                 line, or give the format `p2p`",
                excerpt(self.reason)
            ))
        })
    }

    /// Networks that a field behind the first excludes (`!192.0.2.9`).
    fn exception_behind(&self) -> Option<Decision<'a>> {
        let signed = self.behind().filter(|field| clean(field).starts_with(['!', '~']));
        let networks: Vec<Network> = signed.flat_map(excepted).collect();
        (!networks.is_empty()).then_some(Decision::BadException(networks))
    }

    /// A second field that says whether the network is blocked.
    fn verdict_behind(&self, rule: Rule) -> Option<Decision<'a>> {
        match rule {
            Rule::Allow if means_no(self.reason) => {
                Some(Decision::bad("its value may say that it is not let in: name the columns"))
            }
            Rule::Allow => is_block_word(self.reason).then_some(Decision::OtherAction),
            Rule::Block => means_not_blocked(self.reason).then_some(Decision::LetIn),
        }
    }

    /// `ip|jail|start|duration` of fail2ban's database; count and last sighting of StopForumSpam.
    fn start_and_duration(&self) -> Option<Decision<'a>> {
        let moment = parse_end(self.until, BareNumber::Moment).ok();
        let moment = moment.filter(|ends| *ends != Ends::Never)?;
        let lasts = self.row.get(3).map_or("", clean).parse::<i64>().ok();
        let is_start = matches!(moment, Ends::At(_) | Ends::Local(_));
        let Some(lasts) = lasts.filter(|_| is_start) else {
            return is_number(self.reason).then(|| {
                let why = "a number and a moment may be anything: name the columns in the first \
                           line";
                Decision::bad(why)
            });
        };
        if !self.text.contains('|') {
            let why = "a moment and a number may be end and count, or start and duration: name \
                       the columns in the first line";
            return Some(Decision::bad(why));
        }
        // A negative duration means that the ban has no end.
        let lasts = u64::try_from(lasts).map(Duration::from_secs);
        let ends = lasts.map_or(Ends::Never, |lasts| match moment {
            Ends::Local(start) => Ends::Local(start.plus(lasts)),
            start => Ends::At(start.moment(NEVER).unwrap_or(NEVER).plus(lasts)),
        });
        Some(Decision::Entry { reason: self.reason, ends })
    }

    /// A number that may be a moment where a reason or an end is expected; as an end, the time
    /// since 1970 is read.
    fn unclear_moment(&self) -> Option<&'a str> {
        let is_unclear = |text: &str| parse_end(text, BareNumber::Moment).is_err();
        let until = Some(self.until).filter(|until| is_unclear(until));
        [Some(self.reason), until].into_iter().flatten().find(|field| is_likely_moment(field))
    }

    /// An end or a verdict in a column beyond the third.
    fn beyond_the_third(&self, rule: Rule) -> Option<Decision<'a>> {
        if let Some(end) = self.beyond().find(|field| may_be_any_end(field)) {
            return Some(Decision::Bad(unnamed_end(end)));
        }
        let verdict = self.beyond().find(|field| is_other_verdict(clean(field), rule))?;
        Some(Decision::BadVerdict(format!(
            "`{}` may say that it is not meant: name the columns in the first line",
            excerpt(verdict)
        )))
    }

    /// Network, reason and end; the reason may be left out.
    fn reason_and_end(&self, list: &mut List, line: usize) -> Decision<'a> {
        let (mut reason, mut until) = (self.reason, self.until);
        if let Some(number) = self.unclear_moment() {
            return Decision::Bad(unnamed_end(number));
        }
        // A small number in a column without a name is a score, neither a reason nor an end.
        if is_number(reason) {
            list.note_unused_number(line, reason);
            reason = "";
        } else if until.is_empty() && may_be_end(reason) {
            (reason, until) = ("", reason);
        }
        let ends = match parse_end(until, BareNumber::Moment) {
            Ok(ends) => ends,
            Err(_) if is_number(until) => {
                list.note_unused_number(line, until);
                Ends::Never
            }
            Err(why) => return Decision::Bad(why),
        };
        if self.has_beyond() {
            list.note_for_all_rows(line, "columns without a name beyond the third are not used");
        }
        Decision::Entry { reason, ends }
    }
}

/// The fault of a field that may be an end, in a column without a name.
fn unnamed_end(field: &str) -> String {
    format!("`{}` may be its end: name the columns in the first line", excerpt(field))
}

/// Whether a field says that its network is not meant, or no longer.
fn is_other_verdict(field: &str, rule: Rule) -> bool {
    may_be_other_verdict("", field, rule) || begins_with_other_verdict(field, rule)
}
