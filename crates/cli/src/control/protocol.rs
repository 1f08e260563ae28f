use std::net::IpAddr;

use mailmesh::{Event, Kind, Network};
use serde::{Deserialize, Serialize};

/// Longest line either way, in bytes.
pub(crate) const MAX_LINE: u64 = 4 << 20;

/// What a client asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub(crate) enum Request {
    Publish { event: Event },
    Watch { kinds: Vec<Kind> },
    BlockAdd { network: Network, reason: String, ttl_ms: Option<u64>, allow: bool, force: bool },
    BlockRemove { network: Network, allow: bool },
    BlockList { allow: bool },
    BlockCheck { address: IpAddr },
    CertAdd { chain_pem: String, key_pem: String },
    CertList,
    CertRemove { names: Vec<String> },
    Members,
    Status,
}

/// What a node answers: a value, or why not. `Watch` is answered by `null` once
/// it hears, then by a line an entry.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Answer {
    Ok(serde_json::Value),
    Error(String),
}
