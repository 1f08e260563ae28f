use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::bounded;
use crate::network::Width;
use crate::{EventError, Network, Printable, UnixMillis, limits};

/// Whether a network is refused or always let in. Allowing wins over blocking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// Refuse it.
    Block,
    /// Let it in, whatever blocks say.
    Allow,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Block => "block",
            Self::Allow => "allow",
        })
    }
}

/// What is known of a blocked (or allowed) network besides its address.
///
/// ```
/// use std::time::Duration;
/// use mailmesh_events::{Block, UnixMillis};
///
/// let block = Block::new("too many failed logins", UnixMillis(1_000))?
///     .from_origin("imap")?
///     .expiring_at(UnixMillis(1_000).plus(Duration::from_secs(600)));
/// assert!(!block.is_expired(UnixMillis(600_999)));
/// assert!(block.is_expired(UnixMillis(601_000)));
/// # Ok::<(), mailmesh_events::EventError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Block {
    // Shared: many blocks have the same.
    reason: Arc<str>,
    origin: Arc<str>,
    /// When it was added.
    pub added: UnixMillis,
    /// When it ends; `None` means when it is removed.
    pub expires: Option<UnixMillis>,
}

impl Block {
    /// A block for `reason`, made at `added`, without end.
    ///
    /// # Errors
    /// [`EventError::TooLong`] past [`limits::TEXT_LEN`].
    pub fn new(reason: impl Into<Arc<str>>, added: UnixMillis) -> Result<Self, EventError> {
        let reason = reason.into();
        bounded("the reason of a block", reason.len(), limits::TEXT_LEN)?;
        Ok(Self { reason, origin: Arc::default(), added, expires: None })
    }

    /// Sets what asked for it (a protocol, an operator, a list).
    ///
    /// # Errors
    /// [`EventError::TooLong`] past [`limits::TEXT_LEN`].
    pub fn from_origin(mut self, origin: impl Into<Arc<str>>) -> Result<Self, EventError> {
        self.origin = origin.into();
        bounded("the origin of a block", self.origin.len(), limits::TEXT_LEN)?;
        Ok(self)
    }

    /// Sets when it ends.
    #[must_use]
    pub fn expiring_at(mut self, expires: UnixMillis) -> Self {
        self.expires = Some(expires);
        self
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// What asked for it; empty if not said.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Whether it has ended at `now`.
    #[must_use]
    pub fn is_expired(&self, now: UnixMillis) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason() {
            "" => f.write_str("no reason given")?,
            reason => Printable(reason).fmt(f)?,
        }
        if !self.origin.is_empty() {
            write!(f, " (by {})", Printable(self.origin()))?;
        }
        match self.expires {
            Some(at) => write!(f, ", until {at}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Block({self})")
    }
}

impl Network {
    /// Checks that this network may be blocked: not the loopback, and not wider
    /// than [`WIDEST_V4`](Self::WIDEST_V4) or [`WIDEST_V6`](Self::WIDEST_V6).
    ///
    /// # Errors
    /// [`EventError::Loopback`], [`EventError::TooWide`].
    pub fn blockable(self) -> Result<Self, EventError> {
        self.check_blockable(Width::Guarded).map(|()| self)
    }

    /// As [`blockable`](Self::blockable), for somebody who means a very wide prefix.
    ///
    /// # Errors
    /// [`EventError::Loopback`].
    pub fn blockable_of_any_width(self) -> Result<Self, EventError> {
        self.check_blockable(Width::Any).map(|()| self)
    }
}
