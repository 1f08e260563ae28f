//! Elements of the sets of nftables: one policy for their text and their JSON.

use std::time::Duration;

use mailmesh_events::Rule;

use crate::candidate::Candidate;
use crate::network::ParsedNetwork;
use crate::readers::set_rules::SetRules;
use crate::words::clean;
use crate::{Ends, List, ListError, Reason};

/// The properties of a set whose elements are being read.
#[derive(Debug, Default)]
pub(crate) struct Set {
    pub(crate) name: String,
    pub(crate) is_addresses: bool,
    /// The timeout of elements that have none of their own, in seconds.
    pub(crate) timeout: Option<u64>,
}

/// The form of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ElementForm {
    Address,
    /// The element counts or limits the traffic of an address: it is not a ban.
    Counter,
    /// A concatenation, or an element of a map: it is for more than an address.
    Compound,
}

/// The content of an element.
#[derive(Debug, Default)]
pub(crate) struct Element {
    pub(crate) networks: Vec<ParsedNetwork>,
    pub(crate) comment: String,
    /// The seconds left until the element expires; `None` if it does not.
    pub(crate) seconds: Option<u64>,
}

/// Whether the elements of a set of this type are addresses only. An element with a port blocks
/// only that port.
pub(crate) fn is_address_type(kind: &str) -> bool {
    matches!(clean(kind), "ipv4_addr" | "ipv6_addr")
}

impl Set {
    /// Adds an element to the list, unless the set or the form of the element says that it is no
    /// ban. An element that cannot be read is given as its fault.
    pub(crate) fn add_element(
        &self,
        list: &mut List,
        rules: &SetRules,
        line: usize,
        form: ElementForm,
        element: Result<Element, String>,
    ) -> Result<(), ListError> {
        let name = &self.name;
        if !self.is_addresses || form == ElementForm::Compound {
            list.leave_out(Reason::OtherScope);
            return Ok(());
        }
        if rules.is_other(name, list.rule()) {
            if rules.is_named(name) {
                let does = if list.rule() == Rule::Block { "lets it in" } else { "drops it" };
                list.note_set_for_other_rule(line, name, &format!("a rule of the text {does}"));
            }
            list.leave_out(Reason::OtherAction);
            if form == ElementForm::Counter || !rules.is_exception(name, list.rule()) {
                return Ok(());
            }
            return self.except(list, line, element);
        }
        if form == ElementForm::Counter {
            list.note_set_for_other_rule(line, name, "its elements count or limit");
            list.leave_out(Reason::OtherAction);
            return Ok(());
        }
        match element {
            Ok(Element { networks, comment, seconds }) => {
                let ends = seconds.map(Duration::from_secs).map_or(Ends::Never, Ends::After);
                let (networks, reason) = (&networks, &*comment);
                Candidate { line, networks, reason, origin: "nftables", ends }
                    .add_if_meant_or_named(name, list)
            }
            Err(why) => {
                list.refuse(line, why);
                Ok(())
            }
        }
    }

    /// Cuts an element for the other rule out of the list.
    fn except(
        &self,
        list: &mut List,
        line: usize,
        element: Result<Element, String>,
    ) -> Result<(), ListError> {
        match element {
            Ok(Element { networks, seconds, .. }) => {
                list.except_all_of_set(line, &networks, seconds)
            }
            Err(why) => {
                list.refuse(line, why);
                Ok(())
            }
        }
    }
}
