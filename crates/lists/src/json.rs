//! JSON: an object a line, and the decisions of CrowdSec.

use serde::Deserialize;
use serde_json::Value;

use crate::csv_list::{duration, ends};
use crate::{Ends, Entry, List, ListError, bounded, network};

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

pub(crate) fn read_lines(text: &str) -> Result<List, ListError> {
    let mut list = List::default();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            list.skipped += 1;
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

/// A decision of CrowdSec.
#[derive(Deserialize)]
struct Decision {
    value: String,
    scope: String,
    #[serde(rename = "type")]
    sort: String,
    #[serde(default)]
    scenario: String,
    #[serde(default)]
    origin: String,
    duration: Option<String>,
}

/// Alerts with decisions (`cscli decisions list -o json`), or decisions (its local API);
/// `null` where there are none.
pub(crate) fn read_decisions(text: &str) -> Result<List, ListError> {
    let not_this =
        |why: String| ListError::NotThis { format: "list of decisions of CrowdSec", why };
    let value: Value = serde_json::from_str(text).map_err(|error| not_this(error.to_string()))?;
    let elements = match value {
        Value::Null => Vec::new(),
        Value::Array(elements) => elements,
        Value::Object(mut alert) => match alert.remove("decisions") {
            Some(decisions) => vec![serde_json::json!({ "decisions": decisions })],
            None => return Err(not_this("an object without `decisions`".into())),
        },
        _ => return Err(not_this("neither a list nor null".into())),
    };
    let mut list = List::default();
    for (number, element) in (1..).zip(elements) {
        match element {
            Value::Object(mut alert) if alert.contains_key("decisions") => {
                match alert.remove("decisions") {
                    Some(Value::Array(decisions)) => {
                        for decision in decisions {
                            take(&mut list, number, decision)?;
                        }
                    }
                    _ => list.skipped += 1,
                }
            }
            decision => take(&mut list, number, decision)?,
        }
    }
    Ok(list)
}

fn take(list: &mut List, number: usize, decision: Value) -> Result<(), ListError> {
    let decision: Decision = match serde_json::from_value(decision) {
        Ok(decision) => decision,
        Err(error) => {
            list.refuse(number, format!("not a decision: {error}"));
            return Ok(());
        }
    };
    let is_ours = decision.sort.eq_ignore_ascii_case("ban")
        && ["ip", "range"].iter().any(|scope| decision.scope.eq_ignore_ascii_case(scope));
    if !is_ours {
        // A captcha, a country, a user: nothing that a mirror of networks holds.
        list.skipped += 1;
        return Ok(());
    }
    let ends = match decision.duration.as_deref() {
        None | Some("") => Ok(Ends::Never),
        // It has run out already.
        Some(text) if text.starts_with('-') => {
            list.skipped += 1;
            return Ok(());
        }
        Some(text) => duration(text).map(Ends::After).map_err(|error| {
            format!("`{}` is no duration: {error}", text.chars().take(40).collect::<String>())
        }),
    };
    match (network(&decision.value), ends) {
        (Ok(network), Ok(ends)) => {
            let (reason, origin) = (bounded(&decision.scenario), bounded(&decision.origin));
            list.push(Entry { line: number, network, reason, origin, ends })?;
        }
        (Err(why), _) | (_, Err(why)) => list.refuse(number, why),
    }
    Ok(())
}
