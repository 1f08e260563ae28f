//! Lines of Sendmail's access map, which looks like a `hosts.deny`: a tag, a key and an answer.

use super::network_of_client;
use crate::candidate::Candidate;
use crate::list::List;
use crate::network::network_of_leading_octets;
use crate::verdict::access_map::sendmail_rule;
use crate::words::clean;
use crate::{ListError, Reason};

/// The tags of keys.
pub(super) const TAGS: [&str; 9] = [
    "Connect",
    "From",
    "To",
    "Spam",
    "GreetPause",
    "ClientRate",
    "ClientConn",
    "Srv_Features",
    "Try_TLS",
];

/// Whether a key has a tag of an access map, or ends with a colon as a daemon does.
pub(super) fn is_tagged(key: &str) -> bool {
    let tag = key.split_once(':').map(|(tag, _)| tag);
    key.ends_with(':') || tag.is_some_and(|tag| TAGS.iter().any(|t| t.eq_ignore_ascii_case(tag)))
}

/// Reads a line; `rest` holds the key behind its tag, and the answer.
pub(super) fn read_line(list: &mut List, number: usize, rest: &str) -> Result<(), ListError> {
    let (key, answer) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let address = match key.split_at_checked(5) {
        Some((tag, address)) if tag.eq_ignore_ascii_case("ipv6:") => address,
        _ => key,
    };
    let parsed = match network_of_leading_octets(address) {
        Some(network) => Ok(Some(network.into())),
        None => network_of_client(address),
    };
    let parsed = match parsed {
        Ok(Some(parsed)) => parsed,
        Ok(None) => {
            list.leave_out(Reason::OtherScope);
            return Ok(());
        }
        Err(why) => {
            list.refuse(number, why);
            return Ok(());
        }
    };
    let answer = clean(answer).trim_matches('"');
    if sendmail_rule(answer) != Some(list.rule()) {
        list.except_by_longest_match(parsed.network)?;
        list.leave_out(Reason::OtherAction);
        return Ok(());
    }
    Candidate { reason: answer, ..Candidate::bare(number, &[parsed]) }.add(list)
}
