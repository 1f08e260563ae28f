//! The protocol of the control socket: requests and answers as JSON, one per line.

use std::net::IpAddr;

use mailmesh::{Event, Kind, Network};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Maximum length of a line in either direction, in bytes.
pub const MAX_LINE_LEN: u64 = 4 << 20;

/// A request of a client.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Request {
    /// Publishes an event. Answered once the event is queued or sent.
    Publish {
        /// The event.
        event: Event,
    },
    /// Subscribes to what the node receives. Answered by `null`, then by one line per entry.
    Watch {
        /// Kinds of events to report; all if empty. Gaps and membership changes are always
        /// reported.
        kinds: Vec<Kind>,
    },
    /// Blocks a network, or adds an exception.
    BlockAdd {
        /// The network.
        network: Network,
        /// Reason, at most 256 bytes.
        reason: String,
        /// Lifetime in milliseconds; without it the entry stays until it is removed.
        ttl_ms: Option<u64>,
        /// Adds an exception instead of a block.
        allow: bool,
        /// Accepts a block of any width.
        force: bool,
    },
    /// Removes a block or an exception.
    BlockRemove {
        /// The network.
        network: Network,
        /// Removes the exception instead of the block.
        allow: bool,
    },
    /// Lists the blocks. Answered by arrays of bounded length, one per line, then by `null`.
    BlockList {
        /// Lists the exceptions instead.
        allow: bool,
    },
    /// Adds entries to the pending import of this connection. Answered by their number so far.
    ImportPart {
        /// Some entries of the list.
        networks: Vec<ImportEntry>,
    },
    /// Imports the pending entries in one step. Answered by lines with the number of entries sent
    /// to the other nodes so far, then by an object with the totals.
    ImportCommit {
        /// Imports exceptions instead of blocks.
        allow: bool,
        /// Accepts blocks of any width.
        force: bool,
    },
    /// Asks whether an address is blocked, and why.
    BlockCheck {
        /// The address.
        address: IpAddr,
    },
    /// Adds a certificate on all nodes.
    CertAdd {
        /// The certificate and its issuers as PEM. May contain a key by mistake, hence hidden.
        chain_pem: SecretText,
        /// The private key as PEM.
        key_pem: SecretText,
        /// Accepts a certificate that has expired.
        #[serde(default)]
        force: bool,
    },
    /// Lists the certificates.
    CertList,
    /// Removes a certificate from all nodes.
    CertRemove {
        /// All names of the certificate.
        names: Vec<String>,
    },
    /// Lists the cluster keys of each node.
    KeyList,
    /// Adds a cluster key.
    KeyAdd {
        /// The key as text; without it the node generates one.
        key: Option<SecretText>,
        /// Only on this node.
        here: bool,
        /// Generates a key even if a member cannot save it to a file.
        #[serde(default)]
        force: bool,
    },
    /// Makes a key the sealing key.
    KeyActivate {
        /// Fingerprint of the key. May be a whole key by mistake, hence hidden.
        id: SecretText,
        /// Only on this node.
        here: bool,
    },
    /// Stops accepting a key.
    KeyRetire {
        /// Fingerprint of the key. May be a whole key by mistake, hence hidden.
        id: SecretText,
        /// Only on this node.
        here: bool,
        /// Retires the key even if a member has the sealing key in no file.
        #[serde(default)]
        force: bool,
    },
    /// Returns a cluster key as text.
    KeyExport {
        /// Fingerprint of the key; without it the sealing key. May be a whole key by mistake, hence
        /// hidden.
        id: Option<SecretText>,
    },
    /// Lists the nodes that were members within the last hour and are not members now.
    Away,
    /// Lists the members.
    Members,
    /// Returns the status of the node.
    Status,
}

/// A text that `Debug` does not show, and that is wiped when dropped.
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

/// An entry of an import: network, reason, origin, and the end, if any, in milliseconds since 1970.
pub type ImportEntry = (Network, String, String, Option<u64>);

/// An answer of a node: a value or an error. `Debug` does not show the value, which may be a key.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// The value; its type depends on the request.
    Ok(serde_json::Value),
    /// The error message.
    Error(String),
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ok(_) => f.write_str("Ok(..)"),
            Self::Error(error) => f.debug_tuple("Error").field(error).finish(),
        }
    }
}

/// Describes why a line is not a request or answer. Quotes nothing of it: it may contain a key.
#[must_use]
pub fn json_error_text(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    let what = match error.classify() {
        Category::Io => return "it cannot be read".to_owned(),
        Category::Eof => return "it ends too early".to_owned(),
        Category::Syntax => "it is not JSON",
        Category::Data => "the command is unknown, or a field is missing or has another type",
    };
    format!("{what}, at column {}", error.column())
}

impl Request {
    /// Parses a line of a client.
    ///
    /// # Errors
    /// If the line is not a request.
    pub fn from_line(line: &str) -> serde_json::Result<Self> {
        serde_json::from_str(line)
    }

    /// Formats the line, including its newline.
    ///
    /// # Errors
    /// If a value cannot be written as JSON.
    pub fn to_line(&self) -> serde_json::Result<String> {
        serde_json::to_string(self).map(|line| line + "\n")
    }
}

impl Answer {
    /// Parses a line of a node.
    ///
    /// # Errors
    /// If the line is not an answer.
    pub fn from_line(line: &str) -> serde_json::Result<Self> {
        serde_json::from_str(line)
    }

    /// Formats the line, including its newline.
    ///
    /// # Errors
    /// If a value cannot be written as JSON.
    pub fn to_line(&self) -> serde_json::Result<String> {
        serde_json::to_string(self).map(|line| line + "\n")
    }
}
