//! Limits of links that Zenoh accepts although no link works with them, or refuses without a name.

use serde_json::Value;

use super::checked::Checked;
use super::error::ConfigError;
use super::schema::path_of;

/// The smallest value of settings of `transport`, and the reason. If a batch has no room for a
/// message, Zenoh 1.10.2 panics, also on the node at the other end.
const MIN_VALUES: [(&str, u64, &str); 9] = [
    ("link/tx/batch_size", 1_024, "a message of a link has no room in less"),
    ("link/tx/lease", 100, "links would end before a keep-alive has come"),
    ("link/tx/keep_alive", 1, "links would end for want of one"),
    ("link/rx/max_message_size", 264 << 10, "the longest message of a node does not fit in less"),
    ("unicast/max_sessions", 1, "no link would be taken"),
    ("unicast/accept_pending", 1, "no link would be taken"),
    ("unicast/open_timeout", 100, "links would not be made in time"),
    ("unicast/accept_timeout", 100, "links would not be made in time"),
    ("unicast/max_links", 1, "no link would be taken"),
];
/// Range of the batches of one priority that may wait for a link.
const QUEUE_BATCHES: std::ops::RangeInclusive<u64> = 1..=16;

pub(super) fn check(checked: &Checked<'_>, value: &Value) -> Result<(), ConfigError> {
    check_hops(checked, value)?;
    let Some(transport) = value.get("transport") else { return Ok(()) };
    let path = |name: &str| path_of(&format!("/transport/{name}"));
    for (name, min, why) in MIN_VALUES {
        let set = transport.pointer(&format!("/{name}")).and_then(Value::as_u64);
        if let Some(set) = set.filter(|set| *set < min) {
            return Err(checked.bad(&path(name), format!("{set} is less than {min}: {why}")));
        }
    }
    let queues = transport.pointer("/link/tx/queue/size").and_then(Value::as_object);
    for (name, size) in queues.into_iter().flatten() {
        if let Some(size) = size.as_u64().filter(|size| !QUEUE_BATCHES.contains(size)) {
            let (min, max) = QUEUE_BATCHES.into_inner();
            let why = format!("{size} is not from {min} to {max} batches");
            return Err(checked.bad(&path(&format!("link/tx/queue/size/{name}")), why));
        }
    }
    check_public_keys(checked, transport)?;
    let login = |name: &str| {
        let set = transport.pointer(&format!("/auth/usrpwd/{name}"));
        set.is_some_and(|set| !set.is_null())
    };
    match (login("user"), login("password")) {
        (true, false) => {
            Err(checked.bad(&path("auth/usrpwd"), "`user` needs `password` beside it"))
        }
        (false, true) => {
            Err(checked.bad(&path("auth/usrpwd"), "`password` needs `user` beside it"))
        }
        _ => Ok(()),
    }
}

/// Refuses a multicast TTL above 255: the system call takes one byte.
fn check_hops(checked: &Checked<'_>, value: &Value) -> Result<(), ConfigError> {
    let set = value.pointer("/scouting/multicast/ttl").and_then(Value::as_u64);
    let Some(set) = set.filter(|set| *set > u64::from(u8::MAX)) else { return Ok(()) };
    let path = ["scouting", "multicast", "ttl"].map(str::to_owned);
    Err(checked.bad(&path, format!("{set} is more than 255, the most that the system takes")))
}

/// Refuses the settings of `transport.auth.pubkey`, which Zenoh accepts and ignores.
fn check_public_keys(checked: &Checked<'_>, transport: &Value) -> Result<(), ConfigError> {
    let set = transport.pointer("/auth/pubkey").and_then(Value::as_object);
    let name = set.into_iter().flatten().find(|(_, value)| !value.is_null());
    let Some((name, _)) = name else { return Ok(()) };
    let path = ["transport", "auth", "pubkey", name].map(str::to_owned);
    let why = "authentication by public keys is not built into mailmesh; take `pubkey` out: with a \
               cluster key (`mesh.key`) links prove that key";
    Err(checked.bad(&path, why))
}
