//! JSON, an object a line.

use serde::Deserialize;
use serde_json::Value;

use crate::csv_list::ends;
use crate::{Ends, Entry, List, ListError, bounded, check_line, network};

/// A line of a list in JSON lines. Fields of others are left alone.
#[derive(Deserialize)]
struct Line {
    #[serde(alias = "cidr", alias = "ip", alias = "address")]
    network: Option<String>,
    #[serde(alias = "sblid", alias = "comment")]
    reason: Option<String>,
    origin: Option<String>,
    expires: Option<Value>,
    /// Spamhaus closes its lists with a line of `metadata`.
    #[serde(rename = "type")]
    sort: Option<String>,
}

pub(crate) fn read(text: &str) -> Result<List, ListError> {
    let mut list = List::default();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            list.skipped += 1;
            continue;
        }
        if let Err(why) = check_line(line) {
            list.refuse(number, why);
            continue;
        }
        let read: Line = match serde_json::from_str(line) {
            Ok(read) => read,
            Err(error) => {
                list.refuse(number, format!("not an object of JSON: {error}"));
                continue;
            }
        };
        let Some(text) = read.network else {
            if read.sort.as_deref() == Some("metadata") {
                list.skipped += 1;
            } else {
                list.refuse(number, "it has no `cidr` and no `network`");
            }
            continue;
        };
        let expires = match &read.expires {
            None | Some(Value::Null) => Ok(Ends::Never),
            Some(Value::String(text)) => ends(text),
            Some(other) => ends(&other.to_string()),
        };
        match (network(&text), expires) {
            (Ok(network), Ok(ends)) => {
                let text = |text: Option<String>| bounded(&text.unwrap_or_default());
                let (reason, origin) = (text(read.reason), text(read.origin));
                list.push(Entry { line: number, network, reason, origin, ends })?;
            }
            (Err(why), _) | (_, Err(why)) => list.refuse(number, why),
        }
    }
    Ok(list)
}
