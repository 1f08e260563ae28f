//! The event that the server's configuration store changed.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{ObjectId, ObjectType};

/// An object of the server's registry (its configuration store).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RegistryObject {
    /// The type of the object.
    pub object_type: ObjectType,
    /// The id of the object.
    pub id: ObjectId,
}

impl RegistryObject {
    /// The object of this type and id.
    #[must_use]
    pub fn new(object_type: ObjectType, id: ObjectId) -> Self {
        Self { object_type, id }
    }
}

impl fmt::Display for RegistryObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "object {} of type {}", self.id, self.object_type)
    }
}

/// The registry changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RegistryChange {
    /// An object was inserted or replaced.
    Insert(RegistryObject),
    /// An object was deleted.
    Delete(RegistryObject),
    /// Receivers should reload the objects of this type; `None` means all types.
    Reload(Option<ObjectType>),
}

impl fmt::Display for RegistryChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Insert(object) => write!(f, "insert {object}"),
            Self::Delete(object) => write!(f, "delete {object}"),
            Self::Reload(Some(object_type)) => write!(f, "reload type {object_type}"),
            Self::Reload(None) => f.write_str("reload everything"),
        }
    }
}
