//! What goes over the control socket: a JSON text a line, a request and its answers.

use std::net::IpAddr;

use mailmesh::{Event, Kind, Network};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Longest line either way, in bytes.
pub const MAX_LINE_LEN: u64 = 4 << 20;

/// What a client asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Request {
    /// Publishes an event.
    Publish {
        /// The event.
        event: Event,
    },
    /// Tells of what comes from now on.
    Watch {
        /// Only of these; of all if there are none.
        kinds: Vec<Kind>,
    },
    /// Blocks or allows a network.
    BlockAdd {
        /// The network.
        network: Network,
        /// Why.
        reason: String,
        /// For how many milliseconds; for good without.
        ttl_ms: Option<u64>,
        /// Allows instead.
        allow: bool,
        /// Of any width.
        force: bool,
    },
    /// Takes back what was blocked or allowed.
    BlockRemove {
        /// The network.
        network: Network,
        /// Of those allowed instead.
        allow: bool,
    },
    /// Answered by a line each for so many networks, then by `null`.
    BlockList {
        /// Those allowed instead.
        allow: bool,
    },
    /// Networks to be imported; they wait for the commit, on this connection.
    ImportPart {
        /// Some of them.
        networks: Vec<ImportEntry>,
    },
    /// Takes in what the parts brought. Answered by a line for how many the others were
    /// told so far, then by the count of all.
    ImportCommit {
        /// Allows them instead.
        allow: bool,
        /// Of any width.
        force: bool,
    },
    /// Whether an address is blocked.
    BlockCheck {
        /// The address.
        address: IpAddr,
    },
    /// Replicates a certificate.
    CertAdd {
        /// It and its issuers, as PEM. A key may stand there by mistake.
        chain_pem: SecretText,
        /// Its private key, as PEM.
        key_pem: SecretText,
        /// Accept a certificate that has expired.
        #[serde(default)]
        force: bool,
    },
    /// The certificates there are.
    CertList,
    /// Removes a certificate.
    CertRemove {
        /// Its names.
        names: Vec<String>,
    },
    /// The cluster keys that the node has.
    KeyList,
    /// Adds a cluster key; without one the node makes one.
    KeyAdd {
        /// The key, as text.
        key: Option<SecretText>,
        /// At this node alone.
        here: bool,
        /// Makes one though a member would keep it nowhere.
        #[serde(default)]
        force: bool,
    },
    /// Seals with a key from now on.
    KeyActivate {
        /// Which one. A whole key may stand there by mistake.
        id: SecretText,
        /// At this node alone.
        here: bool,
    },
    /// Takes a key back.
    KeyRetire {
        /// Which one. A whole key may stand there by mistake.
        id: SecretText,
        /// At this node alone.
        here: bool,
        /// Though a member keeps the key that seals nowhere.
        #[serde(default)]
        force: bool,
    },
    /// Gives a cluster key, as text.
    KeyExport {
        /// Which one; without it the one that seals. A whole key may stand there by mistake.
        id: Option<SecretText>,
    },
    /// The nodes that were members within the last hour.
    Away,
    /// The members there are.
    Members,
    /// The node's state.
    Status,
}

/// A text that `Debug` does not show. Wiped when dropped.
pub struct SecretText(pub Zeroizing<String>);

impl Serialize for SecretText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(text.into()))
    }
}

impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretText(..)")
    }
}

/// A network on its way into a node: what, why, by whom, and until when.
pub type ImportEntry = (Network, String, String, Option<u64>);

/// What a node answers: a value, or why not. `Watch` is answered by `null` once
/// it hears, then by a line an entry. `Debug` does not show the value, which may be a key.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// The value.
    Ok(serde_json::Value),
    /// Why not.
    Error(String),
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ok(_) => f.write_str("Ok(..)"),
            Self::Error(why) => f.debug_tuple("Error").field(why).finish(),
        }
    }
}

/// Why a text is no request or answer: without any of it, as it may hold a key.
#[must_use]
pub fn json_error_text(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    let what = match error.classify() {
        Category::Io => return "it cannot be read".to_owned(),
        Category::Eof => return "it ends too early".to_owned(),
        Category::Syntax => "it is not JSON",
        Category::Data => "there is no such command, or a field is missing or of another type",
    };
    format!("{what}, at column {}", error.column())
}

impl Request {
    /// Reads what a client wrote.
    ///
    /// # Errors
    /// If it is no request.
    pub fn from_line(line: &str) -> serde_json::Result<Self> {
        serde_json::from_str(line)
    }

    /// The line to write, with its end.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub fn to_line(&self) -> serde_json::Result<String> {
        serde_json::to_string(self).map(|line| line + "\n")
    }
}

impl Answer {
    /// Reads what a node wrote.
    ///
    /// # Errors
    /// If it is no answer.
    pub fn from_line(line: &str) -> serde_json::Result<Self> {
        serde_json::from_str(line)
    }

    /// The line to write, with its end.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub fn to_line(&self) -> serde_json::Result<String> {
        serde_json::to_string(self).map(|line| line + "\n")
    }
}
