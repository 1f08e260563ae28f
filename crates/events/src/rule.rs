//! Whether a network is blocked or allowed, and the details of that entry.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::check_len;
use crate::network::WidthLimit;
use crate::{EventError, Network, Printable, UnixMillis, limits};

/// Whether the server refuses connections from a network. An allow entry overrides block entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// Connections from the network are refused.
    Block,
    /// Connections from the network are accepted, even if a block entry matches.
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

/// The details of a [`Rule`] for a network, whether it blocks or allows: reason, origin and times.
///
/// ```
/// use std::time::Duration;
/// use mailmesh_events::{RuleDetails, UnixMillis};
///
/// let details = RuleDetails::new("too many failed logins", UnixMillis(1_000))?
///     .with_origin("imap")?
///     .with_expiry(UnixMillis(1_000).plus(Duration::from_secs(600)));
/// assert!(!details.is_expired(UnixMillis(600_999)));
/// assert!(details.is_expired(UnixMillis(601_000)));
/// # Ok::<(), mailmesh_events::EventError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
pub struct RuleDetails {
    // Shared: imported lists repeat one reason and origin many times.
    reason: Arc<str>,
    origin: Arc<str>,
    /// When the entry was added.
    pub added: UnixMillis,
    /// When the entry expires; `None` if it stays until it is removed.
    pub expires: Option<UnixMillis>,
}

impl RuleDetails {
    /// An entry with this reason, added at `added`, that does not expire.
    ///
    /// # Errors
    /// [`EventError::TooLong`] past [`limits::TEXT_LEN`].
    pub fn new(reason: impl Into<Arc<str>>, added: UnixMillis) -> Result<Self, EventError> {
        let reason = reason.into();
        check_len("the reason of a rule", reason.len(), limits::TEXT_LEN)?;
        Ok(Self { reason, origin: Arc::default(), added, expires: None })
    }

    /// Sets the origin: the protocol, operator or list that asked for the entry.
    ///
    /// # Errors
    /// [`EventError::TooLong`] past [`limits::TEXT_LEN`].
    pub fn with_origin(mut self, origin: impl Into<Arc<str>>) -> Result<Self, EventError> {
        self.origin = origin.into();
        check_len("the origin of a rule", self.origin.len(), limits::TEXT_LEN)?;
        Ok(self)
    }

    /// Sets when the entry expires.
    #[must_use]
    pub fn with_expiry(mut self, expires: UnixMillis) -> Self {
        self.expires = Some(expires);
        self
    }

    /// Why the network is listed; may be empty.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The protocol, operator or list that asked for the entry; empty if unknown.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Whether the entry has expired at `now`.
    #[must_use]
    pub fn is_expired(&self, now: UnixMillis) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }
}

impl fmt::Display for RuleDetails {
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

impl fmt::Debug for RuleDetails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RuleDetails({self})")
    }
}

impl Network {
    /// Returns the network if it may be blocked: neither the loopback, nor wider than
    /// [`WIDEST_V4`](Self::WIDEST_V4) or [`WIDEST_V6`](Self::WIDEST_V6).
    ///
    /// # Errors
    /// [`EventError::Loopback`], [`EventError::TooWide`].
    pub fn ensure_blockable(self) -> Result<Self, EventError> {
        self.check_blockable(WidthLimit::Enforced).map(|()| self)
    }

    /// Like [`ensure_blockable`](Self::ensure_blockable), but accepts prefixes of any width.
    ///
    /// # Errors
    /// [`EventError::Loopback`].
    pub fn ensure_blockable_of_any_width(self) -> Result<Self, EventError> {
        self.check_blockable(WidthLimit::Lifted).map(|()| self)
    }

    /// Returns the network if an exception may let it in: it is not wider than
    /// [`WIDEST_V4`](Self::WIDEST_V4) or [`WIDEST_V6`](Self::WIDEST_V6). The loopback may be let in.
    ///
    /// # Errors
    /// [`EventError::TooWideToAllow`].
    pub fn ensure_allowable(self) -> Result<Self, EventError> {
        match self.exceeded_width_limit() {
            Some(limit) => Err(EventError::TooWideToAllow { network: self.to_string(), limit }),
            None => Ok(self),
        }
    }
}
