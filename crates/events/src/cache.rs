//! The event that entries of a cache are stale.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::check_len;
use crate::{EventError, ObjectId, limits};

/// A cache of the mail server.
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
    /// A cache that this version does not name, by its number in the newer version.
    Other(u16),
}

/// The entries of a cache that are stale.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CacheScope {
    /// The entries with these ids.
    Ids(Vec<ObjectId>),
    /// Negative entries: cached answers that something does not exist.
    Negative,
    /// Every entry.
    All,
}

/// Entries of a cache are stale; receivers drop them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "UncheckedCacheInvalidation")]
pub struct CacheInvalidation {
    cache: CacheKind,
    scope: CacheScope,
}

/// The fields of a [`CacheInvalidation`] as JSON has them.
#[derive(Deserialize)]
struct UncheckedCacheInvalidation {
    cache: CacheKind,
    scope: CacheScope,
}

impl TryFrom<UncheckedCacheInvalidation> for CacheInvalidation {
    type Error = EventError;

    fn try_from(fields: UncheckedCacheInvalidation) -> Result<Self, EventError> {
        match fields.scope {
            CacheScope::Ids(ids) => Self::ids(fields.cache, ids),
            scope => Ok(Self { cache: fields.cache, scope }),
        }
    }
}

impl CacheInvalidation {
    /// Invalidates the entries with these ids.
    ///
    /// # Errors
    /// [`EventError::Empty`] without ids; [`EventError::TooLong`] past [`limits::LIST_IDS`].
    pub fn ids(cache: CacheKind, ids: Vec<ObjectId>) -> Result<Self, EventError> {
        if ids.is_empty() {
            return Err(EventError::Empty { what: "the list of ids to invalidate" });
        }
        check_len("the list of ids to invalidate", ids.len(), limits::LIST_IDS)?;
        Ok(Self { cache, scope: CacheScope::Ids(ids) })
    }

    /// Invalidates the negative entries.
    #[must_use]
    pub fn negative(cache: CacheKind) -> Self {
        Self { cache, scope: CacheScope::Negative }
    }

    /// Invalidates the whole cache.
    #[must_use]
    pub fn all(cache: CacheKind) -> Self {
        Self { cache, scope: CacheScope::All }
    }

    /// The cache that holds the entries.
    #[must_use]
    pub fn cache(&self) -> CacheKind {
        self.cache
    }

    /// The entries to drop.
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
