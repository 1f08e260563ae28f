use std::net::IpAddr;

use mailmesh::{Event, Kind, Network};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Longest line either way, in bytes.
pub(crate) const MAX_LINE: u64 = 4 << 20;

/// What a client asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub(crate) enum Request {
    Publish {
        event: Event,
    },
    Watch {
        kinds: Vec<Kind>,
    },
    BlockAdd {
        network: Network,
        reason: String,
        ttl_ms: Option<u64>,
        allow: bool,
        force: bool,
    },
    BlockRemove {
        network: Network,
        allow: bool,
    },
    /// Answered by a line each for so many networks, then by `null`.
    BlockList {
        allow: bool,
    },
    /// Networks to be imported; they wait for the commit, on this connection.
    ImportPart {
        networks: Vec<Imported>,
    },
    /// Takes in what the parts brought. Answered by a line for how many the others were
    /// told so far, then by the count of all.
    ImportCommit {
        allow: bool,
        force: bool,
    },
    BlockCheck {
        address: IpAddr,
    },
    CertAdd {
        chain_pem: String,
        key_pem: Hidden,
    },
    CertList,
    CertRemove {
        names: Vec<String>,
    },
    KeyList,
    /// Without a key the node makes one.
    KeyAdd {
        key: Option<Hidden>,
        here: bool,
    },
    KeyActivate {
        id: String,
        here: bool,
    },
    KeyRetire {
        id: String,
        here: bool,
    },
    Members,
    Status,
}

/// A text that `Debug` does not show. Wiped when dropped.
pub(crate) struct Hidden(pub(crate) Zeroizing<String>);

impl Serialize for Hidden {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(text.into()))
    }
}

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hidden(..)")
    }
}

/// A network on its way into a node: what, why, by whom, and until when.
pub(crate) type Imported = (Network, String, String, Option<u64>);

/// What a node answers: a value, or why not. `Watch` is answered by `null` once
/// it hears, then by a line an entry.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Answer {
    Ok(serde_json::Value),
    Error(String),
}
