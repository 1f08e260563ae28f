//! What `fail2ban-client banned` prints: a Python list of dictionaries, one a jail, from
//! its name to its addresses.

use std::collections::BTreeMap;

use crate::{Ends, Entry, List, ListError, bounded, network};

const FORMAT: &str = "output of `fail2ban-client banned`";
/// Deepest nesting that is read: a list of dictionaries of lists.
const MAX_DEPTH: i32 = 4;

pub(crate) fn read(text: &str) -> Result<List, ListError> {
    let not_this = |why: String| ListError::NotThis { format: FORMAT, why };
    // The parser of JSON5, which reads what Python prints here, recurses.
    let mut depth = 0;
    for c in text.chars() {
        depth += match c {
            '[' | '{' => 1,
            ']' | '}' => -1,
            _ => 0,
        };
        if depth > MAX_DEPTH {
            return Err(not_this("it is nested too deep".into()));
        }
    }
    let jails: Vec<BTreeMap<String, Vec<String>>> =
        json5::from_str(text).map_err(|error| not_this(error.to_string()))?;
    let mut list = List::default();
    let mut number = 0;
    for (jail, addresses) in jails.into_iter().flatten() {
        for address in addresses {
            number += 1;
            match network(&address) {
                Ok(network) => {
                    let (reason, origin) = (bounded(&jail), "fail2ban".into());
                    list.push(Entry { line: number, network, reason, origin, ends: Ends::Never })?;
                }
                Err(why) => list.refuse(number, why),
            }
        }
    }
    Ok(list)
}
