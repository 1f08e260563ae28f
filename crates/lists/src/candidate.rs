//! Networks on their way into the list, with what stands beside them.

use mailmesh_events::Rule;

use crate::end_in_comment::end_in;
use crate::exception::excepted_in_reason;
use crate::network::{ParsedNetwork, is_addresses};
use crate::secret_key::excerpt;
use crate::verdict::{is_allowance, says_opposite};
use crate::words::{bounded_line, clean};
use crate::{Ends, Entry, List, ListError, Reason};

/// The fault of a line with an exception behind its network.
pub(crate) const EXCEPTION_BEHIND: &str =
    "it names an exception behind its network: write it as a line, `!` before";
/// The fault of a line whose reason or comment may say the opposite of its list.
pub(crate) fn opposite_fault(text: &str) -> String {
    let text = excerpt(text);
    format!("`{text}` may say that it is not meant: take the line out, or these words")
}

/// The advice for an end in a comment.
const NAME_IT: &str = "write it in a column `expires` or `ttl`";

/// The networks of a line with their reason, origin and end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<'a> {
    pub(crate) line: usize,
    pub(crate) networks: &'a [ParsedNetwork],
    pub(crate) reason: &'a str,
    pub(crate) origin: &'a str,
    pub(crate) ends: Ends,
}

impl<'a> Candidate<'a> {
    /// Networks with nothing beside them.
    pub(crate) fn bare(line: usize, networks: &'a [ParsedNetwork]) -> Self {
        Self { line, networks, reason: "", origin: "", ends: Ends::Never }
    }

    /// Adds the networks to the list, unless the reason says that they are not meant.
    pub(crate) fn add_if_meant(&self, list: &mut List) -> Result<(), ListError> {
        if self.refuse_opposite(list)? { Ok(()) } else { self.add(list) }
    }

    /// As [`add_if_meant`](Self::add_if_meant); without a reason, `name` (of the set, or of the
    /// daemon) is the reason, and no statement.
    pub(crate) fn add_if_meant_or_named(
        &self,
        name: &str,
        list: &mut List,
    ) -> Result<(), ListError> {
        if clean(self.reason).is_empty() {
            Candidate { reason: name, ..*self }.add(list)
        } else {
            self.add_if_meant(list)
        }
    }

    /// As [`add_if_meant`](Self::add_if_meant), for networks whose source states that they have no
    /// end.
    pub(crate) fn add_endless_if_meant(&self, list: &mut List) -> Result<(), ListError> {
        if self.refuse_opposite(list)? { Ok(()) } else { self.add_as_written(list) }
    }

    /// Leaves the networks out if the reason says that they are not meant. Gives whether it does.
    pub(crate) fn refuse_opposite(&self, list: &mut List) -> Result<bool, ListError> {
        let rule = list.rule();
        if says_opposite(self.reason, rule) {
            if rule == Rule::Block && is_allowance(self.reason) {
                list.leave_out(Reason::OtherAction);
            } else {
                list.refuse(self.line, opposite_fault(self.reason));
            }
            list.except_all_by_longest_match(self.networks)?;
            return Ok(true);
        }
        let excepted = excepted_in_reason(self.reason);
        if !excepted.is_empty() {
            list.refuse(self.line, EXCEPTION_BEHIND);
            list.except_all_everywhere(&excepted)?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Adds the networks to the list, unless the reason has an end in it that is not their own. A
    /// reason of addresses only is dropped. The reason must be no statement about the networks: it
    /// is the name of their set, or the text of an answer that refuses them.
    pub(crate) fn add(&self, list: &mut List) -> Result<(), ListError> {
        let reason = if is_addresses(self.reason) { "" } else { self.reason };
        if self.ends == Ends::Never {
            if let Some(end) = end_in(reason) {
                list.refuse(self.line, format_args!("`{end}` may be its end: {NAME_IT}"));
                return Ok(());
            }
            list.doubt_moments_in(reason);
        }
        Self { reason, ..*self }.add_as_written(list)
    }

    /// Adds the networks to the list without a look at the reason; a note names host bits.
    pub(crate) fn add_as_written(&self, list: &mut List) -> Result<(), ListError> {
        let (reason, origin) = (bounded_line(self.reason), bounded_line(self.origin));
        let Self { line, ends, .. } = *self;
        for ParsedNetwork { network, has_host_bits } in self.networks {
            if *has_host_bits {
                list.note(line, format_args!("host bits are set: read as {network}"));
            }
            let (reason, origin) = (reason.clone(), origin.clone());
            list.push(Entry { line, network: *network, reason, origin, ends, unit: 0 })?;
        }
        Ok(())
    }
}
