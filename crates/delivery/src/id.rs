//! Names and incarnations of nodes.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::DeliveryError;

/// One run of a node: 128 random bits, new at every start. Numbers of events and messages belong to
/// an incarnation, so a restarted node is never confused with its earlier run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Incarnation(pub [u8; 16]);

impl fmt::Display for Incarnation {
    /// 32 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Incarnation {
    /// The first 8 digits, which distinguish incarnations in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Incarnation {
    type Err = DeliveryError;

    /// # Errors
    /// [`DeliveryError::Name`] unless the text is 32 hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, DeliveryError> {
        let bad = || DeliveryError::Name {
            name: text.chars().take(40).collect(),
            why: "an incarnation is 32 hexadecimal digits",
        };
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(bad());
        }
        u128::from_str_radix(text, 16).map(|bits| Self(bits.to_be_bytes())).map_err(|_| bad())
    }
}

/// The name of a node: 1 to 64 ASCII letters, digits, `.`, `-`, `_`. It is unique among the live
/// nodes of a cluster, and stays the same after a restart.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeName(Arc<str>);

impl NodeName {
    /// Maximum length of a name in bytes.
    pub const MAX_LEN: usize = 64;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeName {
    type Err = DeliveryError;

    /// # Errors
    /// [`DeliveryError::Name`] if the name is empty, too long or has another character.
    fn from_str(name: &str) -> Result<Self, DeliveryError> {
        let bad = |why| DeliveryError::Name { name: name.chars().take(80).collect(), why };
        if name.is_empty() || name.len() > Self::MAX_LEN {
            return Err(bad("a name has 1 to 64 characters"));
        }
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b)) {
            return Err(bad("a name has only letters, digits, `.`, `-` and `_`"));
        }
        Ok(Self(name.into()))
    }
}

impl TryFrom<String> for NodeName {
    type Error = DeliveryError;

    fn try_from(name: String) -> Result<Self, DeliveryError> {
        name.parse()
    }
}

impl From<NodeName> for String {
    fn from(name: NodeName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Identifies a node.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The name, which restarts keep.
    pub name: NodeName,
    /// The incarnation, new at every start.
    pub incarnation: Incarnation,
    /// Wall-clock time of the start in milliseconds since the Unix epoch. It decides which of two
    /// nodes of one name must leave if both have worked with as many peers.
    pub started_ms: u64,
}

impl Identity {
    /// An identity of these parts.
    #[must_use]
    pub fn new(name: NodeName, incarnation: Incarnation, started_ms: u64) -> Self {
        Self { name, incarnation, started_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_names_are_refused() {
        for name in ["mx1", "mx1.example.org", "a_b-C"] {
            assert_eq!(name.parse::<NodeName>().unwrap().as_str(), name);
        }
        for name in ["", "a b", "a/b", "ä", &"x".repeat(65)] {
            assert!(name.parse::<NodeName>().is_err(), "{name}");
        }
    }

    #[test]
    fn an_incarnation_round_trips_as_text() {
        let incarnation = Incarnation(std::array::from_fn(|i| i as u8 * 16));
        assert_eq!(incarnation.to_string().parse::<Incarnation>().unwrap(), incarnation);
        assert!("xyz".parse::<Incarnation>().is_err());
        assert!("+".repeat(32).parse::<Incarnation>().is_err());
    }
}
