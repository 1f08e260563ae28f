use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::bounded;
use crate::{EventError, ObjectId, limits};

/// Which cache of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CacheKind {
    /// Access tokens and permissions of accounts.
    AccessToken,
    /// Accounts by id or address.
    Account,
    /// Local domains.
    Domain,
    /// Tenants and their limits.
    Tenant,
    /// Roles and their permissions.
    Role,
    /// Mailing lists and groups.
    MailingList,
    /// Message metadata and threads.
    Messages,
    /// Calendars, address books, file trees.
    DavResources,
    /// DKIM keys by domain.
    DkimKey,
    /// DNS answers.
    Dns,
    /// OAuth clients and codes.
    OAuth,
    /// A cache of a newer version, by its number there.
    Other(u16),
}

/// Which of its entries.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CacheScope {
    /// The entries of these ids.
    Ids(Vec<ObjectId>),
    /// Entries that say "there is no such thing".
    Negative,
    /// All of them.
    All,
}

/// Entries of a cache are stale and must be dropped.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CacheInvalidation {
    cache: CacheKind,
    scope: CacheScope,
}

impl CacheInvalidation {
    /// Drop the entries of these ids.
    ///
    /// # Errors
    /// [`EventError::Empty`] without ids; [`EventError::TooLong`] past [`limits::IDS`].
    pub fn ids(cache: CacheKind, ids: Vec<ObjectId>) -> Result<Self, EventError> {
        if ids.is_empty() {
            return Err(EventError::Empty { what: "the list of ids to invalidate" });
        }
        bounded("the list of ids to invalidate", ids.len(), limits::IDS)?;
        Ok(Self { cache, scope: CacheScope::Ids(ids) })
    }

    /// Drop the negative entries.
    #[must_use]
    pub fn negative(cache: CacheKind) -> Self {
        Self { cache, scope: CacheScope::Negative }
    }

    /// Drop everything.
    #[must_use]
    pub fn all(cache: CacheKind) -> Self {
        Self { cache, scope: CacheScope::All }
    }

    /// Which cache.
    #[must_use]
    pub fn cache(&self) -> CacheKind {
        self.cache
    }

    /// Which entries.
    #[must_use]
    pub fn scope(&self) -> &CacheScope {
        &self.scope
    }
}

impl fmt::Display for CacheInvalidation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: ", self.cache)?;
        match &self.scope {
            CacheScope::Ids(ids) if ids.len() == 1 => write!(f, "entry {}", ids[0]),
            CacheScope::Ids(ids) => write!(f, "{} entries", ids.len()),
            CacheScope::Negative => f.write_str("negative entries"),
            CacheScope::All => f.write_str("everything"),
        }
    }
}
