use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ObjectId;

/// An object of the server's registry (its configuration store).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RegistryObject {
    /// The number of the object's type in the server.
    pub object_type: u16,
    /// The id of the object.
    pub id: ObjectId,
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
    Reload(Option<u16>),
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
