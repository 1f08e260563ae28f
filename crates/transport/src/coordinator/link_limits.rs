//! Numbers of a link that Zenoh takes and no link works with.

use serde_json::Value;

use super::checked::Checked;
use super::error::ConfigError;

/// The least value of settings of `transport.link.tx`, and the reason. A batch that has no room for
/// a message has Zenoh 1.10.2 panic, at the node at the other end too.
const LEAST: [(&str, u64, &str); 3] = [
    ("batch_size", 1_024, "a message of a link has no room in less"),
    ("lease", 100, "links would end before a keep-alive has come"),
    ("keep_alive", 1, "links would end for want of one"),
];

pub(super) fn check(checked: &Checked<'_>, value: &Value) -> Result<(), ConfigError> {
    for (name, least, why) in LEAST {
        let set = value.pointer(&format!("/transport/link/tx/{name}")).and_then(Value::as_u64);
        if let Some(set) = set.filter(|set| *set < least) {
            let path = ["transport", "link", "tx", name].map(str::to_owned);
            return Err(checked.bad(&path, format!("{set} is less than {least}: {why}")));
        }
    }
    Ok(())
}
